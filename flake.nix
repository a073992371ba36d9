{
  description = "Waggle deploys NixOS by having the nodes do the work";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      eachSystem = f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) [ "x86_64-linux" "aarch64-linux" ]);

      agentPackage = { lib, pkgs, ... }: {
        key = "waggle/flake.nix";
        config.services.waggle-agent.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.waggle-agent;
      };
    in
    {
      packages = eachSystem (system:
        let waggle = nixpkgs.legacyPackages.${system}.callPackage ./package.nix { };
        in {
          inherit waggle;
          waggle-agent = waggle.agent;
          default = waggle;
        });

      # For configurations of every kind: plain NixOS, Colmena's hives, Waggle's own.
      nixosModules.default = {
        imports = [ ./nixos-module/agent.nix ./nixos-module/deployment.nix ./nixos-module/keys-options.nix agentPackage ];
      };
      # deployment.targetHost and the like, for configurations that are in no hive.
      nixosModules.colmenaOptions.imports = [ ./nixos-module/colmena-options.nix ./nixos-module/colmena-keys.nix ];

      # A hive as an output of a flake; its meta.nixpkgs must be a package set.
      lib.makeHive = hive: import ./nixos-module/hive.nix { inherit hive; modules = [ agentPackage ]; };
    };
}
