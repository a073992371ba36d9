# deployment.*: the options that Waggle has in common with Colmena, under the same names. In a file of their own, because in
# a hive that Colmena evaluates they are there already.
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
        Host name or address of the node, or several: the first that answers counts, also after a deployment that moves the
        node from one to another. null: it cannot be reached, and is only built.
      '';
    };

    targetPort = mkOption {
      type = types.nullOr (types.ints.between 1 65535);
      default = null;
      description = "Port of its SSH server: known_hosts may list the host under it.";
    };

    tags = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "web" "eu" ];
      description = "Words by which `--on @tag` selects the node.";
    };

    buildOnTarget = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the node builds its system itself: it gets the derivations and sources that it lacks, and no other machine
        builds for it. --build-on-target and --no-build-on-target say otherwise for a run.
      '';
    };

    # Those that have no meaning where an agent does the work: accepted, so that a hive deploys unchanged. hive.nix warns of
    # those whose author may have counted on them.
    targetUser = mkOption {
      type = types.nullOr types.str;
      default = "root";
      description = "Not used: the agent is root.";
    };
    sshOptions = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Not used: with deployment.agent.via = \"ssh\" what is in ~/.ssh/config counts.";
    };
    privilegeEscalationCommand = mkOption {
      type = types.listOf types.str;
      default = [ "sudo" "-H" "--" ];
      description = "Not used: the agent is root.";
    };
    allowLocalDeployment = mkOption {
      type = types.bool;
      default = false;
      description = "Not used: an agent is deployed to from wherever an operator is.";
    };
    replaceUnknownProfiles = mkOption {
      type = types.bool;
      default = true;
      description = ''
        false: refuse to deploy when the node's system is not in the store of the machine that deploys, unless
        --force-replace-unknown-profiles is said.
      '';
    };
  };
}
