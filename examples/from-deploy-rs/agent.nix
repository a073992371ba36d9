# The agent, through which Waggle deploys. The flake's module sets its package.
{
  services.waggle-agent = {
    enable = true;
    operators = [
      # A placeholder: replace it by your public key, the content of ~/.ssh/id_ed25519.pub.
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
    ];
    openFirewall = true; # TCP port 9244
  };
}
