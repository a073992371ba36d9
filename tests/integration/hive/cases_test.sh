#!/usr/bin/env bash
# The hives in tests/hives/cases: what Colmena's users write, accepted, answered and refused. The selectors are those of
# tests/hives/selectors.txt, in selectors_test.sh; flakes are in flakes_test.sh.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
cases=$source_dir/tests/hives/cases

of() { # CASE EXPRESSION [nix-instantiate arguments]: what the hive answers
    local name=$1 expression=$2; shift 2
    status=0
    out=$(nix-instantiate --eval --strict --json --read-write-mode "$@" \
        -E "(import $modules/source.nix { path = \"$cases/$name.nix\"; })$expression" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
tags() { # NODE JSON
    satisfies ".\"$1\".tags == $2"
}
is_derivation() { satisfies ".\"$1\".drvPath | endswith(\".drv\")"; }

section "nodes"
of simple '.deployments [ "host-a" "host-b" ]'
check "tags add up with those of the defaults" satisfies '(.["host-a"].tags | sort) == ["a-tag", "common-tag"]'
check "a node's name is its host, unless it says otherwise" satisfies \
    '.["host-a"].targetHost == "host-a" and .["host-a"].targetPort == null and .["host-b"].targetHost == "somehost.tld" and .["host-b"].targetPort == 1234'
check "it builds its system itself where that is said, and only there" satisfies '(.["host-a"].buildOnTarget | not) and .["host-b"].buildOnTarget'
of simple '.nodes [ "host-a" ]'
check "and is there for other nodes to read" satisfies '.["host-a"].drvPath | test("nixos-system-host-a-before-1234-")'
of references '.nodes [ "host-a" "host-b" ]'
check "name and nodes are arguments of every module" is_derivation host-b
of unknown-option '.deployments [ "bad" ]'
check "an unknown option fails as the module system says" fails "The option \`deployment.noSuchOption'" "does not exist" "unknown-option.nix (node bad)"
of unknown-option '.deployments [ "good" ]'
check "and only on its node" succeeds
of module-list '.deployments [ "host-a" ]'
check "a node may be a list of modules, and so may be the defaults" satisfies '(.["host-a"].tags | sort) == ["every", "host-a", "one"]'
of missing-package '.deployments [ "bad" ]'
check "a package that there is not does no harm where no system is asked for" succeeds
of missing-package '.nodes [ "bad" ]'
check "and fails where it is" fails "thisPackageDoesNotExist"
of missing-package '.nodes [ "good" ]'
check "on that node only" is_derivation good

section "nixpkgs"
of system-of-nixpkgs '.deployments [ "host-a" ]'
check "the system of meta.nixpkgs" tags host-a '["aarch64-linux"]'
of system-of-node '.deployments [ "host-a" ]'
check "which a node overrides" tags host-a '["aarch64-linux"]'
of path-like-nixpkgs '.nodes [ "host-a" ]'
check "a set with outPath" is_derivation host-a
for overlay in overlay-of-nixpkgs overlay-of-node overlay-of-both; do
    [[ $overlay == overlay-of-node ]] || keeps_overlays "$overlay" || continue
    of $overlay '.nodes [ "host-a" ]'
    check "$overlay" is_derivation host-a
done
of config-of-nixpkgs '.deployments [ "host-a" ]'
check "configuration of meta.nixpkgs" tags host-a '["true"]'
of config-of-node '.deployments [ "host-a" ]'
check "configuration of a node" tags host-a '["true"]'
of config-of-both '.deployments [ "host-a" "host-b" ]'
check "of both, the node has the last word" satisfies '.["host-a"].tags == ["false"] and .["host-b"].tags == ["true"]'
if [[ $(nix-instantiate --eval --strict -E '(import <nixpkgs/lib>).versionAtLeast (import <nixpkgs/lib>).version "22.11"') = true ]]; then
    of config-merged '.deployments [ "host-a" ]'
    check "and they are merged" tags host-a '["true","true"]'
else
    echo "SKIP  nixpkgs.config merged from meta.nixpkgs and node: NixOS can since 22.11, and these nixpkgs are older"
fi
of node-nixpkgs '.deployments [ "path" "function" "set" "other" ]'
check "nodes may have nixpkgs of their own, in every form" satisfies \
    ".path.tags == [\"$(uname -m)-linux\", \"none\"] and .function.tags == .path.tags and
     .set.tags[0] == \"aarch64-linux\" and .other.tags == [\"x86_64-linux\", \"none\"]"
if keeps_overlays "overlays of a node's own nixpkgs"; then
    check "with overlays of their own" satisfies '.set.tags[1] == "own" and .path.tags[1] == "none"'
fi

section "arguments"
of special-args '.deployments [ "host-a" "host-b" ]'
check "meta.specialArgs, and meta.nodeSpecialArgs over them" satisfies '.["host-a"].tags == ["forest"] and .["host-b"].tags == ["reef"]'
of function '.deployments [ "host-a" ]'
check "a hive that is a function with defaults" tags host-a '["with a default"]'
of functor '.deployments [ "host-a" ]'
check "or a functor" tags host-a '["of a functor"]'
of function-of-required '.deployments [ "host-a" ]'
check "but not one that requires an argument" fails "requires \`noDefault'"
of introspect '.introspect ({ pkgs, lib, nodes }: pkgs.lib.version == lib.version && builtins.attrNames nodes == [ "host-a" "host-b" ] && lib.elem "b-tag" nodes.host-b.config.deployment.tags)'
check "a hive can be asked anything" answers true

section "meta"
of meta .info
check "every option of it" satisfies '.nodes == ["host-a"] and .meta.name == "fleet" and .meta.description == "Everything that can be said" and
    .meta.allowApplyAll == false and .meta.machinesFile == "'"$cases"'/machines"'
of meta '.deployments [ "host-a" ]'
check "and nodes besides" succeeds
of meta-unknown .info
check "an unknown one is refused" fails "\`meta.noSuchOption' does not exist"
of network .info
check "network is another name of it" satisfies '.meta.description == "from elsewhere" and .nodes == ["host-a"]'
check "where what only others know is let be" warns "network.enableRollback is not used"
of network-words '.info'
check "resources are no nodes" satisfies '.nodes == ["host-a", "host-b", "named", "not.a.host.name"]'
check "and are named with the other words that have no meaning here" warns "network.enableRollback, network.nixConfig, resources are not used"
of network-words '.deployments [ "host-a" "host-b" ]'
check "so are a node's" warns "deployment.substituteOnDestination, deployment.targetEnv: set and not used"
check "a node that is only to be built has no agent to be asked" satisfies '.["host-b"].agent.enable == false and .["host-a"].agent.enable'
of network-words '.nodes [ "host-a" "host-b" ]'
check "their systems evaluate" satisfies 'map(.drvPath | endswith(".drv")) == [true, true]'
of network-words '.keys [ "host-b" ]'
check "a morph secret is a key, from beside the network" satisfies \
    '.["host-b"].keys.relative | .path == "/etc/app/key" and .user == "app" and .group == "root" and .permissions == "0400" and (.keyFile | endswith("/cases/secrets/a"))'
check "or from where it says" satisfies '.["host-b"].keys.absolute | .path == "/srv/file" and .keyFile == "/secrets/b" and .permissions == "0440"'
of network-words '.introspect ({ nodes, ... }: builtins.mapAttrs (_: node: node.config.networking.hostName) nodes)'
check "a node's host name is its name, where it can be one and nothing else is said" satisfies \
    '.["host-a"] == "host-a" and .named == "other" and .["not.a.host.name"] != "not.a.host.name"'
of network '.deployments [ "host-a" ]'
check "and network.pkgs is morph's name for nixpkgs" tags host-a '["aarch64-linux"]'
of network-and-meta .info
check "both are refused" fails "it has both \`meta' and \`network'"

section "names"
of empty-name .info
check "an empty one" fails "a node has an empty name"
of slash-name .info
check "one with a slash" fails "a node cannot be named \`host/a'"
of dotted .info
check "dots are fine" satisfies '.nodes == ["alpha.example.org", "beta.example.org", "gamma.tld"]'
of dotted '.nodes [ "gamma.tld" ]'
check "also for what the node is called in its modules" satisfies '.["gamma.tld"].deployment.tags == ["db", "gamma.tld"]'
status=0
out=$(nix-instantiate --eval --strict --json -E "(import $modules/hive.nix { made = { meta = { }; configurations = { meta = 1; defaults = 1; a = 1; }; }; }).info" 2>"$work/err") || status=$?
err=$(<"$work/err")
check "words with a meaning are no names, where they could be" fails "a node cannot be named \`defaults', \`meta'"

section "hives that are made already"
of made '.deployments [ "host-a" ]'
check "are taken as they are" tags host-a '["t"]'
of made-twice .info
check "and not made again" fails "it was already made by makeHive"
of made-by-the-future .info
check "nor taken when another version made them" fails "version that this trigger does not know (waggle/7)"

section "options without a meaning here"
of unused '.deployments [ "host-a" "host-b" ]'
check "are accepted" satisfies '.["host-a"].targetHost == "host-a"'
check "and warned about where somebody may count on them" warns "deployment.sshOptions is set and not used"
check "as a user for ssh, where ssh is used" warns "deployment.targetUser is set and not used"
check "not where nobody does" test "$(grep -c 'privilegeEscalationCommand\|allowLocalDeployment' <<<"$err")" = 0

section "pure evaluation, as in flakes"
if fixture_only "what a package set is in pure evaluation"; then
    pure() { # EXPRESSION for meta.nixpkgs
        status=0
        out=$(nix-instantiate --eval --strict --json --option pure-eval true --option experimental-features 'nix-command flakes' -E "
            let modules = builtins.fetchTree { type = \"path\"; path = \"$modules\"; narHash = \"$modules_hash\"; };
                nixpkgs = builtins.fetchTree { type = \"path\"; path = \"$nixpkgs\"; narHash = \"$nixpkgs_hash\"; };
            in (import (modules + \"/hive.nix\") { hive = { $1 a = { }; }; }).deployments [ \"a\" ]" 2>"$work/err") || status=$?
        err=$(<"$work/err")
    }

    modules_hash=$(nix hash path "$modules") nixpkgs_hash=$(nix hash path "$nixpkgs")
    pure 'meta.nixpkgs = import nixpkgs { system = "x86_64-linux"; };'
    check "takes a package set" satisfies '.a.targetHost == "a"'
    pure ''
    check "no default" fails "meta.nixpkgs must be set to a package set: <nixpkgs> does not exist in a flake"
    pure 'meta.nixpkgs = nixpkgs;'
    check "no path" fails "meta.nixpkgs must be set to a package set and is a path"
    pure 'meta.nixpkgs = import nixpkgs;'
    check "no function" fails "meta.nixpkgs must be set to a package set and is a function"
    pure 'meta.nixpkgs = import nixpkgs { system = "x86_64-linux"; }; meta.nodeNixpkgs.a = nixpkgs;'
    check "and of no node" fails "meta.nodeNixpkgs.a must be set to a package set and is a path"
fi

section "deployment.keys"
of keys '.configurations.host-a.config.deployment.keys.everything.path'
check "every source and every option" answers '"/var/keys/other-name"'
of keys '.nodes [ "host-a" ]'
check "with the node" succeeds
for node in command-string command-empty two-sources no-source slash upload-at; do
    of keys-refused ".nodes [ \"$node\" ]"
    check "refused: $node" fails "keys"
done
