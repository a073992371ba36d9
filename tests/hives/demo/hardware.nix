# What a machine needs to be a machine. The test nodes are containers and look at none of it.
{ name, ... }:
{
  networking.hostName = name;
  fileSystems."/" = { device = "/dev/disk/by-label/nixos"; fsType = "ext4"; };
  boot.loader.grub.device = "/dev/sda";
  system.stateVersion = "20.09";
  documentation.enable = false;
}
