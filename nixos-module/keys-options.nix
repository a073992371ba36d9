# What Waggle adds to Colmena's deployment.keys, and how it checks them.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  units = description: mkOption {
    type = types.listOf types.str;
    default = [ ];
    example = [ "nginx.service" ];
    inherit description;
  };
in
{
  key = "waggle/nixos-module/keys-options.nix";
  _file = ./keys-options.nix;

  options.deployment.keys = mkOption {
    type = types.attrsOf (types.submodule {
      options = {
        restartUnits = units "Running units to restart when this secret has changed.";
        reloadUnits = units "Running units to reload when this secret has changed, or to restart if they cannot be reloaded.";
        allowEmpty = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether a keyFile or the output of a keyCommand may be empty. Otherwise that is an error, because a failure within
            a pipe leaves an empty output, which would replace the present secret.
          '';
        };
        neededForUsers = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether the secret must be in place before users are created, as a hashedPasswordFile must. It must then belong to
            root, in a folder that exists that early, such as /run/keys.
          '';
        };
      };
    });
  };

  # This is not the option's default: in a hive, the module that declares the whole option declares its default.
  config.deployment.keys = { };

  config.warnings = import ./check-key-units.nix { inherit lib; } { inherit (config) systemd; keys = config.deployment.keys or { }; };

  config.assertions = map (sentence: { assertion = false; message = sentence; })
    (import ./check-keys.nix { inherit lib; } { inherit (config) users; keys = config.deployment.keys or { }; });
}
