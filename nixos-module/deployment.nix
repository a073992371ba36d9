# deployment.*: what the trigger wants to know of a node besides Colmena's options (colmena-options.nix). Nothing of it becomes
# part of the system.
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
        type = types.ints.between 1 65535;
        default = config.services.waggle-agent.port or 9244;
        defaultText = "config.services.waggle-agent.port";
        description = "The port to reach its agent at; another than the agent's own where the way there is forwarded.";
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

    # Part of every deployment already; agents do not act on it yet.
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
      onFailedUnits = mkOption {
        type = types.enum [ "rollback" "keep" ];
        default = "rollback";
        description = "What becomes of a new system in which units failed that did not fail before.";
      };
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
