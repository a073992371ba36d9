# A network for morph. The lines for Waggle are marked; everything else is as it was.
let
  pkgs = import <nixpkgs> { };
  # For Waggle: its checkout. In your own network, write its path.
  waggle = ../..;
in
{
  network = {
    inherit pkgs;
    description = "web servers";
    ordering.tags = [ "db" "web" ];
  };

  web01 = { pkgs, ... }: {
    imports = [
      ./hardware-configuration.nix
      # For Waggle: morph needs this import to know the agent's options; Waggle itself does not.
      (waggle + "/nixos-module/agent.nix")
    ];

    deployment = {
      targetHost = "web01.example.org";
      targetUser = "root";
      tags = [ "web" ];

      secrets.htpasswd = {
        source = "secrets/htpasswd"; # relative to this file
        destination = "/run/keys/htpasswd";
        owner.user = "nginx";
        owner.group = "nginx";
        permissions = "0400";
        action = [ "systemctl" "reload" "nginx.service" ];
      };

      healthChecks.http = [
        {
          scheme = "http";
          port = 80;
          path = "/healthz";
          description = "nginx answers";
          period = 1;
        }
      ];
    };

    services.openssh.enable = true;
    services.nginx = {
      enable = true;
      virtualHosts."web01.example.org" = {
        basicAuthFile = "/run/keys/htpasswd";
        locations."/healthz".extraConfig = ''
          auth_basic off;
          return 204;
        '';
      };
    };
    users.groups.keys.members = [ "nginx" ];
    networking.firewall.allowedTCPPorts = [ 80 ];

    boot.loader.grub.device = "/dev/sda";
    system.stateVersion = "24.11";

    # --- for Waggle -----------------------------------------------------------------------------
    services.waggle-agent = {
      enable = true;
      package = (pkgs.callPackage (waggle + "/package.nix") { }).agent;
      operators = [
        # A placeholder: replace it by your public key, the content of ~/.ssh/id_ed25519.pub.
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
      ];
      openFirewall = true; # TCP port 9244
    };
    # --------------------------------------------------------------------------------------------
  };
}
