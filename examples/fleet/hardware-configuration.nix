# A placeholder: replace it by the file that nixos-generate-config wrote on the machines,
# /etc/nixos/hardware-configuration.nix. Machines that differ need a file each.
{
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
