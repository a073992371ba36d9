# A small board with an ARM processor, such as a Raspberry Pi.
{
  networking.hostName = "board";
  deployment.targetHost = "board.example.org";
  deployment.tags = [ "board" ];

  # The laptop has another architecture. It evaluates the board's system, and the board itself
  # builds what no binary cache has.
  deployment.buildOnTarget = true;

  # Replace this by the import of the board's own hardware-configuration.nix.
  boot.loader.grub.enable = false;
  boot.loader.generic-extlinux-compatible.enable = true;
  fileSystems."/" = {
    device = "/dev/disk/by-label/NIXOS_SD";
    fsType = "ext4";
  };
}
