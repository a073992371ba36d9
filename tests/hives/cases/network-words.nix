# What morph and NixOps know and Waggle does not need, and morph's secrets.
{
  network = { description = "n"; enableRollback = true; nixConfig = { }; pkgs = import <nixpkgs> { }; };
  resources.sshKeyPairs.k = { };
  defaults = ./machine.nix;
  "host-a".deployment = { targetEnv = "none"; targetHost = "10.0.0.1"; substituteOnDestination = true; };
  "host-b" = { users.users.app = { isSystemUser = true; group = "app"; }; users.groups.app = { }; deployment = {
    buildOnly = true;
    preDeployChecks = { };
    secrets = {
      relative = { source = "secrets/a"; destination = "/etc/app/key"; owner.user = "app"; };
      absolute = { source = "/secrets/b"; destination = "/srv/file"; permissions = "0440"; action = [ "systemctl" "restart" "x" ]; };
    };
  }; };
  "not.a.host.name" = { };
  named.networking.hostName = "other";
}
