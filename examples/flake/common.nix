# The settings of both nodes.
{
  services.openssh.enable = true; # Waggle identifies a node by its SSH host key.

  # The flake's module sets the agent's package.
  services.waggle-agent = {
    enable = true;
    operators = [
      # A placeholder: replace it by your public key, the content of ~/.ssh/id_ed25519.pub.
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
    ];
    openFirewall = true; # TCP port 9244
  };

  system.stateVersion = "24.11"; # the release that the machines were installed with
}
