# What a node with deployment.keys gets in addition to the files themselves: units that restore them at boot, offline,
# before any unit that needs them, and <name>-key.service for each. docs/explanation/secrets.md describes the stages.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  agent = config.services.waggle-agent;
  keys = config.deployment.keys or { };
  paths = map (key: toString key.path) (lib.attrValues keys);
  command = arguments: "${agent.package}/bin/waggle-agent ${arguments}";
  withConfig = arguments: command "${arguments} --config ${agent.configFile}";

  # Mounted before any of our units runs (nixos/lib/utils.nix, pathsNeededForBoot).
  early = [ "/" "/nix" "/nix/store" "/var" "/var/log" "/var/lib" "/var/lib/nixos" "/etc" "/usr" ];
  isLate = fs: !(fs.neededForBoot or false) && !(lib.elem fs.mountPoint early);
  holdsKeys = fs: lib.any (lib.hasPrefix "${fs.mountPoint}/") paths;
  lateMounts = map (fs: fs.mountPoint) (lib.filter (fs: isLate fs && holdsKeys fs) (lib.attrValues config.fileSystems));

  lateOf = path: map (fs: fs.mountPoint) (lib.filter (fs: isLate fs && lib.hasPrefix "${fs.mountPoint}/" path) (lib.attrValues config.fileSystems));

  # What no order of units can achieve: users are created before the disk with their secrets is mounted, and a disk on
  # the network cannot be mounted before the network's secrets are in place.
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
  # As systemd-fstab-generator and systemd.mount(5) recognize them.
  isRemote = fs: lib.elem "_netdev" (fs.options or [ ])
    || lib.elem (fs.fsType or "") [ "nfs" "nfs4" "cifs" "smb3" "smbfs" "ceph" "glusterfs" "gfs" "gfs2" "ocfs2" "lustre" "ncpfs" "sshfs" "fuse.sshfs" "davfs" "afs" "pvfs2" "orangefs" ];

  # Like systemd-escape --path, for the characters that mount points have.
  escaped = path: lib.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (lib.removePrefix "/" path);
  unitOfMount = mount: "waggle-secrets-${escaped mount}";
  latestOf = path:
    map (mount: "${unitOfMount mount}.service") (lib.filter (mount: lib.hasPrefix "${mount}/" path) lateMounts);

  # Whether a unit creates the users, and not an activation snippet.
  usersByUnit = config.systemd.sysusers.enable or false || config.services.userborn.enable or false;
  userUnits = [ "systemd-sysusers.service" "userborn.service" ];
  neededForUsers = lib.any (key: key.neededForUsers or false) (lib.attrValues keys);

  # These units have no default dependencies: they run before sysinit.target, and stay active when a failed mount starts
  # emergency.target.
  service = unit: unit // {
    before = unit.before or [ ] ++ [ "shutdown.target" ];
    conflicts = [ "shutdown.target" ];
    # A new agent must not restart these units, nor thereby the units that require them.
    restartIfChanged = false;
    stopIfChanged = false;
    # There is no start limit either: deployments may follow each other within seconds, and each starts some of these
    # units.
    unitConfig = { DefaultDependencies = false; StartLimitIntervalSec = 0; } // unit.unitConfig or { };
    serviceConfig = sandbox // { Type = "oneshot"; RemainAfterExit = true; } // unit.serviceConfig;
  };
  # The sandbox of the units that decrypt the bundle and write files, as root.
  sandbox = import ./sandbox.nix // {
    # Files are given to their owners, in the owners' folders; memory is locked.
    CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_IPC_LOCK";
    # There are no ProtectSystem, ProtectHome and PrivateTmp, because destDir may be anywhere.
    PrivateNetwork = true;
    # Names of users and groups come from nscd or systemd-userdbd.
    RestrictAddressFamilies = "AF_UNIX";
    SystemCallFilter = [ "@system-service" "~@resources @setuid @keyring" ];
  };
  # The units require only the state directory and the key that decrypts the bundle; otherwise a failing disk would
  # affect all secrets.
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
      description = "Mount points with secrets that are mounted after the early unit.";
    };
  };

  config = mkIf agent.enable {
    services.waggle-agent.secretMounts = lateMounts;

    assertions = map (sentence: { assertion = false; message = sentence; }) tooLate;

    systemd.services = {
      # This unit exists even if the configuration has no keys, because every generation restores the newest secrets.
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
    # The activation snippet below would run too early then. A switch restarts this target after users are created,
    # before any unit that might need one of their secrets.
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
      # A hive that Colmena evaluates has Colmena's own units of this name, which wait for the file as well.
      (name: key: lib.nameValuePair "${name}-key" (mkIf (!(config.systemd.paths or { } ? "${name}-key")) (service rec {
        description = "Secret ${name} is in place";
        wants = [ "waggle-secrets.service" ];
        after = wants ++ latestOf (toString key.path);
        unitConfig = own;
        serviceConfig = { ExecStart = withConfig "await-secret ${name}"; TimeoutStartSec = "infinity"; };
      })))
      keys;

    system.activationScripts = mkIf (keys != { } && !usersByUnit) ({
      # For owners that were just created.
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
      # Since 21.05, a snippet is a submodule, in which lists are merged. NixOS 20.09 uses the last one.
      users =
        let dependency.deps = [ "waggleSecretsForUsers" ]; in
        if lib.versionAtLeast lib.trivial.release "21.05" then dependency else lib.mkAfter dependency;
    });
  };
}
