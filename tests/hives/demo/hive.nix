# Three nodes with a greeting each. `waggle apply` makes them so.
{
  meta = {
    name = "demo";
    description = "Three nodes that greet";
  };

  # What all nodes have in common.
  defaults = {
    imports = [ ./agent.nix ./greeting.nix ./hardware.nix ];
  };

  alpha = {
    deployment.targetHost = "10.83.1.2";
    deployment.tags = [ "web" "canary" ];
  };

  beta = {
    deployment.targetHost = "10.83.2.2";
    deployment.tags = [ "web" ];
  };

  # Modules know their own name, and the other nodes of the hive.
  gamma = { name, nodes, ... }: {
    deployment.targetHost = "10.83.3.2";
    deployment.tags = [ "db" ];
    environment.etc.neighbours.text = toString (builtins.attrNames (removeAttrs nodes [ name ])) + "\n";
  };
}
