# A node with secrets of every kind, and units that use them. `folder` is where the operator's machine has the secrets.
# With `userborn`, a unit creates the users; without it, the activation does.
{ folder, text, userborn }:
let
  uses = key: more: {
    wantedBy = [ "multi-user.target" ];
    after = [ "${key}-key.service" ];
    requires = [ "${key}-key.service" ];
    script = "test -r /run/keys/${key} || exit 1; echo it is there; exec sleep infinity";
    serviceConfig = more;
  };
in
{
  users.mutableUsers = false;
  users.groups.web = { };
  users.users.web = { isSystemUser = true; group = "web"; };
  users.users.admin = { isSystemUser = true; hashedPasswordFile = "/run/keys/password"; };
  services.userborn.enable = userborn;

  systemd.services.uses-one = uses "one" { };
  systemd.services.uses-two = uses "two" { User = "web"; SupplementaryGroups = "keys"; };
  # Waits for no other unit: also during a switch, secrets belong to their users before units start.
  systemd.services.reads-two = {
    wantedBy = [ "multi-user.target" ];
    before = [ "two-key.service" ];
    script = "cat /run/keys/two >/dev/null";
    serviceConfig = { User = "web"; SupplementaryGroups = "keys"; Type = "oneshot"; RemainAfterExit = true; };
  };
  systemd.services.reads-disk = {
    wantedBy = [ "multi-user.target" ];
    after = [ "disk-key.service" ];
    requires = [ "disk-key.service" ];
    script = "echo it is there; exec sleep infinity";
    serviceConfig.ExecReload = "/bin/sh -c 'echo it is read again'";
  };
  systemd.services.uses-far = {
    wantedBy = [ "multi-user.target" ];
    wants = [ "remote-fs.target" ];
    after = [ "far-key.service" ];
    requires = [ "far-key.service" ];
    script = "test -r /far/keys/far; exec sleep infinity";
  };

  # /far is a network mount: systemd mounts it from fstab, as on NixOS, and its server does not answer while the file
  # /var/lib/far-is-away exists.
  systemd.services.far-server = {
    unitConfig.DefaultDependencies = false;
    after = [ "network.target" ];
    serviceConfig.Type = "oneshot";
    script = "while [ -e /var/lib/far-is-away ]; do sleep 0.1; done";
  };
  environment.etc.fstab.text = "far /far tmpfs _netdev,mode=755,x-systemd.requires=far-server.service 0 0\n";
  fileSystems."/far" = { device = "far"; fsType = "tmpfs"; options = [ "_netdev" ]; };

  # /late is mounted on request.
  fileSystems."/late" = { device = "tmpfs"; fsType = "tmpfs"; };
  systemd.mounts = [ { what = "tmpfs"; where = "/late"; type = "tmpfs"; mountConfig.Options = "mode=755"; } ];

  deployment.keys = {
    one = { keyFile = "${folder}/one"; restartUnits = [ "uses-one.service" ]; };
    two = {
      keyCommand = [ "cat" "${folder}/two" ];
      user = "web";
      group = "web";
      permissions = "0440";
      restartUnits = [ "uses-two.service" ];
    };
    text = { inherit text; uploadAt = "post-activation"; };
    disk = { keyFile = "${folder}/disk"; destDir = "/var/lib/kept/keys"; reloadUnits = [ "reads-disk.service" ]; };
    far = { keyFile = "${folder}/far"; destDir = "/far/keys"; };
    late = { keyFile = "${folder}/late"; destDir = "/late/keys"; };
    password = { keyFile = "${folder}/password"; neededForUsers = true; };
  };
}
