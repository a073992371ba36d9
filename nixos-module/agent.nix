# services.waggle-agent: the agent that lets operators deploy to this node.
#
# Works on NixOS 20.09 and later: no option type or library function that came after it.
{ config, lib, options, pkgs, ... }@moduleArguments:
let
  inherit (lib) mkOption types;
  cfg = config.services.waggle-agent;
  check = import ./check.nix { inherit lib; };

  # `name` as hives give it to their modules; elsewhere a node's name is its host name.
  nodeName = moduleArguments.name or config._module.args.name or config.networking.hostName;

  ownKeyFile = "${cfg.stateDir}/ssh_host_ed25519_key";
  sshd = config.services.openssh;
  sshdKeys = if sshd.enable then lib.filter (key: key.type == "ed25519") sshd.hostKeys else [ ];
  generatesKey = cfg.identityFile == ownKeyFile && lib.all (key: key.path != ownKeyFile) sshdKeys;

  # The addresses in `listen`, which waggle-agent.socket has; the agent binds its sockets to interfaces itself.
  addresses = lib.filter (entry: !check.isInterface entry) cfg.listen;
  isIPv6 = lib.hasInfix ":";
  listsIPv4 = lib.any (address: !isIPv6 address) addresses;
  listenStream = address:
    if address == "::" && !listsIPv4 then toString cfg.port # also where the kernel has no IPv6
    else (if isIPv6 address then "[${address}]" else address) + ":${toString cfg.port}";

  # Where systemd makes the state directory itself; elsewhere tmpfiles does.
  inVarLib = lib.hasPrefix "/var/lib/" cfg.stateDir;

  configFile = pkgs.writeText "waggle-agent.json" (builtins.toJSON ({
    v = 1;
    inherit (cfg) hive node listen port operators stateDir keep settings;
    inherit (pkgs.stdenv.hostPlatform) system;
    identityFile = toString cfg.identityFile;
    generateIdentity = generatesKey;
  } // lib.optionalAttrs (cfg.oldIdentityFiles != [ ]) { inherit (cfg) oldIdentityFiles; }
  // lib.optionalAttrs (cfg.secretMounts != [ ]) { inherit (cfg) secretMounts; }));

  # Part of the system itself, so that each is held against its own: agent/units/health_check.hpp reads it.
  healthChecks = config.deployment.healthChecks or { cmd = [ ]; http = [ ]; };
  healthCheckFile = pkgs.writeText "waggle-health-checks.json" (builtins.toJSON {
    v = 1;
    cmd = map (check: { inherit (check) description period timeout deadline cmd; }) healthChecks.cmd;
    http = map
      (check: {
        inherit (check) description period timeout deadline headers status insecureSSL;
        url =
          if check.url != null then check.url
          else
            check.scheme + "://"
            + (if check.host == null then "localhost" else if lib.hasInfix ":" check.host then "[${check.host}]" else check.host)
            + lib.optionalString (check.port != null) ":${toString check.port}" + check.path;
      })
      healthChecks.http;
  });
  # The same of how its units are judged: agent/activation/unit_rules.hpp.
  rollback = config.deployment.rollback or { };
  unitRules = { v = 1; ignoreUnits = rollback.ignoreUnits or [ ]; settleTime = rollback.settleTime or 5; };
  unitRulesFile = pkgs.writeText "waggle-unit-rules.json" (builtins.toJSON unitRules);
  addToSystem = commands:
    if options.system ? extraSystemBuilderCmds then { extraSystemBuilderCmds = commands; }
    else { systemBuilderCommands = commands; };
in
{
  # One module, whichever copy of it a hive imports besides the one that comes with the trigger.
  key = "waggle/nixos-module/agent.nix";
  _file = ./agent.nix;

  imports = [ ./keys.nix ];

  options.services.waggle-agent = {
    enable = lib.mkEnableOption "the Waggle agent, by which operators deploy to this node";

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
      description = "This node's name. Deployments for any other are refused.";
    };

    hive = mkOption {
      type = types.str;
      default = "hive";
      defaultText = "meta.name of the hive";
      description = "The hive that this node belongs to. Deployments of any other are refused.";
    };

    listen = mkOption {
      type = types.listOf types.str;
      default = [ "::" ];
      example = [ "192.0.2.7" "2001:db8::7" "wg0" ];
      description = ''
        Where the agent listens: IPv4 and IPv6 addresses, and names of network interfaces, which stand for every
        address that they have. "::" is every address of the node, IPv4 too.
      '';
    };

    port = mkOption {
      type = types.ints.between 1 65535;
      default = 9244;
      description = "TCP port that the agent listens on.";
    };

    operators = mkOption {
      type = types.listOf types.str;
      apply = map (key: lib.removeSuffix "\r" (lib.removeSuffix "\n" key)); # builtins.readFile ./alice.pub
      default = [ ];
      example = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… alice@laptop" ];
      description = ''
        Who may deploy to this node: OpenSSH Ed25519 public keys, one a line of authorized_keys without options.
        Whoever has one of these keys can become root here. Counts from the moment in which a deployment of this configuration
        is committed; after a switch by other means, from `waggle-agent adopt` at the console on.
      '';
    };

    identityFile = mkOption {
      type = types.path;
      apply = toString;
      default = if sshdKeys != [ ] then (lib.head sshdKeys).path else ownKeyFile;
      defaultText = "the ed25519 entry of services.openssh.hostKeys if OpenSSH is enabled, else a file in stateDir";
      description = ''
        The OpenSSH Ed25519 private key by which triggers know this node: its SSH host key, which is in their known_hosts
        already. Only a key in stateDir is generated by the agent; for any other it waits.
      '';
    };

    oldIdentityFiles = mkOption {
      type = types.listOf types.path;
      apply = map toString;
      default = lib.filter (path: path != cfg.identityFile) (map (key: toString key.path) sshdKeys);
      defaultText = "the other ed25519 entries of services.openssh.hostKeys if OpenSSH is enabled";
      description = "Keys for which this node's secrets may still be sealed, while identityFile is being replaced.";
    };

    stateDir = mkOption {
      type = types.path;
      apply = toString;
      default = "/var/lib/waggle-agent";
      description = "What the agent must not forget: the last admitted deployment, and with it what may not be replayed.";
    };

    keep = mkOption {
      type = types.nullOr (types.ints.between 1 1000000);
      default = 20;
      description = ''
        How many generations of the system profile are kept, by whomever they were made; older ones are let go of when a
        deployment is committed. The booted system, the one that runs and the one to go back to always stay. null: all are
        kept.
      '';
    };

    nixPackage = mkOption {
      type = types.package;
      default = config.nix.package;
      defaultText = "config.nix.package";
      description = "The Nix whose programs the agent uses.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port in the firewall: on the interfaces that listen names, on all if it names an address.";
    };

    bootOnce = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = ''
        A program that makes a boot loader boot a system once, where Waggle does not know how (docs/reboots.md): it is called
        with `set TOPLEVEL`, after which the next boot, and only that one, must be this system; and with `forget`, which takes
        it back. systemd-boot and GRUB need none.
      '';
    };

    settings = mkOption {
      default = { };
      description = "Settings that few need.";
      type = types.submodule {
        options = {
          logLevel = mkOption {
            type = types.enum [ "trace" "debug" "info" "warning" "error" "off" ];
            default = "info";
            description = "What the agent writes to the journal.";
          };
          maxConnections = mkOption {
            type = types.ints.between 1 4096;
            default = 32;
            description = "Connections at a time; when there are more, the oldest that has not proved anything is closed.";
          };
          maxConnectionsPerAddress = mkOption {
            type = types.ints.between 1 4096;
            default = 8;
            description = "Connections at a time from one address.";
          };
          storeTimeout = mkOption {
            type = types.ints.between 1 86400;
            default = 600;
            description = ''
              Seconds in which the Nix daemon must make progress with what a deployment asks for. It makes none while another
              process holds the lock of a store path. After 30 s the operator is told what is waited for.
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
        "operators is empty: nobody could deploy to node `${cfg.node}'. Add the public key of at least one operator."
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
      ++ lib.optional (lib.any (item: item.cmd == [ ]) healthChecks.cmd)
        "deployment.healthChecks.cmd has a check whose cmd is empty."
      ++ lib.optional (config.system.autoUpgrade.enable or false)
        "system.autoUpgrade.enable is set: two that deploy to one node undo each other's work. Disable one of them."
      ++ lib.optional (!(config.system.switch.enable or true))
        "system.switch.enable is false: without bin/switch-to-configuration the agent could activate nothing. Leave it enabled, or disable the agent."
    );

    environment.systemPackages = [ cfg.package ];

    environment.etc = lib.mkIf (cfg.bootOnce != null) { "waggle/boot-once".source = cfg.bootOnce; };

    # The running agent reads the first before it activates the system: who could deploy afterwards?
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

    # Holds the port while the agent is restarted, in emergency mode, and at boot before any user's process runs: no other
    # process can take it.
    systemd.sockets.waggle-agent = lib.mkIf (addresses != [ ]) {
      description = "Waggle agent";
      wantedBy = [ "sockets.target" ];
      before = [ "sockets.target" "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      listenStreams = map listenStream addresses;
      unitConfig = {
        # Stays when a failed mount brings emergency.target.
        DefaultDependencies = false;
        StartLimitIntervalSec = 0;
      };
      socketConfig = {
        BindIPv6Only = if listsIPv4 then "ipv6-only" else "both";
        FreeBind = true; # addresses may come later
        ReusePort = true; # for root's sockets only: while one is replaced by another
        TriggerLimitIntervalSec = 0; # an agent that fails again and again must not close the port
      };
    };

    systemd.services.waggle-agent = {
      description = "Waggle agent";
      wantedBy = [ "multi-user.target" ];
      # The socket also here: an agent that had none is active when the new system's sockets are started, and systemd
      # starts no socket whose service is.
      wants = [ "network.target" ] ++ lib.optional (addresses != [ ]) "waggle-agent.socket";
      after = [
        "sysinit.target"
        "network.target"
        "nix-daemon.socket"
        # Host keys are made by a unit of their own in newer releases, by sshd's in older ones.
        (if config.systemd.services ? sshd-keygen then "sshd-keygen.service" else "sshd.service")
      ];
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      # systemd-run, systemctl, journalctl; nix-daemon where no daemon runs.
      path = [ config.systemd.package cfg.nixPackage ];

      # Nix programs look into the home directory, and fail where they may not.
      environment.HOME = cfg.stateDir;

      # The activation restarts the agent itself, when the system around it is in place. A switch that did so, or that
      # removed the unit, would end the agent in the middle of the deployment it is carrying out.
      restartIfChanged = false;

      unitConfig = {
        X-StopOnRemoval = false;
        # A key or state directory on a file system of its own: without it the agent would make a new identity or forget
        # what it admitted.
        RequiresMountsFor = [ cfg.identityFile cfg.stateDir ];
        # Stays when a failed mount brings emergency.target, which stops units with default dependencies.
        DefaultDependencies = false;
        # Never gives up: nothing else might be left to reach the node by.
        StartLimitIntervalSec = 0;
      };

      serviceConfig = import ./sandbox.nix // {
        Type = "notify";
        ExecStart = "${cfg.package}/bin/waggle-agent daemon --config ${configFile}";
        Restart = "always";
        RestartSec = "100ms";
        FileDescriptorStoreMax = 64; # the sockets that are bound to interfaces, while it is restarted

        # Root, to own its state, to read the host key, to be believed by systemd. Root without any capability: it cannot
        # write what others own, nor mount, nor trace. What changes the system runs in units that it asks systemd to start.
        CapabilityBoundingSet = "";

        # Everything is read-only but its state. Sockets stay reachable in read-only folders: the nix daemon's,
        # systemd's private one, D-Bus.
        ProtectSystem = "strict";
        ProtectHome = true;
        # Not PrivateTmp, with which the agent could not start where /tmp fails to mount.
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
