# Tags add up with those of the defaults, names are the hosts, a node may say otherwise, and read what another says.
{
  defaults = { imports = [ ./machine.nix ]; deployment.tags = [ "common-tag" ]; };
  host-a = { name, nodes, ... }: {
    deployment.tags = [ "a-tag" ];
    networking.hostName = "${name}-before-${toString nodes.host-b.config.deployment.targetPort}";
  };
  host-b = {
    deployment.targetHost = "somehost.tld";
    deployment.targetPort = 1234;
    deployment.targetUser = "luser";
    deployment.buildOnTarget = true;
  };
}
