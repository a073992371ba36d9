#!/usr/bin/env bash
# Evaluates the machines of machines.nix with real NixOS, and a machine outside of any hive.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
if [[ -z ${WAGGLE_TEST_NIXPKGS:-} ]]; then
    echo "SKIP  the machines of machines.nix: their options are those of real NixOS, which WAGGLE_TEST_TREE or WAGGLE_TEST_NIXPKGS names"
    exit 77
fi

table="import $source_dir/tests/integration/hive/machines.nix { lib = import <nixpkgs/lib>; }"
cat >hive.nix <<NIX
let
  inherit (import <nixpkgs/lib>) mapAttrs filterAttrs versionAtLeast trivial;
  known = machine:
    versionAtLeast trivial.release (machine.since or "20.09") && versionAtLeast (machine.until or "99.11") trivial.release;
in
{
  defaults = { pkgs, ... }: {
    imports = [ $machine ];
    services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$key op" ]; openFirewall = true; };
  };
} // mapAttrs (_: machine: machine.module) (filterAttrs (_: known) ($table))
NIX

ask .info
check "NixOS $(nix-instantiate --eval -E '(import <nixpkgs/lib>).trivial.release') knows $(jq '.nodes | length' <<<"$out") machines of the table" succeeds
names() { # CONDITION: prints the known machines for which it is true
    ask "builtins.filter (name: let machine = ($table).\${name}; in $1) (builtins.attrNames hive.configurations)"
    jq -r '.[]' <<<"$out"
}

mapfile -t plain < <(names '!(machine ? refused) && !(machine ? holds)')
mapfile -t special < <(names 'machine ? holds')
mapfile -t refused < <(names 'machine ? refused')
ask .info
check "the three groups contain all of these machines" test $((${#plain[@]} + ${#special[@]} + ${#refused[@]})) = "$(jq '.nodes | length' <<<"$out")"

section "machines that evaluate"
evaluates() { # MACHINE…
    local name
    ask ".nodes [ $(printf '"%s" ' "$@") ]"
    if succeeds; then
        for name in "$@"; do check "$name evaluates" satisfies ".\"$name\".drvPath | endswith(\".drv\")"; done
        return
    fi
    # Finds out which of them fails, with its own error.
    for name in "$@"; do
        ask ".nodes [ \"$name\" ]"
        check "$name evaluates" succeeds
    done
}
# Two fit into the initial heap of a process (nix.sh). With more, each takes half as long again.
for ((i = 0; i < ${#plain[@]}; i += 2)); do evaluates "${plain[@]:i:2}"; done

section "machines with required content of their systems"
for name in "${special[@]}"; do
    ask "let inherit (hive.configurations.\"$name\") config; in {
        drv = builtins.unsafeDiscardStringContext config.system.build.toplevel.drvPath; holds = ($table).\"$name\".holds config;
    }"
    check "$name evaluates" satisfies '.drv | endswith(".drv")'
    mapfile -t sentences < <(jq -r '.holds | keys[]' <<<"$out")
    for sentence in "${sentences[@]}"; do check "$name: $sentence" satisfies ".holds[\"$sentence\"]"; done
done

section "machines that are refused"
for name in "${refused[@]}"; do
    ask "($table).\"$name\".refused"
    sentence=$(jq -r . <<<"$out")
    ask ".nodes [ \"$name\" ]"
    check "$name: $sentence" fails "Failed assertions:" "$sentence"
done

section "a machine outside of any hive"
cat >plain.nix <<NIX
{ module ? { } }:
import <nixpkgs/nixos/lib/eval-config.nix> {
  modules = [
    $machine $modules/agent.nix $modules/deployment.nix $modules/keys-options.nix module
    ({ pkgs, ... }: {
      nixpkgs.system = "$(uname -m)-linux";
      networking.hostName = "plain";
      services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$key op" ]; };
    })
  ];
}
NIX
ask "(import $work/plain.nix { }).config.system.build.toplevel.drvPath"
check "the machine evaluates with nixosModules.default" satisfies 'endswith(".drv")'
ask "(import $work/plain.nix { module.imports = [ $modules/colmena-options.nix $modules/colmena-keys.nix { deployment.keys.a.text = \"x\"; } ]; }).config.system.build.toplevel.drvPath"
check "the machine can have secrets with colmenaOptions" satisfies 'endswith(".drv")'
