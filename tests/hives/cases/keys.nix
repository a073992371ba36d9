# Every source of a secret, and every option that says what becomes of it.
{
  defaults = ./machine.nix;
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
      group = "1000";
      permissions = "0400";
      uploadAt = "post-activation";
    };
  };
}
