# What Waggle adds to Colmena's deployment.keys, and what it checks of it.
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
        restartUnits = units "Units that are restarted, if they run, when this secret has changed.";
        reloadUnits = units "Units that are reloaded (or restarted, where they cannot), if they run, when this secret has changed.";
        allowEmpty = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether a keyFile or the output of a keyCommand may be empty. Else that is an error: it is what a failure within a
            pipe leaves, and would replace the secret that is there.
          '';
        };
        neededForUsers = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether it must be in place before users are made, as a hashedPasswordFile must. It is root's then, and in a folder
            that is there that early, such as /run/keys.
          '';
        };
      };
    });
  };

  # Not by a default: whoever declares the option with all it has, in a hive, declares that.
  config.deployment.keys = { };

  config.warnings = import ./check-key-units.nix { inherit lib; } { inherit (config) systemd; keys = config.deployment.keys or { }; };

  config.assertions = map (sentence: { assertion = false; message = sentence; })
    (import ./check-keys.nix { inherit lib; } { inherit (config) users; keys = config.deployment.keys or { }; });
}
