# Every source of a secret, and every option that says what becomes of it.
{
  defaults = {
    imports = [ ./machine.nix ];
    users.users.some_user = { isSystemUser = true; group = "some_group"; };
    users.groups.some_group = { };
  };
  host-a.deployment.keys = {
    text = { text = "from the hive"; };
    file = { keyFile = ./machine.nix; };
    quoted-file = { keyFile = "/run/secrets/quoted"; };
    command = { keyCommand = [ "hostname" "--fqdn" ]; };
    everything = {
      name = "other-name";
      text = "x";
      destDir = "/var/keys";
      user = "some_user";
      group = "some_group";
      permissions = "0400";
      uploadAt = "post-activation";
    };
  };
}
