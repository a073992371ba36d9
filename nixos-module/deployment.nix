# deployment.*: what the trigger wants to know of a node besides Colmena's options (colmena-options.nix). Of it only the health
# checks, rollback.ignoreUnits and rollback.settleTime become part of the system (agent.nix).
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

  # Of health checks, as in morph; deadline is ours.
  commonOptions = {
    description = mkOption { type = types.str; default = ""; description = "What it checks, for people."; };
    period = mkOption { type = types.ints.between 0 86400; default = 2; description = "Seconds between two tries."; };
    timeout = mkOption { type = types.ints.between 1 86400; default = 5; description = "Seconds that one try may take."; };
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
        description = "Whether the node is deployed by its agent.";
      };
      port = mkOption {
        type = types.either (types.ints.between 1 65535) (types.listOf (types.ints.between 1 65535));
        default = config.services.waggle-agent.port or 9244;
        defaultText = "config.services.waggle-agent.port";
        example = [ 9300 9244 ];
        description = ''
          The port to reach its agent at; another than the agent's own where the way there is forwarded. Of several the first
          that answers counts, also after a deployment that moves the agent from one to another.
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
          How the trigger reaches the agent's port: "direct", or "ssh": through the node's SSH server by `ssh -W`, where the port is
          closed or the node is behind a jump host. Jump hosts, user and keys are those of ssh's configuration.
        '';
      };
    };

    rollback = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the node goes back to its previous system when the new one fails.";
      };
      confirmTimeout = mkOption {
        type = types.ints.between 1 86400;
        default = 60;
        description = "Seconds after the activation within which the new system must be reached.";
      };
      activationTimeout = mkOption {
        type = types.ints.between 1 86400;
        default = 1800;
        description = "Seconds that the activation and the health checks may take, before the node goes back.";
      };
      onFailedUnits = mkOption {
        type = types.enum [ "rollback" "keep" ];
        default = "rollback";
        description = "What becomes of a new system in which units fail that the switch has started, restarted or changed.";
      };
      ignoreUnits = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "backup-*.service" ];
        description = ''
          Units whose failure is reported, but is no reason to roll back: names, in which * stands for any characters and ? for
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
            description = "The program, absolute or in the PATH of the agent, and its arguments. No shell.";
          };
        }; });
        default = [ ];
        description = "Programs that must end with 0.";
      };
      http = mkOption {
        type = types.listOf (types.submodule { options = commonOptions // {
          url = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "http://localhost:8080/healthz";
            description = "What to ask for. null: it is put together from scheme, host, port and path.";
          };
          scheme = mkOption { type = types.enum [ "http" "https" ]; default = "http"; description = "Without url: how."; };
          host = mkOption { type = types.nullOr types.str; default = null; description = "Without url: where. null: localhost."; };
          port = mkOption { type = types.nullOr types.port; default = null; description = "Without url: the port. null: the scheme's."; };
          path = mkOption { type = types.str; default = "/"; description = "Without url: what."; };
          headers = mkOption {
            type = types.attrsOf types.str;
            default = { };
            example = { Host = "www.example.org"; };
            description = "Headers of the request. They are part of the system, which everybody on the node can read.";
          };
          status = mkOption {
            type = types.listOf (types.ints.between 100 599);
            default = [ ];
            example = [ 200 301 ];
            description = "Statuses that are well. Empty: 200 to 299. Redirects are not followed.";
          };
          insecureSSL = mkOption { type = types.bool; default = false; description = "Whether any TLS certificate will do."; };
        }; });
        default = [ ];
        description = "HTTP servers that must answer, asked from the node itself.";
      };
    };

    specialisation = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        The specialisation that a switch runs; "" is the system itself. null: the one that runs on the node now, if the new
        system has it, too. A reboot always starts the system itself.
      '';
    };

    localContent = mkOption {
      type = types.enum [ "trust-node" "exact" ];
      default = "trust-node";
      description = ''
        A path that the node has already with another content than here, as builds that are not reproducible leave it:
        "trust-node" keeps and reports it, "exact" refuses the deployment.
      '';
    };
  };
}
