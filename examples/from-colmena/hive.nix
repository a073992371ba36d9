# A hive for Colmena. The lines for Waggle are marked; everything else is as it was.
let
  # For Waggle: its checkout. In your own hive, write its path.
  waggle = ../..;
in
{
  meta = {
    nixpkgs = import <nixpkgs> { };
  };

  defaults = { name, pkgs, ... }: {
    networking.hostName = name;
    services.openssh.enable = true;
    environment.systemPackages = [ pkgs.git pkgs.jq ];

    # --- for Waggle ---------------------------------------------------------------------------
    # Colmena needs this import to know the agent's options; Waggle does not.
    imports = [ (waggle + "/nixos-module/agent.nix") ];
    services.waggle-agent = {
      enable = true;
      package = (pkgs.callPackage (waggle + "/package.nix") { }).agent;
      operators = [
        # A placeholder: replace it by your public key, the content of ~/.ssh/id_ed25519.pub.
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA000000000000000000000000000000000000000000 you@laptop"
      ];
      openFirewall = true; # TCP port 9244
    };
    # ------------------------------------------------------------------------------------------
  };

  web = {
    imports = [ ./hardware-configuration.nix ];

    deployment = {
      targetHost = "web.example.org";
      targetUser = "root";
      tags = [ "web" ];
      keys.htpasswd = {
        keyCommand = [ "pass" "show" "web/htpasswd" ];
        user = "nginx";
        group = "nginx";
        permissions = "0400";
      };
    };

    services.nginx = {
      enable = true;
      virtualHosts."web.example.org".basicAuthFile = "/run/keys/htpasswd";
    };
    users.groups.keys.members = [ "nginx" ];
    networking.firewall.allowedTCPPorts = [ 80 ];

    boot.loader.grub.device = "/dev/sda";
    system.stateVersion = "24.11";
  };
}
