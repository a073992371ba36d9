# deployment.*: the options that Waggle shares with Colmena, under the same names. They are in a separate file, because
# a hive that Colmena evaluates already declares them.
{ config, lib, ... }@moduleArguments:
let
  inherit (lib) mkOption types;
  nodeName = moduleArguments.name or config._module.args.name or config.networking.hostName;
in
{
  key = "waggle/nixos-module/colmena-options.nix";
  _file = ./colmena-options.nix;

  options.deployment = {
    targetHost = mkOption {
      type = types.nullOr (types.either types.str (types.listOf types.str));
      default = nodeName;
      defaultText = "the node's name";
      example = [ "web.example.org" "10.0.0.7" ];
      description = ''
        Host name or address of the node. Of several, the first that answers is used, even after a deployment that moves the
        node to another of them. null: the node cannot be reached, and is only built.
      '';
    };

    targetPort = mkOption {
      type = types.nullOr (types.ints.between 1 65535);
      default = null;
      description = "Port of the node's SSH server. known_hosts may list the host with this port.";
    };

    tags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "web" "eu" ];
      description = "Tags by which `--on @tag` selects the node.";
    };

    buildOnTarget = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the node builds its system itself: it gets the derivations and sources that it lacks, and no other machine
        builds for it. --build-on-target and --no-build-on-target override this for one run.
      '';
    };

    # Options that have no meaning with an agent are accepted, so that a hive deploys unchanged. hive.nix warns about
    # those that the author may have relied on.
    targetUser = mkOption {
      type = types.nullOr types.str;
      default = "root";
      description = "Not used: the agent is root.";
    };
    sshOptions = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Not used: with deployment.agent.via = \"ssh\", ~/.ssh/config applies.";
    };
    privilegeEscalationCommand = mkOption {
      type = types.listOf types.str;
      default = [ "sudo" "-H" "--" ];
      description = "Not used: the agent is root.";
    };
    allowLocalDeployment = mkOption {
      type = types.bool;
      default = false;
      description = "Not used: an operator can deploy to an agent from any machine.";
    };
    replaceUnknownProfiles = mkOption {
      type = types.bool;
      default = true;
      description = ''
        false: refuse to deploy if the node's system is not in the store of the machine that deploys, unless
        --force-replace-unknown-profiles is given.
      '';
    };
  };
}
