# What real NixOS demands of a system besides; and no manual, which takes long to evaluate.
{
  fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
  boot.loader.grub.device = "nodev";
  documentation.enable = false;
  system.stateVersion = "20.09";
}
