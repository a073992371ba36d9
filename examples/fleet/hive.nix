# Two web servers and a file server.
{
  meta = {
    name = "fleet"; # A node accepts deployments from the hive of this name only.
    nixpkgs = <nixpkgs>;
    allowApplyAll = false; # `waggle apply` without --on deploys nothing.
  };

  # The settings of all nodes.
  defaults = ./common.nix;

  web1 = {
    imports = [ ./web.nix ];
    deployment.targetHost = "web1.example.org";
    deployment.tags = [ "web" "canary" ]; # It gets every change first.
  };

  web2 = {
    imports = [ ./web.nix ];
    deployment.targetHost = "web2.example.org";
    deployment.tags = [ "web" ];
  };

  files1 = {
    imports = [ ./files.nix ];
    # Waggle uses the first address that answers.
    deployment.targetHost = [ "10.0.0.5" "files1.example.org" ];
    deployment.tags = [ "storage" ];
  };
}
