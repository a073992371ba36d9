import ../../../nixos-module/hive.nix { hive = import ./made.nix; }
