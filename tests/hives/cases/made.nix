# A hive.nix with what makeHive made: there is nothing left to do.
(import ../../../nixos-module/hive.nix { hive = { meta.name = "made"; host-a.deployment.tags = [ "t" ]; }; })
