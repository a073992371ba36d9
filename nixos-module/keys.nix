# What a node with deployment.keys gets besides the files themselves: what brings them back at boot, offline, before whatever
# needs them, and <name>-key.service for each. docs/secrets.md says which stage is for what.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  agent = config.services.waggle-agent;
  keys = config.deployment.keys or { };
  paths = map (key: toString key.path) (lib.attrValues keys);
  command = arguments: "${agent.package}/bin/waggle-agent ${arguments}";
  withConfig = arguments: command "${arguments} --config ${agent.configFile}";

  # Mounted before anything of ours runs (nixos/lib/utils.nix, pathsNeededForBoot).
  early = [ "/" "/nix" "/nix/store" "/var" "/var/log" "/var/lib" "/var/lib/nixos" "/etc" "/usr" ];
  isLate = fs: !(fs.neededForBoot or false) && !(lib.elem fs.mountPoint early);
  holdsKeys = fs: lib.any (lib.hasPrefix "${fs.mountPoint}/") paths;
  lateMounts = map (fs: fs.mountPoint) (lib.filter (fs: isLate fs && holdsKeys fs) (lib.attrValues config.fileSystems));

  lateOf = path: map (fs: fs.mountPoint) (lib.filter (fs: isLate fs && lib.hasPrefix "${fs.mountPoint}/" path) (lib.attrValues config.fileSystems));

  # What no order of units can give: users are made before the disk with their secrets comes, and a disk that comes over the
  # network cannot come before the network's secrets.
  tooLate = lib.concatMap
    (name: lib.optionals (keys.${name}.neededForUsers or false) (lib.concatMap
      (needed: map
        (mount: "deployment.keys.${name} has neededForUsers, and ${needed.what} is ${needed.path}, on ${mount}, which is mounted after users are made: "
          + "set fileSystems.\"${mount}\".neededForBoot = true.")
        (lateOf needed.path))
      [
        { what = "services.waggle-agent.stateDir"; path = agent.stateDir; }
        { what = "services.waggle-agent.identityFile"; path = agent.identityFile; }
        { what = "its path"; path = toString keys.${name}.path; }
      ]))
    (lib.attrNames keys)
  ++ lib.concatMap
    (needed: map (fs: "services.waggle-agent.${needed.what} is ${needed.path}, on ${fs.mountPoint}, a file system of the network: secrets are in place before the network is, and could not be opened.")
      (lib.filter (fs: isLate fs && isRemote fs && lib.hasPrefix "${fs.mountPoint}/" needed.path) (lib.attrValues config.fileSystems)))
    [ { what = "stateDir"; path = agent.stateDir; } { what = "identityFile"; path = agent.identityFile; } ];
  # As systemd-fstab-generator and systemd.mount(5) know them.
  isRemote = fs: lib.elem "_netdev" (fs.options or [ ])
    || lib.elem (fs.fsType or "") [ "nfs" "nfs4" "cifs" "smb3" "smbfs" "ceph" "glusterfs" "gfs" "gfs2" "ocfs2" "lustre" "ncpfs" "sshfs" "fuse.sshfs" "davfs" "afs" "pvfs2" "orangefs" ];

  # As systemd-escape --path, for the characters that mount points have.
  escaped = path: lib.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (lib.removePrefix "/" path);
  unitOfMount = mount: "waggle-secrets-${escaped mount}";
  latestOf = path:
    map (mount: "${unitOfMount mount}.service") (lib.filter (mount: lib.hasPrefix "${mount}/" path) lateMounts);

  # Where users are made by a unit and not by an activation snippet.
  usersByUnit = config.systemd.sysusers.enable or false || config.services.userborn.enable or false;
  userUnits = [ "systemd-sysusers.service" "userborn.service" ];
  neededForUsers = lib.any (key: key.neededForUsers or false) (lib.attrValues keys);

  # No default dependencies: these come before sysinit.target, and stay when a failed mount brings emergency.target.
  service = unit: unit // {
    before = unit.before or [ ] ++ [ "shutdown.target" ];
    conflicts = [ "shutdown.target" ];
    # A new agent is no reason to restart them, and with them what requires them.
    restartIfChanged = false;
    stopIfChanged = false;
    # No limit on starts either: deployments may follow each other in seconds, and each starts some of these.
    unitConfig = { DefaultDependencies = false; StartLimitIntervalSec = 0; } // unit.unitConfig or { };
    serviceConfig = sandbox // { Type = "oneshot"; RemainAfterExit = true; } // unit.serviceConfig;
  };
  # What opens the bundle and writes files, as root.
  sandbox = import ./sandbox.nix // {
    # Files become their owners', in folders of these; memory is locked.
    CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_IPC_LOCK";
    # No ProtectSystem, ProtectHome and PrivateTmp: destDir may be anywhere.
    PrivateNetwork = true;
    # Names of users and groups come from nscd or systemd-userdbd.
    RestrictAddressFamilies = "AF_UNIX";
    SystemCallFilter = [ "@system-service" "~@resources @setuid @keyring" ];
  };
  # The state directory and the keys that open it; nothing else, or a disk that fails would keep all secrets away.
  own.RequiresMountsFor = [ agent.stateDir agent.identityFile ];
