# The arguments `name` and `nodes`; what is not as it should be has no derivation.
{
  defaults = ./machine.nix;
  host-a = { name, nodes, ... }:
    assert name == "host-a";
    assert builtins.attrNames nodes == [ "host-a" "host-b" ];
    { networking.domain = nodes.host-b.config.networking.hostName; };
  host-b = { name, nodes, ... }:
    assert name == "host-b";
    { networking.hostName = "b-${nodes.host-a.config.networking.hostName}"; };
}
