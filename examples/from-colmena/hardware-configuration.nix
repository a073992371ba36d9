# A placeholder: replace it by the file that nixos-generate-config wrote on the machine,
# /etc/nixos/hardware-configuration.nix.
{
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
