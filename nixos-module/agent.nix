# services.waggle-agent: the agent that lets operators deploy to this node.
#
# Works on NixOS 20.09 and later, so it uses no newer option type or library function.
{ config, lib, options, pkgs, ... }@moduleArguments:
let
  inherit (lib) mkOption types;
  cfg = config.services.waggle-agent;
  check = import ./check.nix { inherit lib; };

  # Hives pass `name` to their modules; elsewhere, a node's name is its host name.
  nodeName = moduleArguments.name or config._module.args.name or config.networking.hostName;

  ownKeyFile = "${cfg.stateDir}/ssh_host_ed25519_key";
  sshd = config.services.openssh;
  sshdKeys = if sshd.enable then lib.filter (key: key.type == "ed25519") sshd.hostKeys else [ ];
  generatesKey = cfg.identityFile == ownKeyFile && lib.all (key: key.path != ownKeyFile) sshdKeys;

  # The addresses in `listen`, which waggle-agent.socket opens. The agent itself opens the sockets that are bound to
  # interfaces.
  addresses = lib.filter (entry: !check.isInterface entry) cfg.listen;
  isIPv6 = lib.hasInfix ":";
  listsIPv4 = lib.any (address: !isIPv6 address) addresses;
  listenStream = address:
    if address == "::" && !listsIPv4 then toString cfg.port # also if the kernel has no IPv6
    else (if isIPv6 address then "[${address}]" else address) + ":${toString cfg.port}";

  # Whether systemd itself creates the state directory; otherwise tmpfiles does.
  inVarLib = lib.hasPrefix "/var/lib/" cfg.stateDir;

  configFile = pkgs.writeText "waggle-agent.json" (builtins.toJSON ({
    v = 1;
    inherit (cfg) hive node listen port operators stateDir keep settings;
    inherit (pkgs.stdenv.hostPlatform) system;
    identityFile = toString cfg.identityFile;
    generateIdentity = generatesKey;
  } // lib.optionalAttrs (cfg.oldIdentityFiles != [ ]) { inherit (cfg) oldIdentityFiles; }
  // lib.optionalAttrs (cfg.secretMounts != [ ]) { inherit (cfg) secretMounts; }));

  # The health checks are part of the system itself, so that each system is checked by its own.
  # agent/units/health_check.hpp reads the file. A network that morph evaluates has morph's options, which lack some.
  healthChecks = config.deployment.healthChecks or { cmd = [ ]; http = [ ]; };
  healthCheckFile = pkgs.writeText "waggle-health-checks.json" (builtins.toJSON {
    v = 1;
    cmd = map (check: { inherit (check) description period timeout cmd; deadline = check.deadline or 60; }) healthChecks.cmd;
    http = map
      (check: {
        inherit (check) description period timeout headers insecureSSL;
        deadline = check.deadline or 60;
        status = check.status or [ ];
        url =
          if check.url or null != null then check.url
          else
            check.scheme + "://"
            + (if check.host == null then "localhost" else if lib.hasInfix ":" check.host then "[${check.host}]" else check.host)
            + lib.optionalString (check.port != null) ":${toString check.port}" + check.path;
      })
      healthChecks.http;
  });
  # The same for the rules that judge its units: agent/activation/unit_rules.hpp.
  rollback = config.deployment.rollback or { };
  unitRules = { v = 1; ignoreUnits = rollback.ignoreUnits or [ ]; settleTime = rollback.settleTime or 5; };
  unitRulesFile = pkgs.writeText "waggle-unit-rules.json" (builtins.toJSON unitRules);
  addToSystem = commands:
    if options.system ? extraSystemBuilderCmds then { extraSystemBuilderCmds = commands; }
    else { systemBuilderCommands = commands; };
in
{
  # The key makes it one module, whichever copy a hive imports in addition to the one that comes with the trigger.
  key = "waggle/nixos-module/agent.nix";
  _file = ./agent.nix;

  imports = [ ./keys.nix ];

  options.services.waggle-agent = {
    enable = lib.mkEnableOption "the Waggle agent, through which operators deploy to this node";

    package = mkOption {
      type = types.package;
      default = pkgs.waggle-agent or (throw ''
        services.waggle-agent.package is not set, and this nixpkgs has no waggle-agent. Import nixosModules.default of
        Waggle's flake, which sets it, or set it to a package with bin/waggle-agent.'');
      defaultText = "pkgs.waggle-agent";
      description = "The package with bin/waggle-agent.";
    };

    node = mkOption {
      type = types.str;
      default = nodeName;
      defaultText = "name in a hive, else config.networking.hostName";
      description = "This node's name. The agent refuses deployments for any other node.";
    };

    hive = mkOption {
      type = types.str;
      default = "hive";
      defaultText = "meta.name of the hive";
      description = "The hive that this node belongs to. The agent refuses deployments from any other hive.";
    };

    listen = mkOption {
      type = types.listOf types.str;
      default = [ "::" ];
      example = [ "192.0.2.7" "2001:db8::7" "wg0" ];
      description = ''
        Where the agent listens: IPv4 and IPv6 addresses, and names of network interfaces. An interface stands for all
        of its addresses, and "::" for all addresses of the node, including IPv4.
      '';
    };

    port = mkOption {
      type = types.ints.between 1 65535;
      default = 9244;
      description = "TCP port that the agent listens on.";
    };

    operators = mkOption {
      type = types.listOf types.str;
      apply = map (key: lib.removeSuffix "\r" (lib.removeSuffix "\n" key)); # for builtins.readFile ./alice.pub
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… alice@laptop" ];
      description = ''
        The keys that may deploy to this node: OpenSSH Ed25519 public keys, each a line of authorized_keys without options.
        The owner of any of these keys can become root on this node. The list takes effect when a deployment of this
        configuration is committed; after a switch by other means, with `waggle-agent adopt` at the console.
      '';
    };

    identityFile = mkOption {
      type = types.path;
      apply = toString;
      default = if sshdKeys != [ ] then (lib.head sshdKeys).path else ownKeyFile;
      defaultText = "the ed25519 entry of services.openssh.hostKeys if OpenSSH is enabled, else a file in stateDir";
      description = ''
        The OpenSSH Ed25519 private key that identifies this node to triggers: its SSH host key, which their known_hosts
        already has. The agent generates only a key in stateDir; it waits for any other.
      '';
    };

    oldIdentityFiles = mkOption {
      type = types.listOf types.path;
      apply = map toString;
      default = lib.filter (path: path != cfg.identityFile) (map (key: toString key.path) sshdKeys);
      defaultText = "the other ed25519 entries of services.openssh.hostKeys if OpenSSH is enabled";
      description = "Keys to which this node's secrets may still be encrypted while identityFile is being replaced.";
    };

    stateDir = mkOption {
      type = types.path;
      apply = toString;
      default = "/var/lib/waggle-agent";
      description = "The folder for persistent state: the last admitted deployment, and with it the protection against replays.";
    };

    keep = mkOption {
      type = types.nullOr (types.ints.between 1 1000000);
      default = 20;
      description = ''
        How many generations of the system profile to keep, whichever tool has made them. A commit of a deployment deletes
        older ones, but never the booted system, the running system and the system that a rollback needs. null: keep all.
      '';
    };

    nixPackage = mkOption {
      type = types.package;
      default = config.nix.package;
      defaultText = "config.nix.package";
      description = "The Nix package whose programs the agent uses.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port in the firewall: on the interfaces in listen, or on all if listen has an address.";
    };

    bootOnce = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = ''
        A program that makes a boot loader boot a system once, if Waggle does not support that boot loader
        (docs/how-to/reboots.md). It is called with `set TOPLEVEL`, after which the next boot, and only that one, must start
        this system; and with `forget`, which undoes that. systemd-boot and GRUB need none.
      '';
    };

    settings = mkOption {
      default = { };
      description = "Advanced settings.";
      type = types.submodule {
        options = {
          logLevel = mkOption {
            type = types.enum [ "trace" "debug" "info" "warning" "error" "off" ];
            default = "info";
            description = "The least severe level of message that the agent writes to the journal.";
          };
          maxConnections = mkOption {
            type = types.ints.between 1 4096;
            default = 32;
            description = "Maximum number of simultaneous connections. Beyond it, the agent closes the oldest one that has not authenticated.";
          };
          maxConnectionsPerAddress = mkOption {
            type = types.ints.between 1 4096;
            default = 8;
            description = "Maximum number of simultaneous connections from one address.";
          };
          storeTimeout = mkOption {
            type = types.ints.between 1 86400;
            default = 600;
            description = ''
              Seconds within which the Nix daemon must make progress with a deployment's request. It makes none while another
              process holds the lock of a store path. After 30 s, the operator sees what the deployment waits for.
            '';
          };
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    services.waggle-agent.configFile = configFile;

    assertions = map (sentence: { assertion = false; message = "services.waggle-agent: ${sentence}"; }) (
      lib.optional (cfg.operators == [ ])
        "operators is empty: no operator could deploy to node `${cfg.node}'. Add the public key of at least one operator."
      ++ check.operators "operators" cfg.operators
      ++ check.name "node" cfg.node
      ++ check.name "hive" cfg.hive
      ++ check.listen "listen" cfg.listen
      ++ check.absolutePath "identityFile" cfg.identityFile
      ++ check.absolutePath "stateDir" cfg.stateDir
      ++ check.ownFolder "stateDir" cfg.stateDir
      ++ check.persistent config.fileSystems "identityFile" cfg.identityFile
      ++ check.persistent config.fileSystems "stateDir" cfg.stateDir
      ++ lib.optional (lib.any (folder: lib.hasPrefix folder cfg.identityFile) [ "/home/" "/root/" "/run/user/" ])
        "identityFile is ${cfg.identityFile}, below a home directory, which the agent cannot see: name a file elsewhere."
      ++ lib.optional (lib.any (item: lib.elem item.cmd [ null [ ] ]) healthChecks.cmd)
        "deployment.healthChecks.cmd has a check whose cmd is empty."
      ++ lib.optional (config.system.autoUpgrade.enable or false)
        "system.autoUpgrade.enable is set: automatic upgrades and deployments would undo each other's work. Disable one of them."
      ++ lib.optional (!(config.system.switch.enable or true))
        "system.switch.enable is false: without bin/switch-to-configuration the agent could activate nothing. Leave it enabled, or disable the agent."
    );

    environment.systemPackages = [ cfg.package ];

    environment.etc = lib.mkIf (cfg.bootOnce != null) { "waggle/boot-once".source = cfg.bootOnce; };

    # The running agent reads the first file before it activates the system, to learn who could deploy afterwards.
    system = addToSystem ("ln -s ${configFile} $out/waggle-agent.json\n"
      + lib.optionalString (healthChecks.cmd != [ ] || healthChecks.http != [ ])
      "ln -s ${healthCheckFile} $out/waggle-health-checks.json\n"
      + lib.optionalString (unitRules != { v = 1; ignoreUnits = [ ]; settleTime = 5; })
      "ln -s ${unitRulesFile} $out/waggle-unit-rules.json\n");

    systemd.tmpfiles.rules = lib.optional (!inVarLib) "d ${cfg.stateDir} 0700 root root -";

    networking.firewall = lib.mkIf cfg.openFirewall (
      if lib.all check.isInterface cfg.listen
      then { interfaces = lib.genAttrs cfg.listen (_: { allowedTCPPorts = [ cfg.port ]; }); }
      else { allowedTCPPorts = [ cfg.port ]; }
    );

    # Holds the port while the agent is restarted, in emergency mode, and at boot before any user's process runs, so
    # that no other process can take it.
    systemd.sockets.waggle-agent = lib.mkIf (addresses != [ ]) {
      description = "Waggle agent";
      wantedBy = [ "sockets.target" ];
      before = [ "sockets.target" "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      listenStreams = map listenStream addresses;
      unitConfig = {
        # Keeps running when a failed mount starts emergency.target.
        DefaultDependencies = false;
        StartLimitIntervalSec = 0;
      };
      socketConfig = {
        BindIPv6Only = if listsIPv4 then "ipv6-only" else "both";
        FreeBind = true; # addresses may be added later
        ReusePort = true; # for root's sockets only, while one replaces another
        TriggerLimitIntervalSec = 0; # an agent that keeps failing must not close the port
      };
    };

    systemd.services.waggle-agent = {
      description = "Waggle agent";
      wantedBy = [ "multi-user.target" ];
      # The agent also wants its socket: an agent that had none is active when the new system's sockets are started, and
      # systemd does not start a socket whose service is active.
      wants = [ "network.target" ] ++ lib.optional (addresses != [ ]) "waggle-agent.socket";
      after = [
        "sysinit.target"
        "network.target"
        "nix-daemon.socket"
        # In newer releases, a separate unit generates the host keys; in older ones, sshd's unit does.
        (if config.systemd.services ? sshd-keygen then "sshd-keygen.service" else "sshd.service")
      ];
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      # For systemd-run, systemctl and journalctl, and for nix-env in the transient units, which inherit this PATH.
      path = [ config.systemd.package cfg.nixPackage ];

      # Nix programs read the home directory, and fail if they may not.
      environment.HOME = cfg.stateDir;

      # The activation restarts the agent itself, once the rest of the system is in place. If the switch restarted the
      # agent or removed its unit, the agent would end in the middle of the deployment that it is carrying out.
      restartIfChanged = false;

      unitConfig = {
        X-StopOnRemoval = false;
        # The key and the state directory may be on separate file systems. Without them, the agent would generate a new
        # identity or lose what it has admitted.
        RequiresMountsFor = [ cfg.identityFile cfg.stateDir ];
        # Keeps running when a failed mount starts emergency.target, which stops units with default dependencies.
        DefaultDependencies = false;
        # systemd never gives up restarting the agent, which may be the only way left to reach the node.
        StartLimitIntervalSec = 0;
      };

      serviceConfig = import ./sandbox.nix // {
        Type = "notify";
        ExecStart = "${cfg.package}/bin/waggle-agent daemon --config ${configFile}";
        Restart = "always";
        RestartSec = "100ms";
        FileDescriptorStoreMax = 64; # for the sockets that are bound to interfaces, while the agent restarts

        # The agent runs as root, to own its state, to read the host key and to be trusted by systemd. It has no
        # capability, so it can neither write files of other users, nor mount, nor trace. It asks systemd to start the
        # units that change the system.
        CapabilityBoundingSet = "";

        # Everything except its state is read-only. Sockets in read-only folders remain reachable: the nix daemon's,
        # systemd's private one, and D-Bus.
        ProtectSystem = "strict";
        ProtectHome = true;
        # There is no PrivateTmp, because with it the agent could not start if /tmp fails to mount.
        InaccessiblePaths = [ "-/tmp" "-/var/tmp" ];

        # AF_UNIX for the sockets above, AF_NETLINK for the addresses of interfaces.
        RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_NETLINK" "AF_UNIX" ];
        SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
      } // (if inVarLib then {
        StateDirectory = lib.removePrefix "/var/lib/" cfg.stateDir;
        StateDirectoryMode = "0700";
      } else {
        ReadWritePaths = [ cfg.stateDir ];
      });
    };
  };
}
