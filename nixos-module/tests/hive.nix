# The hive of deploy.nix: one machine, target, in the variant that a file names. It is evaluated twice, while the test
# is built and by the trigger in it, with the same result. So nothing is left to be built in the virtual machines, which
# have no network.
{ nixpkgs, system, variant }:
let
  pkgs = import nixpkgs { inherit system; };
  # The variants in addition to "one" and "two", which work.
  variants.broken = { systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; };
  variants.unreachable = { lib, ... }: { services.waggle-agent.openFirewall = lib.mkForce false; };
in
{
  meta = { name = "test"; nixpkgs = pkgs; };
  target = { ... }: {
    imports = [ ./target.nix (variants.${variant} or { }) ];
    environment.etc.word.text = variant;
    deployment = {
      targetHost = "target";
      agent.hostKey = builtins.readFile ./keys/target.pub;
      rollback.confirmTimeout = 20;
      keys.token = { text = "honey"; user = "web"; group = "keys"; permissions = "0440"; };
    };
  };
}
