# A server.
{
  networking.hostName = "attic";
  deployment.targetHost = "attic.example.org";
  deployment.tags = [ "server" ];

  # Replace this by the import of the machine's own hardware-configuration.nix.
  boot.loader.grub.device = "/dev/sda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
