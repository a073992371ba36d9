# deployment.*: what the trigger needs to know about a node in addition to Colmena's options (colmena-options.nix). Of
# these options, only the health checks, rollback.ignoreUnits and rollback.settleTime become part of the system
# (agent.nix).
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  check = import ./check.nix { inherit lib; };

  hostKey = lib.mkOptionType {
    name = "sshHostKey";
    description = "OpenSSH Ed25519 public key (\"ssh-ed25519 AAAA…\", without a host name)";
    check = value: lib.isString value && check.isKey value;
    merge = lib.mergeEqualOption;
  };

  # The common options of health checks, as in morph; deadline is Waggle's own.
  commonOptions = {
    description = mkOption { type = types.str; default = ""; description = "What the check is about, for messages."; };
    period = mkOption { type = types.ints.between 0 86400; default = 2; description = "Seconds between two attempts."; };
    timeout = mkOption { type = types.ints.between 1 86400; default = 5; description = "Seconds that one attempt may take."; };
    deadline = mkOption {
      type = types.ints.between 1 86400;
      default = 60;
      description = "Seconds after which a check that has not succeeded has failed.";
    };
  };
in
{
  key = "waggle/nixos-module/deployment.nix";
  _file = ./deployment.nix;

  options.deployment = {
    agent = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether Waggle deploys to the node through its agent.";
      };
      port = mkOption {
        type = types.either (types.ints.between 1 65535) (types.listOf (types.ints.between 1 65535));
        default = config.services.waggle-agent.port or 9244;
        defaultText = "config.services.waggle-agent.port";
        example = [ 9300 9244 ];
        description = ''
          The port at which the trigger reaches the agent. It differs from the agent's own port if the connection is forwarded.
          Of several ports, the first that answers is used, even after a deployment that moves the agent to another of them.
        '';
      };
      hostKey = mkOption {
        type = types.nullOr hostKey;
        default = null;
        example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…";
        description = "The node's SSH host key. null: the one in known_hosts.";
      };
      via = mkOption {
        type = types.enum [ "direct" "ssh" ];
        default = "direct";
        description = ''
          How the trigger reaches the agent's port: "direct", or "ssh", which is through the node's SSH server (`ssh -W`), if the
          port is closed or the node is behind a jump host. Jump hosts, user and keys are those of ssh's configuration.
        '';
      };
    };

    rollback = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the node rolls back to its previous system if the new one fails.";
      };
      confirmTimeout = mkOption {
        type = types.ints.between 1 86400;
        default = 60;
        description = "Seconds after the activation within which the trigger must reach the new system.";
      };
      activationTimeout = mkOption {
        type = types.ints.between 1 86400;
        default = 1800;
        description = "Seconds that the activation and the health checks may take before the node rolls back.";
      };
      onFailedUnits = mkOption {
        type = types.enum [ "rollback" "keep" ];
        default = "rollback";
        description = "What to do with a new system in which units fail that the switch has started, restarted or changed.";
      };
      ignoreUnits = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "backup-*.service" ];
        description = ''
          Units whose failure is reported but does not cause a rollback: names, in which * stands for any characters and ? for
          one.
        '';
      };
      settleTime = mkOption {
        type = types.ints.between 0 3600;
        default = 5;
        description = ''
          Seconds after the switch within which a service that it has started must not fail. A switch that starts no service
          does not wait.
        '';
      };
    };

    healthChecks = {
      cmd = mkOption {
        type = types.listOf (types.submodule { options = commonOptions // {
          cmd = mkOption {
            type = types.listOf types.str;
            example = [ "systemctl" "is-active" "nginx.service" ];
            description = "The program, absolute or in the agent's PATH, and its arguments. There is no shell.";
          };
        }; });
        default = [ ];
        description = "Programs that must exit with code 0.";
      };
      http = mkOption {
        type = types.listOf (types.submodule { options = commonOptions // {
          url = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "http://localhost:8080/healthz";
            description = "The URL to request. null: it is made of scheme, host, port and path.";
          };
          scheme = mkOption { type = types.enum [ "http" "https" ]; default = "http"; description = "The scheme if url is null."; };
          host = mkOption { type = types.nullOr types.str; default = null; description = "The host if url is null. null: localhost."; };
          port = mkOption { type = types.nullOr types.port; default = null; description = "The port if url is null. null: the scheme's default."; };
          path = mkOption { type = types.str; default = "/"; description = "The path if url is null."; };
          headers = mkOption {
            type = types.attrsOf types.str;
            default = { };
            example = { Host = "www.example.org"; };
            description = "Headers of the request. They are part of the system, which every user of the node can read.";
          };
          status = mkOption {
            type = types.listOf (types.ints.between 100 599);
            default = [ ];
            example = [ 200 301 ];
            description = "Accepted status codes. Empty: 200 to 299. Redirects are not followed.";
          };
          insecureSSL = mkOption { type = types.bool; default = false; description = "Whether to accept any TLS certificate."; };
        }; });
        default = [ ];
        description = "HTTP servers that must answer requests from the node itself.";
      };
    };

    specialisation = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        The specialisation that a switch runs; "" is the system itself. null: the one that is running on the node, if the new
        system also has it. A reboot always starts the system itself.
      '';
    };

    localContent = mkOption {
      type = types.enum [ "trust-node" "exact" ];
      default = "trust-node";
      description = ''
        What to do if the node already has a path with other content than here, as from a build that is not reproducible:
        "trust-node" keeps and reports it, "exact" refuses the deployment.
      '';
    };
  };
}
