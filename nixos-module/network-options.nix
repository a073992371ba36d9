# The options of morph's and NixOps' networks. morph's deployment.secrets become deployment.keys, buildOnly is
# respected, and the other options are accepted so that the network evaluates; hive.nix warns about those that are set.
# `folder` is the network's.
{ folder }:
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  unused = [
    # morph
    "preDeployChecks" "substituteOnDestination"
    # NixOps, and its backends
    "alwaysActivate" "autoLuks" "autoRaid0" "azure" "container" "datadog" "digitalOcean" "ec2" "encryptedLinksTo" "gce"
    "hasFastConnection" "hetzner" "hetznerCloud" "libvirtd" "none" "owners" "packet" "provisionSSHKey" "publicIPv4" "route53"
    "storeKeysOnMachine" "targetEnv" "virtualbox"
  ];

  # NixOS asserts that autoLuks is not used, and treats { } as not set (nixos/modules/misc/nixops-autoluks.nix).
  unset = { autoLuks = { }; };
  default = name: unset.${name} or null;

  secret = { name, ... }: {
    options = {
      source = mkOption { type = types.either types.path types.str; description = "The file with the secret, where `waggle` runs."; };
      destination = mkOption { type = types.str; description = "The file on the node."; };
      owner = {
        user = mkOption { type = types.str; default = "root"; description = "The file's owner."; };
        group = mkOption { type = types.str; default = "root"; description = "The file's group."; };
      };
      permissions = mkOption { type = types.str; default = "0400"; description = "The file's mode."; };
      action = mkOption { type = types.listOf types.str; default = [ ]; description = "Not used: see deployment.keys.*.restartUnits."; };
      mkDirs = mkOption { type = types.bool; default = true; description = "Not used: missing folders are always created."; };
      uploadAt = mkOption { type = types.enum [ "pre-activation" "post-activation" ]; default = "pre-activation"; description = "When the file is written."; };
    };
  };

  # morph resolves a source relative to the folder of the network's file.
  absolute = source:
    let text = toString source; in
    if lib.hasPrefix "/" text then text else toString folder + "/" + text;
in
{
  key = "waggle/nixos-module/network-options.nix";
  _file = ./network-options.nix;

  options.deployment = lib.genAttrs unused (name: mkOption {
    type = types.unspecified;
    default = default name;
    description = "Not used: an option of morph's or NixOps'.";
  }) // {
    buildOnly = mkOption {
      type = types.bool;
      default = false;
      description = "morph's option: the node is built and not deployed.";
    };
    secrets = mkOption {
      type = types.attrsOf (types.submodule secret);
      default = { };
      description = "morph's secrets, which become deployment.keys.";
    };
    notUsed = mkOption {
      type = types.listOf types.str;
      internal = true;
      description = "The options above that are set but have no meaning here.";
    };
  };

  config.deployment = {
    notUsed = lib.filter (name: config.deployment.${name} != default name) unused
      ++ lib.optional (lib.any (secret: secret.action != [ ]) (lib.attrValues config.deployment.secrets)) "secrets.*.action";
    agent.enable = lib.mkIf config.deployment.buildOnly (lib.mkDefault false);
    keys = lib.mapAttrs
      (_: secret: {
        name = baseNameOf secret.destination;
        destDir = dirOf secret.destination;
        path = secret.destination;
        keyFile = absolute secret.source;
        inherit (secret.owner) user group;
        inherit (secret) permissions uploadAt;
      })
      config.deployment.secrets;
  };
}
