#!/usr/bin/env bash
# The hives in tests/hives/cases: what users of Colmena write, what it evaluates to, and what is refused.
# selectors_test.sh tests the selectors of tests/hives/selectors.txt, flakes_test.sh tests flakes.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
cases=$source_dir/tests/hives/cases

of() { # CASE EXPRESSION [nix-instantiate arguments]: evaluates the expression on the hive CASE
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
check "a node's tags are added to those of defaults" satisfies '(.["host-a"].tags | sort) == ["a-tag", "common-tag"]'
check "targetHost defaults to the node's name, and a node can set it" satisfies \
    '.["host-a"].targetHost == "host-a" and .["host-a"].targetPort == null and .["host-b"].targetHost == "somehost.tld" and .["host-b"].targetPort == 1234'
check "buildOnTarget is true only for the node that sets it" satisfies '(.["host-a"].buildOnTarget | not) and .["host-b"].buildOnTarget'
of simple '.nodes [ "host-a" ]'
check "a node can read another node's options" satisfies '.["host-a"].drvPath | test("nixos-system-host-a-before-1234-")'
of references '.nodes [ "host-a" "host-b" ]'
check "name and nodes are arguments of every module" is_derivation host-b
of unknown-option '.deployments [ "bad" ]'
check "an unknown option fails with the module system's error" fails "The option \`deployment.noSuchOption'" "does not exist" "unknown-option.nix (node bad)"
of unknown-option '.deployments [ "good" ]'
check "an unknown option does not affect other nodes" succeeds
of module-list '.deployments [ "host-a" ]'
check "a node can be a list of modules, and so can defaults" satisfies '(.["host-a"].tags | sort) == ["every", "host-a", "one"]'
of missing-package '.deployments [ "bad" ]'
check "a missing package does not affect the deployment options" succeeds
of missing-package '.nodes [ "bad" ]'
check "a missing package fails the evaluation of the system" fails "thisPackageDoesNotExist"
of missing-package '.nodes [ "good" ]'
check "a missing package does not affect other nodes" is_derivation good

section "nixpkgs"
of system-of-nixpkgs '.deployments [ "host-a" ]'
check "a node has the system of meta.nixpkgs" tags host-a '["aarch64-linux"]'
of system-of-node '.deployments [ "host-a" ]'
check "a node overrides the system of meta.nixpkgs" tags host-a '["aarch64-linux"]'
of path-like-nixpkgs '.nodes [ "host-a" ]'
check "meta.nixpkgs can be a set with outPath" is_derivation host-a
for overlay in overlay-of-nixpkgs overlay-of-node overlay-of-both; do
    [[ $overlay == overlay-of-node ]] || keeps_overlays "$overlay" || continue
    of $overlay '.nodes [ "host-a" ]'
    check "$overlay evaluates" is_derivation host-a
done
of config-of-nixpkgs '.deployments [ "host-a" ]'
check "the config of meta.nixpkgs applies to a node" tags host-a '["true"]'
of config-of-node '.deployments [ "host-a" ]'
check "a node can set nixpkgs.config" tags host-a '["true"]'
of config-of-both '.deployments [ "host-a" "host-b" ]'
check "a node's nixpkgs.config takes precedence over the config of meta.nixpkgs" satisfies '.["host-a"].tags == ["false"] and .["host-b"].tags == ["true"]'
if [[ $(nix-instantiate --eval --strict -E '(import <nixpkgs/lib>).versionAtLeast (import <nixpkgs/lib>).version "22.11"') = true ]]; then
    of config-merged '.deployments [ "host-a" ]'
    check "a node's nixpkgs.config is merged with the config of meta.nixpkgs" tags host-a '["true","true"]'
else
    echo "SKIP  nixpkgs.config merged from meta.nixpkgs and node: NixOS can since 22.11, and these nixpkgs are older"
fi
of node-nixpkgs '.deployments [ "path" "function" "set" "other" ]'
check "nodes can have their own nixpkgs, in every form" satisfies \
    ".path.tags == [\"$(uname -m)-linux\", \"none\"] and .function.tags == .path.tags and
     .set.tags[0] == \"aarch64-linux\" and .other.tags == [\"x86_64-linux\", \"none\"]"
if keeps_overlays "overlays of a node's own nixpkgs"; then
    check "a node's own nixpkgs can have overlays" satisfies '.set.tags[1] == "own" and .path.tags[1] == "none"'
fi

section "arguments"
of special-args '.deployments [ "host-a" "host-b" ]'
check "meta.nodeSpecialArgs takes precedence over meta.specialArgs" satisfies '.["host-a"].tags == ["forest"] and .["host-b"].tags == ["reef"]'
of function '.deployments [ "host-a" ]'
check "a hive can be a function whose arguments have defaults" tags host-a '["with a default"]'
of functor '.deployments [ "host-a" ]'
check "a hive can be a functor" tags host-a '["of a functor"]'
of function-of-required '.deployments [ "host-a" ]'
check "a hive that is a function with a required argument is refused" fails "requires \`noDefault'"
of introspect '.introspect ({ pkgs, lib, nodes }: pkgs.lib.version == lib.version && builtins.attrNames nodes == [ "host-a" "host-b" ] && lib.elem "b-tag" nodes.host-b.config.deployment.tags)'
check "introspect evaluates a function of pkgs, lib and nodes" answers true

section "meta"
of meta .info
check "info returns the meta options and the nodes" satisfies '.nodes == ["host-a"] and .meta.name == "fleet" and .meta.description == "Everything that can be said" and
    .meta.allowApplyAll == false and .meta.machinesFile == "'"$cases"'/machines"'
of meta '.deployments [ "host-a" ]'
check "the nodes of a hive with every meta option evaluate" succeeds
of meta-unknown .info
check "an unknown meta option is refused" fails "\`meta.noSuchOption' does not exist"
of network .info
check "network is an alias of meta" satisfies '.meta.description == "from elsewhere" and .nodes == ["host-a"]'
check "a warning names an option of network that Waggle does not use" warns "network.enableRollback is not used"
of network-words '.info'
check "resources is not a node" satisfies '.nodes == ["host-a", "host-b", "named", "not.a.host.name"]'
check "a warning names resources and the unused options of network" warns "network.enableRollback, network.nixConfig, resources are not used"
of network-words '.deployments [ "host-a" "host-b" ]'
check "a warning names the unused deployment options of a node" warns "deployment.substituteOnDestination, deployment.targetEnv: set and not used"
check "deployment.buildOnly disables a node's agent" satisfies '.["host-b"].agent.enable == false and .["host-a"].agent.enable'
of network-words '.nodes [ "host-a" "host-b" ]'
check "the systems of both nodes evaluate" satisfies 'map(.drvPath | endswith(".drv")) == [true, true]'
of network-words '.keys [ "host-b" ]'
check "a morph secret is a key, and its relative source is next to the hive" satisfies \
    '.["host-b"].keys.relative | .path == "/etc/app/key" and .user == "app" and .group == "root" and .permissions == "0400" and (.keyFile | endswith("/cases/secrets/a"))'
check "a morph secret can have an absolute source" satisfies '.["host-b"].keys.absolute | .path == "/srv/file" and .keyFile == "/secrets/b" and .permissions == "0440"'
of network-words '.introspect ({ nodes, ... }: builtins.mapAttrs (_: node: node.config.networking.hostName) nodes)'
check "the host name defaults to the node's name if that is a valid host name" satisfies \
    '.["host-a"] == "host-a" and .named == "other" and .["not.a.host.name"] != "not.a.host.name"'
of network '.deployments [ "host-a" ]'
check "network.pkgs, the name that morph uses, sets nixpkgs" tags host-a '["aarch64-linux"]'
of network-and-meta .info
check "a hive with both meta and network is refused" fails "it has both \`meta' and \`network'"

section "names"
of empty-name .info
check "an empty node name is refused" fails "a node has an empty name"
of slash-name .info
check "a node name with a slash is refused" fails "a node cannot be named \`host/a'"
of dotted .info
check "a node name can contain dots" satisfies '.nodes == ["alpha.example.org", "beta.example.org", "gamma.tld"]'
of dotted '.nodes [ "gamma.tld" ]'
check "the module argument name can contain dots" satisfies '.["gamma.tld"].deployment.tags == ["db", "gamma.tld"]'
status=0
out=$(nix-instantiate --eval --strict --json -E "(import $modules/hive.nix { made = { meta = { }; configurations = { meta = 1; defaults = 1; a = 1; }; }; }).info" 2>"$work/err") || status=$?
err=$(<"$work/err")
check "a hive made by makeHive cannot have nodes named defaults or meta" fails "a node cannot be named \`defaults', \`meta'"

section "hives made by makeHive"
of made '.deployments [ "host-a" ]'
check "a hive made by makeHive is used as it is" tags host-a '["t"]'
of made-twice .info
check "makeHive refuses a hive made by makeHive" fails "it was already made by makeHive"
of made-by-the-future .info
check "a hive made by an unknown version of makeHive is refused" fails "version that this trigger does not know (waggle/7)"

section "unused options"
of unused '.deployments [ "host-a" "host-b" ]'
check "unused options are accepted" satisfies '.["host-a"].targetHost == "host-a"'
check "a warning names an unused option that users may rely on" warns "deployment.sshOptions is set and not used"
check "a warning names an unused targetUser if the node is reached through SSH" warns "deployment.targetUser is set and not used"
check "no warning names the options that no user relies on" test "$(grep -c 'privilegeEscalationCommand\|allowLocalDeployment' <<<"$err")" = 0

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
    check "meta.nixpkgs can be a package set" satisfies '.a.targetHost == "a"'
    pure ''
    check "meta.nixpkgs has no default" fails "meta.nixpkgs must be set to a package set: <nixpkgs> does not exist in a flake"
    pure 'meta.nixpkgs = nixpkgs;'
    check "meta.nixpkgs cannot be a path" fails "meta.nixpkgs must be set to a package set and is a path"
    pure 'meta.nixpkgs = import nixpkgs;'
    check "meta.nixpkgs cannot be a function" fails "meta.nixpkgs must be set to a package set and is a function"
    pure 'meta.nixpkgs = import nixpkgs { system = "x86_64-linux"; }; meta.nodeNixpkgs.a = nixpkgs;'
    check "meta.nodeNixpkgs cannot be a path" fails "meta.nodeNixpkgs.a must be set to a package set and is a path"
fi

section "deployment.keys"
of keys '.configurations.host-a.config.deployment.keys.everything.path'
check "keys with every source and every option evaluate" answers '"/var/keys/other-name"'
of keys '.nodes [ "host-a" ]'
check "a node with such keys evaluates" succeeds
for node in command-string command-empty two-sources no-source slash upload-at; do
    of keys-refused ".nodes [ \"$node\" ]"
    check "the keys of $node are refused" fails "keys"
done
