# The machine, as it was.
{
  networking.hostName = "web";
  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
  ];

  services.nginx.enable = true;
  networking.firewall.allowedTCPPorts = [ 80 ];

  # Replace this by the import of the machine's own hardware-configuration.nix.
  boot.loader.grub.device = "/dev/sda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };

  system.stateVersion = "24.11";
}