in
{
  key = "waggle/nixos-module/keys.nix";
  _file = ./keys.nix;

  options.services.waggle-agent = {
    configFile = mkOption { type = types.path; internal = true; description = "The agent's configuration."; };
    secretMounts = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
      description = "Mount points with secrets that come after the early unit.";
    };
  };

  config = mkIf agent.enable {
    services.waggle-agent.secretMounts = lateMounts;

    assertions = map (sentence: { assertion = false; message = sentence; }) tooLate;

    systemd.services = {
      # Also where the configuration has no keys: the newest secrets come back in every generation.
      waggle-secrets = service {
        description = "Secrets of this node";
        wantedBy = [ "sysinit.target" ];
        wants = [ "network-pre.target" ];
        before = [ "sysinit.target" "network-pre.target" "systemd-networkd.service" ];
        after = userUnits;
        unitConfig = own;
        serviceConfig.ExecStart = withConfig "install-secrets --stage boot";
      };
    }
    // lib.optionalAttrs (neededForUsers && usersByUnit) {
      waggle-secrets-for-users = service {
        description = "Secrets of this node that its users need";
        wantedBy = [ "sysinit.target" ];
        before = [ "sysinit.target" ] ++ userUnits;
        unitConfig = own;
        serviceConfig.ExecStart = withConfig "install-secrets --stage users";
      };
    }
    # The activation snippet below comes too early then: a switch restarts this target when users are made, before any unit
    # that might need a secret of theirs.
    // lib.optionalAttrs (keys != { } && usersByUnit) {
      waggle-secrets-for-owners = service {
        description = "Secrets of this node whose owners were made just now";
        wantedBy = [ "sysinit-reactivation.target" ];
        before = [ "sysinit-reactivation.target" ];
        after = userUnits;
        unitConfig = own;
        serviceConfig = { ExecStart = withConfig "install-secrets --stage owners"; RemainAfterExit = false; };
      };
    }
    // lib.listToAttrs (map
      (mount: lib.nameValuePair (unitOfMount mount) (service rec {
        description = "Secrets on ${mount}";
        wantedBy = [ "${escaped mount}.mount" ];
        bindsTo = wantedBy;
        after = wantedBy ++ [ "waggle-secrets.service" ];
        unitConfig = own;
        serviceConfig.ExecStart = withConfig "install-secrets --stage mount --mount ${mount}";
      }))
      lateMounts)
    // lib.mapAttrs'
      # A hive that Colmena evaluates has units of Colmena's under this name, which wait for the file as well.
      (name: key: lib.nameValuePair "${name}-key" (mkIf (!(config.systemd.paths or { } ? "${name}-key")) (service rec {
        description = "Secret ${name} is in place";
        wants = [ "waggle-secrets.service" ];
        after = wants ++ latestOf (toString key.path);
        unitConfig = own;
        serviceConfig = { ExecStart = withConfig "await-secret ${name}"; TimeoutStartSec = "infinity"; };
      })))
      keys;

    system.activationScripts = mkIf (keys != { } && !usersByUnit) ({
      # Owners that were made just now.
      waggleSecretOwners = {
        deps = [ "users" "groups" ];
        text = ''
          ${withConfig "install-secrets --stage owners"} --system "$systemConfig"
        '';
      };
    } // lib.optionalAttrs neededForUsers {
      waggleSecretsForUsers = {
        deps = [ "specialfs" ]; # mounts /run/keys
        text = ''
          ${withConfig "install-secrets --stage users"} --system "$systemConfig"
        '';
      };
      # Since 21.05 a snippet is a submodule, in which lists add up. NixOS 20.09 takes the last one.
      users =
        let dependency.deps = [ "waggleSecretsForUsers" ]; in
        if lib.versionAtLeast lib.trivial.release "21.05" then dependency else lib.mkAfter dependency;
    });
  };
}
