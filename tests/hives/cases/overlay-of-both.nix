{
  meta.nixpkgs = import <nixpkgs> { overlays = [ (import ./overlay.nix "one") ]; };
  defaults = ./machine.nix;
  host-a = { pkgs, ... }: { nixpkgs.overlays = [ (import ./overlay.nix "two") ]; environment.systemPackages = [ pkgs.one pkgs.two ]; };
}
