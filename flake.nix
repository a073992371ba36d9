{
  description = "Waggle deploys NixOS by having the nodes do the work";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = f: builtins.listToAttrs (map (system: { name = system; value = f nixpkgs.legacyPackages.${system}; }) systems);

      # One build has both programs; this is the output that nodes need.
      agentOf = waggle: waggle.agent // {
        meta = waggle.meta // { description = "The daemon of Waggle's nodes"; mainProgram = "waggle-agent"; };
      };

      agentFor = pkgs:
        let
          host = pkgs.stdenv.hostPlatform.system;
          build = pkgs.stdenv.buildPlatform.system;
        in
        if build == "x86_64-linux" && host == "aarch64-linux" then self.packages.${build}.waggle-agent-aarch64
        else if build == host && builtins.elem host systems then self.packages.${host}.waggle-agent
        else agentOf (pkgs.callPackage ./package.nix { }); # other machines build it with their own packages
      agentPackage = { lib, pkgs, ... }: {
        key = "waggle/flake.nix";
        config.services.waggle-agent.package = lib.mkDefault (agentFor pkgs);
      };
    in
    {
      packages = eachSystem (pkgs:
        let waggle = pkgs.callPackage ./package.nix { };
        in {
          inherit waggle;
          waggle-agent = agentOf waggle;
          default = waggle;
        } // (
          # The agent that a laptop deploys to a small board.
          if pkgs.stdenv.hostPlatform.system != "x86_64-linux" then { }
          else { waggle-agent-aarch64 = agentOf (pkgs.pkgsCross.aarch64-multiplatform.callPackage ./package.nix { }); }
        ));

      overlays.default = final: _: {
        waggle = final.callPackage ./package.nix { };
        waggle-agent = agentOf final.waggle;
      };

      # For configurations of every kind: plain NixOS, Colmena's hives, Waggle's own.
      nixosModules.default = {
        imports = [ ./nixos-module/agent.nix ./nixos-module/deployment.nix ./nixos-module/keys-options.nix agentPackage ];
      };
      # deployment.targetHost and the like, for configurations that are in no hive.
      nixosModules.colmenaOptions.imports = [ ./nixos-module/colmena-options.nix ./nixos-module/colmena-keys.nix ];

      # Makes a hive for an output of a flake; its meta.nixpkgs must be a package set.
      lib.makeHive = hive: import ./nixos-module/hive.nix { inherit hive; modules = [ agentPackage ]; };

      checks = eachSystem (pkgs:
        let
          inherit (pkgs.stdenv.hostPlatform) system;
          machine = nixpkgs.lib.nixosSystem {
            inherit system;
            modules = [
              self.nixosModules.default
              self.nixosModules.colmenaOptions
              {
                boot.isContainer = true;
                documentation.enable = false;
                system.stateVersion = nixpkgs.lib.trivial.release;
                networking.hostName = "checked";
                services.waggle-agent.enable = true;
                services.waggle-agent.operators = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q" ];
                deployment.keys.secret.text = "checked";
              }
            ];
          };
        in {
          inherit (self.packages.${system}) waggle;
          # Checks that a machine with the modules evaluates, without building it.
          modules = pkgs.writeText "waggle-modules" (builtins.unsafeDiscardStringContext machine.config.system.build.toplevel.drvPath);
        } // (
          # Boots two virtual machines.
          if pkgs ? testers.runNixOSTest then { vm-deploy = pkgs.testers.runNixOSTest ./nixos-module/tests/deploy.nix; } else { }
        ));

      # Everything that ./dev needs to build, lint and run the unit tests. Tests that boot machines need Debian.
      devShells = eachSystem (pkgs:
        let
          clang = pkgs.llvmPackages_19.clang or pkgs.clang;
          clang-tools = pkgs.llvmPackages_19.clang-tools or pkgs.clang-tools;
        in {
          default = pkgs.mkShell {
            inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.waggle ];
            nativeBuildInputs = [ clang-tools ] ++ (with pkgs; [ age black ccache git jq nix openssh openssl procps python3Packages.pyflakes shellcheck ]);
            buildInputs = [ pkgs.gtest pkgs.zlib ];
            CLANG_FORMAT = "${clang-tools}/bin/clang-format";
            CLANG_TIDY = "${clang-tools}/bin/clang-tidy";
            CLANGXX = "${clang}/bin/clang++"; # for the sanitizers and fuzzers
            PYFLAKES = "pyflakes";
          };
        });

      # `nix fmt` does the same as ./dev format.
      formatter = eachSystem (pkgs: pkgs.writeShellScriptBin "waggle-format" ''
        export CLANG_FORMAT=${pkgs.llvmPackages_19.clang-tools or pkgs.clang-tools}/bin/clang-format
        PATH=${pkgs.black}/bin:$PATH
        cd "$(git rev-parse --show-toplevel)"
        exec ./dev format
      '');
    };
}
