{
  meta.nixpkgs = import <nixpkgs> { system = "x86_64-linux"; };
  meta.nodeNixpkgs = {
    path = <nixpkgs>;
    function = import <nixpkgs>;
    set = import <nixpkgs> { system = "aarch64-linux"; overlays = [ (import ./overlay.nix "own") ]; };
  };
  defaults = { pkgs, ... }: { deployment.tags = [ pkgs.stdenv.hostPlatform.system (if pkgs ? own then "own" else "none") ]; };
  path = { };
  function = { };
  set = { };
  other = { };
}
