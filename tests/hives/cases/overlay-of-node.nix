{
  defaults = ./machine.nix;
  host-a = { pkgs, ... }: { nixpkgs.overlays = [ (import ./overlay.nix "two") ]; environment.systemPackages = [ pkgs.two ]; };
}
