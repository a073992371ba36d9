# Colmena's deployment.keys, with the same names and defaults. It is a separate file, because a hive that Colmena
# evaluates already declares it. What Waggle adds is in keys-options.nix.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  key = { config, name, ... }: {
    options = {
      name = mkOption {
        type = types.str;
        default = name;
        description = "The file's name.";
      };
      text = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The secret itself. It passes through Nix's evaluation; keyFile and keyCommand do not.";
      };
      keyFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        apply = value: if value == null then null else toString value;
        description = "The file with the secret, where `waggle` runs. In a flake, quote an absolute path; otherwise the file is copied to the store.";
      };
      keyCommand = mkOption {
        type = types.nullOr (types.nonEmptyListOf types.str);
        default = null;
        example = [ "pass" "show" "wireguard" ];
        description = "A program and its arguments, run where `waggle` runs, without a shell. Its standard output is the secret.";
      };
      destDir = mkOption {
        type = types.path;
        default = "/run/keys";
        apply = toString;
        description = "The folder on the node. /run/keys is in memory; on a disk, the secret is readable on that disk.";
      };
      path = mkOption {
        type = types.path;
        default = "${config.destDir}/${config.name}";
        defaultText = "\${destDir}/\${name}";
        internal = true;
        description = "The file on the node.";
      };
      user = mkOption {
        type = types.str;
        default = "root";
        description = "The file's owner.";
      };
      group = mkOption {
        type = types.str;
        default = "root";
        description = "The file's group.";
      };
      permissions = mkOption {
        type = types.str;
        default = "0600";
        description = "The file's mode: three or four octal digits.";
      };
      uploadAt = mkOption {
        type = types.enum [ "pre-activation" "post-activation" ];
        default = "pre-activation";
        description = "Whether a deployment writes the file before or after the new system's activation.";
      };
    };
  };
in
{
  key = "waggle/nixos-module/colmena-keys.nix";
  _file = ./colmena-keys.nix;

  options.deployment.keys = mkOption {
    type = types.attrsOf (types.submodule key);
    default = { };
    description = "Secrets of this node (docs/how-to/secrets.md). They are never in the store.";
  };
}
