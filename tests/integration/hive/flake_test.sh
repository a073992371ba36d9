#!/usr/bin/env bash
# flake.nix with the nixpkgs at hand, the fixture or real NixOS: what it offers, evaluated; nothing of it is built.
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

section "as Nix sees it"
nix_flake() { # COMMAND [arguments]
    status=0
    out=$(nix flake "$@" --no-write-lock-file --override-input nixpkgs "path:$nixpkgs" "path:$work/flake" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
nix_flake show --json
check "nix flake show" satisfies '(keys - ["lib"]) == ["checks", "devShells", "formatter", "nixosModules", "overlays", "packages"]'
nix_flake check --no-build
check "nix flake check --no-build" succeeds
fixture_only "what each output is" || exit 0

section "packages"
flake packages --apply 'builtins.mapAttrs (_: builtins.mapAttrs (_: p: { drv = p.drvPath; out = p.outPath; src = toString p.src; }))'
check "for both kinds of machines" satisfies 'keys == ["aarch64-linux", "x86_64-linux"]'
check "both programs, and the trigger as the default" satisfies \
    'all(.[]; (keys - ["waggle-agent-aarch64"]) == ["default", "waggle", "waggle-agent"] and .default == .waggle)'
check "of one build, in two outputs" satisfies 'all(.[]; .waggle.drv == ."waggle-agent".drv and .waggle.out != ."waggle-agent".out)'
check "the machine is the one asked for" satisfies '."x86_64-linux".waggle.drv != ."aarch64-linux".waggle.drv'
check "and an agent for small boards, cross-compiled" satisfies \
    '."x86_64-linux"."waggle-agent-aarch64".drv as $cross | $cross != null and all(.[].waggle.drv; . != $cross)'
src=$(jq -r '."x86_64-linux".waggle.src' <<<"$out")
check "made from the sources and nothing else" test -e "$src/CMakeLists.txt" -a -e "$src/nixos-module/hive.nix" -a ! -e "$src/flake.nix" -a ! -e "$src/junk"

flake packages.x86_64-linux --apply 'builtins.mapAttrs (_: p: { inherit (p.meta) mainProgram description; license = p.meta.license.spdxId; output = p.outputName; })'
check "each says what it is and which program it has" satisfies \
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
check "has both programs, and the module takes the agent from there" satisfies \
    '.program == "waggle-agent" and (.waggle | endswith("-waggle-0.1.0")) and (.agent | endswith("-waggle-0.1.0-agent")) and .module == .agent'

section "nixosModules.default"
flake nixosModules.default --apply 'module:
    let system = (builtins.getFlake "path:'"$nixpkgs"'").lib.nixosSystem {
          system = "aarch64-linux";
          modules = [ module { networking.hostName = "n"; services.waggle-agent = { enable = true; operators = [ "'"$key"'" ]; }; } ];
        };
    in { agent = system.config.services.waggle-agent.package.outPath; inherit (system.config.services.waggle-agent) node;
         port = system.config.deployment.agent.port; toplevel = system.config.system.build.toplevel.drvPath; }' --impure
check "the agent, of the node's architecture, and the deployment options" satisfies \
    '.node == "n" and .port == 9244 and (.agent | endswith("-waggle-0.1.0-agent")) and (.toplevel | endswith(".drv"))'
agent=$(jq -r .agent <<<"$out")
flake packages.aarch64-linux.waggle-agent.outPath
check "which is this flake's own" answers "\"$agent\""

flake nixosModules.default --apply 'module:
    let pkgs = (builtins.getFlake "path:'"$nixpkgs"'").legacyPackages.x86_64-linux;
        cross = pkgs // { stdenv = pkgs.stdenv // { hostPlatform = pkgs.stdenv.hostPlatform // { system = "aarch64-linux"; }; }; };
        agent = (builtins.elemAt module.imports 3 { inherit (pkgs) lib; pkgs = cross; }).config.services.waggle-agent.package;
    in agent.content.outPath' --impure
cross=$out
flake packages.x86_64-linux.waggle-agent-aarch64.outPath
check "a machine whose system is cross-compiled gets the agent that is, too" answers "$cross"

flake nixosModules --apply '{ default, colmenaOptions }:
    let config = modules: ((builtins.getFlake "path:'"$nixpkgs"'").lib.nixosSystem { inherit modules; }).config;
        colmena = { lib, ... }: { options.deployment.targetHost = lib.mkOption { type = lib.types.str; default = "from Colmena"; }; };
    in { colmena = (config [ default colmena ]).deployment.targetHost;
         plain = (config [ default colmenaOptions { networking.hostName = "n"; } ]).deployment.targetHost; }' --impure
check "beside Colmena's own options, and with ours where there is no Colmena" answers '{ "colmena": "from Colmena", "plain": "n" }'

section "lib.makeHive"
flake lib.makeHive --apply 'makeHive:
    let hive = makeHive {
          meta.name = "bees";
          meta.nixpkgs = (builtins.getFlake "path:'"$nixpkgs"'").legacyPackages.x86_64-linux;
          a = { services.waggle-agent = { enable = true; operators = [ "'"$key"'" ]; }; };
        };
    in { inherit (hive) info; nodes = hive.nodes [ "a" ]; agent = hive.configurations.a.config.services.waggle-agent.package.outPath; }' --impure
check "makes what the trigger evaluates" satisfies \
    '.info.meta.name == "bees" and .info.nodes == ["a"] and .nodes.a.agentEnabled and .nodes.a.system == "x86_64-linux"'
check "with the agent of this flake" satisfies '.agent | endswith("-waggle-0.1.0-agent")'
flake lib.makeHive --apply 'makeHive: (makeHive { a = { }; }).deployments [ "a" ]'
check "a hive in a flake must name its nixpkgs" fails "meta.nixpkgs must be set"
