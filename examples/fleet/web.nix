# A web server, and behind it webhook, a small service that needs a secret.
{ config, pkgs, ... }:
{
  services.nginx = {
    enable = true;
    virtualHosts."hooks.example.org".locations."/".proxyPass = "http://localhost:9000";
  };
  networking.firewall.allowedTCPPorts = [ 80 ];

  # `waggle` reads this file on the laptop; it never gets into the Nix store. On the node, the
  # secret is the file /run/keys/hooks.
  deployment.keys.hooks = {
    keyFile = "/home/alice/secrets/hooks.json";
    user = "webhook";
    group = "webhook";
    permissions = "0400";
    restartUnits = [ "webhook.service" ]; # because webhook reads it only when it starts
  };

  users.users.webhook = {
    isSystemUser = true;
    group = "webhook";
  };
  users.groups.webhook = { };
  users.groups.keys.members = [ "webhook" ]; # may enter /run/keys

  systemd.services.webhook = {
    wantedBy = [ "multi-user.target" ];
    # hooks-key.service is active when the secret is in place.
    requires = [ "hooks-key.service" ];
    after = [ "hooks-key.service" "network.target" ];
    serviceConfig.User = "webhook";
    script = ''
      exec ${pkgs.webhook}/bin/webhook -ip 127.0.0.1 -port 9000 \
        -hooks ${config.deployment.keys.hooks.path}
    '';
  };

  # The new system stays only if these checks succeed on the node.
  deployment.healthChecks.http = [
    {
      description = "webhook answers through nginx";
      url = "http://localhost/";
      headers.Host = "hooks.example.org";
      deadline = 30; # seconds
    }
  ];
}
