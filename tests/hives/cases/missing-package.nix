# What a node installs is looked at only when its system is.
{
  defaults = ./machine.nix;
  bad = { pkgs, ... }: { environment.systemPackages = [ pkgs.thisPackageDoesNotExist ]; };
  good = { };
}
