# Users and groups are made by activation snippets of these names or, with services.userborn or systemd.sysusers, by a unit, as
# on NixOS: a password file that is missing when they run locks the account.
{ config, lib, ... }:
let
  byUnit = config.services.userborn.enable || config.systemd.sysusers.enable;
  unit = if config.services.userborn.enable then "userborn" else "systemd-sysusers";
  snippet = text: if byUnit then "" else text;
  inherit (lib) mkOption types;
  user = { name, ... }: {
    options = {
      name = mkOption { type = types.str; default = name; };
      uid = mkOption { type = types.nullOr types.int; default = null; };
      group = mkOption { type = types.str; default = ""; };
      hashedPasswordFile = mkOption { type = types.nullOr types.str; default = null; };
      isNormalUser = mkOption { type = types.bool; default = false; };
      isSystemUser = mkOption { type = types.bool; default = false; };
      openssh.authorizedKeys.keys = mkOption { type = types.listOf types.str; default = [ ]; };
    };
  };
  group = { name, ... }: {
    options = {
      name = mkOption { type = types.str; default = name; };
      gid = mkOption { type = types.nullOr types.int; default = null; };
      members = mkOption { type = types.listOf types.str; default = [ ]; };
    };
  };
  users = lib.attrValues (lib.filterAttrs (name: _: name != "root") config.users.users);
  groupOf = user: if user.group == "" then "nogroup" else user.group;

  makeGroups = lib.concatMapStrings
    (group: ''
      getent group ${group.name} >/dev/null || groupadd --system ${lib.optionalString (group.gid != null) "--gid ${toString group.gid} "}${group.name}
    '')
    (lib.attrValues config.users.groups);
  makeUsers = lib.concatMapStrings
    (user: ''
      getent passwd ${user.name} >/dev/null ||
        useradd --system --no-create-home --gid ${groupOf user} ${lib.optionalString (user.uid != null) "--uid ${toString user.uid} "}${user.name}
    '' + lib.optionalString (user.hashedPasswordFile != null) ''
      if [ -e ${user.hashedPasswordFile} ]; then password=$(cat ${user.hashedPasswordFile}); else password='!'; fi
      echo "${user.name}:$password" | chpasswd --encrypted
    '')
    users;
in {
  config.users.groups.keys.gid = 96;
  config.system.activationScripts.groups.text = snippet makeGroups;
  config.system.activationScripts.users = { deps = [ "groups" ]; text = snippet makeUsers; };
  # Its relations to other units are those that it has in nixpkgs.
  config.systemd.services = lib.mkIf byUnit {
    ${unit} = {
      description = "Manage Users and Groups";
      wantedBy = [ "sysinit.target" ];
      requiredBy = [ "sysinit-reactivation.target" ];
      after = [ "systemd-remount-fs.service" ];
      before = [ "systemd-tmpfiles-setup-dev.service" "sysinit.target" "shutdown.target" "sysinit-reactivation.target" ];
      conflicts = [ "shutdown.target" ];
      unitConfig.DefaultDependencies = false;
      serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
      script = makeGroups + makeUsers;
    };
  };
  config.systemd.targets = lib.mkIf byUnit { sysinit-reactivation.description = "Reactivate sysinit units"; };
  options.services.userborn.enable = mkOption { type = types.bool; default = false; };
  options.systemd.sysusers.enable = mkOption { type = types.bool; default = false; };
  options.users = {
    mutableUsers = mkOption { type = types.bool; default = true; };
    users = mkOption { type = types.attrsOf (types.submodule user); default = { }; };
    groups = mkOption { type = types.attrsOf (types.submodule group); default = { }; };
  };
}
