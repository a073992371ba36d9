# A hive with one node.
let
  # The checkout of Waggle. In a copy of this directory, write its path.
  waggle = ../..;
in
{
  meta = {
    name = "home"; # A node accepts deployments from the hive of this name only.
    nixpkgs = <nixpkgs>;
  };

  # The settings of all nodes.
  defaults = { name, pkgs, ... }: {
    networking.hostName = name;
    services.openssh.enable = true; # Waggle identifies a node by its SSH host key.

    services.waggle-agent = {
      enable = true;
      package = (pkgs.callPackage (waggle + "/package.nix") { }).agent;
      operators = [
        # A placeholder: replace it by your public key, the content of ~/.ssh/id_ed25519.pub.
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
      ];
      openFirewall = true; # TCP port 9244
    };
  };

  attic = {
    imports = [ ./hardware-configuration.nix ];
    deployment.targetHost = "attic.example.org"; # a host name or an address

    boot.loader.grub.device = "/dev/sda";
    system.stateVersion = "24.11"; # the release that the machine was installed with
  };
}
