# Waggle's stand-in for morph's evaluator, for tests: the nodes of a network, with what morph adds to each.
network:
let
  inherit (network.network) pkgs;
  names = builtins.attrNames (removeAttrs network [ "network" "defaults" "resources" "require" ]);
  nodes = builtins.listToAttrs (map (name: { inherit name; value = evaluate name; }) names);
  evaluate = name: import (pkgs.path + "/nixos/lib/eval-config.nix") {
    inherit (pkgs.stdenv.hostPlatform) system;
    specialArgs = network.network.specialArgs or { };
    modules = [
      ./options.nix
      network.${name}
      (network.defaults or { })
      ({ lib, ... }: {
        networking.hostName = lib.mkDefault name;
        deployment.targetHost = lib.mkDefault name;
        nixpkgs.pkgs = lib.mkDefault pkgs;
        _module.args = { inherit name nodes; };
      })
    ];
  };
in
{ inherit nodes; }
