# The settings of all nodes.
{ name, pkgs, ... }:
let
  # The checkout of Waggle. In a copy of this directory, write its path.
  waggle = ../..;
in
{
  imports = [ ./hardware-configuration.nix ];

  networking.hostName = name;
  services.openssh.enable = true; # Waggle identifies a node by its SSH host key.

  services.waggle-agent = {
    enable = true;
    package = (pkgs.callPackage (waggle + "/package.nix") { }).agent;
    operators = [
      # Placeholders: replace them by the public keys of all people and CI jobs that may deploy.
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 alice@laptop"
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 ci"
    ];
    openFirewall = true; # TCP port 9244
  };

  # A node rolls back unless `waggle` reaches its new system within this time after the activation.
  deployment.rollback.confirmTimeout = 120; # seconds

  boot.loader.grub.device = "/dev/sda";
  system.stateVersion = "24.11"; # the release that the machines were installed with
}
