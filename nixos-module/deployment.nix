# deployment.*: what the trigger wants to know of a node. Nothing of it becomes part of the system.
{ config, lib, ... }@moduleArguments:
let
  inherit (lib) mkOption types;
  check = import ./check.nix { inherit lib; };
  nodeName = moduleArguments.name or config._module.args.name or config.networking.hostName;

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
    targetHost = mkOption {
      type = types.nullOr types.str;
      default = nodeName;
      defaultText = "the node's name";
      description = "Host name or address of the node. null: it cannot be reached, and is only built.";
    };

    targetPort = mkOption {
      type = types.nullOr types.port;
      default = null;
      description = "Port of its SSH server: known_hosts may list the host under it.";
    };

    tags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "web" "eu" ];
      description = "Words by which `--on @tag` selects the node.";
    };

    agent = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the node is deployed by its agent.";
      };
      port = mkOption {
        type = types.port;
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

    # Of Colmena's options, those that have no meaning where an agent does the work: accepted, so that a hive deploys
    # unchanged.
    targetUser = mkOption {
      type = types.nullOr types.str;
      default = "root";
      description = "Not used: the agent is root.";
    };
    sshOptions = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Not used: there is no SSH session.";
    };
    privilegeEscalationCommand = mkOption {
      type = types.listOf types.str;
      default = [ "sudo" "-H" "--" ];
      description = "Not used: the agent is root.";
    };
    allowLocalDeployment = mkOption {
      type = types.bool;
      default = false;
      description = "Not used yet.";
    };
    replaceUnknownProfiles = mkOption {
      type = types.bool;
      default = true;
      description = "Not used yet.";
    };
  };
}
