#!/usr/bin/env bash
# Evaluates the outputs of flake.nix with the fixture nixpkgs or with real NixOS; builds none of them.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
unset NIX_PATH

mkdir flake
cp -r "$source_dir"/{flake.nix,package.nix,CMakeLists.txt,cmake,nixos-module} flake/
mkdir flake/junk

flake() { # ATTRIBUTE [nix eval arguments]
    local attribute=$1; shift
    status=0
    out=$(nix eval --json --no-write-lock-file --override-input nixpkgs "path:$nixpkgs" \
        "path:$work/flake#$attribute" "$@" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}

section "nix flake show and check"
nix_flake() { # COMMAND [arguments]
    status=0
    out=$(nix flake "$@" --no-write-lock-file --override-input nixpkgs "path:$nixpkgs" "path:$work/flake" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
nix_flake show --json
check "nix flake show lists the outputs" satisfies '(keys - ["lib"]) == ["checks", "devShells", "formatter", "nixosModules", "overlays", "packages"]'
nix_flake check --no-build
check "nix flake check --no-build succeeds" succeeds
fixture_only "what each output is" || exit 0

section "packages"
flake packages --apply 'builtins.mapAttrs (_: builtins.mapAttrs (_: p: { drv = p.drvPath; out = p.outPath; src = toString p.src; }))'
check "there are packages for both architectures" satisfies 'keys == ["aarch64-linux", "x86_64-linux"]'
check "each architecture has both programs, and the trigger is the default" satisfies \
    'all(.[]; (keys - ["waggle-agent-aarch64"]) == ["default", "waggle", "waggle-agent"] and .default == .waggle)'
check "both programs are outputs of one derivation" satisfies 'all(.[]; .waggle.drv == ."waggle-agent".drv and .waggle.out != ."waggle-agent".out)'
check "each architecture has its own derivation" satisfies '."x86_64-linux".waggle.drv != ."aarch64-linux".waggle.drv'
check "x86_64-linux has a cross-compiled agent for small boards" satisfies \
    '."x86_64-linux"."waggle-agent-aarch64".drv as $cross | $cross != null and all(.[].waggle.drv; . != $cross)'
src=$(jq -r '."x86_64-linux".waggle.src' <<<"$out")
check "the source has the files needed for the build and no others" test -e "$src/CMakeLists.txt" -a -e "$src/nixos-module/hive.nix" -a ! -e "$src/flake.nix" -a ! -e "$src/junk"

flake packages.x86_64-linux --apply 'builtins.mapAttrs (_: p: { inherit (p.meta) mainProgram description; license = p.meta.license.spdxId; output = p.outputName; })'
check "each package has a license, a description and a main program" satisfies \
    '.waggle.mainProgram == "waggle" and .waggle.output == "out" and all(.[]; .license == "MIT" and (.description | length) > 10) and
     all(.["waggle-agent"], .["waggle-agent-aarch64"]; .mainProgram == "waggle-agent" and .output == "agent")'

section "overlays.default"
flake overlays.default --apply 'overlay:
    let pkgs = import '"$nixpkgs"' { system = "x86_64-linux"; overlays = [ overlay ]; };
        agent = (import ('"$nixpkgs"' + "/nixos/lib/eval-config.nix") {
          system = "x86_64-linux";
          modules = [ '"$modules"'/agent.nix { nixpkgs.overlays = [ overlay ]; } ];
        }).config.services.waggle-agent.package;
    in { waggle = pkgs.waggle.outPath; agent = pkgs.waggle-agent.outPath; program = pkgs.waggle-agent.meta.mainProgram; module = agent.outPath; }' --impure
check "the overlay has both programs, and the module uses the agent from there" satisfies \
    '.program == "waggle-agent" and (.waggle | endswith("-waggle-0.2.0")) and (.agent | endswith("-waggle-0.2.0-agent")) and .module == .agent'

section "nixosModules.default"
flake nixosModules.default --apply 'module:
    let system = (builtins.getFlake "path:'"$nixpkgs"'").lib.nixosSystem {
          system = "aarch64-linux";
          modules = [ module { networking.hostName = "n"; services.waggle-agent = { enable = true; operators = [ "'"$key"'" ]; }; } ];
        };
    in { agent = system.config.services.waggle-agent.package.outPath; inherit (system.config.services.waggle-agent) node;
         port = system.config.deployment.agent.port; toplevel = system.config.system.build.toplevel.drvPath; }' --impure
check "the module provides the agent and the deployment options" satisfies \
    '.node == "n" and .port == 9244 and (.agent | endswith("-waggle-0.2.0-agent")) and (.toplevel | endswith(".drv"))'
agent=$(jq -r .agent <<<"$out")
flake packages.aarch64-linux.waggle-agent.outPath
check "the agent is this flake's package for the node's architecture" answers "\"$agent\""

flake nixosModules.default --apply 'module:
    let pkgs = (builtins.getFlake "path:'"$nixpkgs"'").legacyPackages.x86_64-linux;
        cross = pkgs // { stdenv = pkgs.stdenv // { hostPlatform = pkgs.stdenv.hostPlatform // { system = "aarch64-linux"; }; }; };
        agent = (builtins.elemAt module.imports 3 { inherit (pkgs) lib; pkgs = cross; }).config.services.waggle-agent.package;
    in agent.content.outPath' --impure
cross=$out
flake packages.x86_64-linux.waggle-agent-aarch64.outPath
check "a cross-compiled system gets the cross-compiled agent" answers "$cross"

flake nixosModules --apply '{ default, colmenaOptions }:
    let config = modules: ((builtins.getFlake "path:'"$nixpkgs"'").lib.nixosSystem { inherit modules; }).config;
        colmena = { lib, ... }: { options.deployment.targetHost = lib.mkOption { type = lib.types.str; default = "from Colmena"; }; };
    in { colmena = (config [ default colmena ]).deployment.targetHost;
         plain = (config [ default colmenaOptions { networking.hostName = "n"; } ]).deployment.targetHost; }' --impure
check "the module works with Colmena's own options, and with colmenaOptions instead" answers '{ "colmena": "from Colmena", "plain": "n" }'

section "lib.makeHive"
flake lib.makeHive --apply 'makeHive:
    let hive = makeHive {
          meta.name = "bees";
          meta.nixpkgs = (builtins.getFlake "path:'"$nixpkgs"'").legacyPackages.x86_64-linux;
          a = { services.waggle-agent = { enable = true; operators = [ "'"$key"'" ]; }; };
        };
    in { inherit (hive) info; nodes = hive.nodes [ "a" ]; agent = hive.configurations.a.config.services.waggle-agent.package.outPath; }' --impure
check "makeHive returns what the trigger evaluates" satisfies \
    '.info.meta.name == "bees" and .info.nodes == ["a"] and .nodes.a.agentEnabled and .nodes.a.system == "x86_64-linux"'
check "the hive uses the agent of this flake" satisfies '.agent | endswith("-waggle-0.2.0-agent")'
flake lib.makeHive --apply 'makeHive: (makeHive { a = { }; }).deployments [ "a" ]'
check "a hive in a flake must set meta.nixpkgs" fails "meta.nixpkgs must be set"
