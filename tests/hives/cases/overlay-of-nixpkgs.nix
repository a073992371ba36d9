{
  meta.nixpkgs = import <nixpkgs> { overlays = [ (import ./overlay.nix "one") ]; };
  defaults = ./machine.nix;
  host-a = { pkgs, ... }: { environment.systemPackages = [ pkgs.one ]; };
}
