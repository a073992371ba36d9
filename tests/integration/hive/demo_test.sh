#!/usr/bin/env bash
# tests/hives/demo: evaluates, builds, and an edit of its greeting changes only what depends on it.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

check "no operator's key is part of the sources" test ! -e "$source_dir/tests/hives/demo/operators.nix" -o -z "$(git -C "$source_dir" ls-files tests/hives/demo/operators.nix 2>/dev/null)"
cp -r "$source_dir"/tests/hives/demo/. .
rm -f operators.nix agent-binary.nix
printf '#!/bin/sh\nexit 0\n' >waggle-agent-binary
chmod +x waggle-agent-binary

ask .info
check "three nodes" satisfies '.meta.name == "demo" and .nodes == ["alpha", "beta", "gamma"]'
ask '.deployments [ "alpha" "beta" "gamma" ]'
check "their addresses and tags" satisfies '[.[].targetHost] == ["10.83.1.2", "10.83.2.2", "10.83.3.2"] and .beta.tags == ["web"]'
ask '.nodes [ "alpha" ]'
check "without operators it says what to write where" fails "operators.nix is missing" "ssh-ed25519 AAAA"
echo "[ \"$key you@laptop\" ]" >operators.nix
ask '.nodes [ "alpha" ]'
check "without a program it says so" fails "set WAGGLE_AGENT_BINARY"
export WAGGLE_AGENT_BINARY=$work/waggle-agent-binary
ask '.nodes [ "alpha" "beta" "gamma" ]'
check "all nodes evaluate" satisfies 'all(.[]; .agentEnabled and .hive == "demo") and .gamma.node == "gamma"'
by_variable=$out
echo "\"$work/waggle-agent-binary\"" >agent-binary.nix
WAGGLE_AGENT_BINARY='' ask '.nodes [ "alpha" "beta" "gamma" ]'
check "a file may name the program as well" answers "$by_variable"

if fixture_only "the systems of the demo"; then
    build() { # NODE: its system, built
        ask ".nodes [ \"$1\" ]"
        nix-store --realise "$(jq -r ".$1.drvPath" <<<"$out")" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
    }
    first=$(build alpha)
    check "the agent is in it" cmp "$first/sw/bin/waggle-agent" waggle-agent-binary
    check "its unit runs it" grep -q "^ExecStart=.*-waggle-agent/bin/waggle-agent daemon" "$first/etc/systemd/system/waggle-agent.service"
    check "the unit is wanted" test -e "$first/etc/systemd/system/multi-user.target.wants/waggle-agent.service"
    check "systemd finds no fault with the units" systemd-analyze verify "$first"/etc/systemd/system/*.service
    check "gamma knows its neighbours" grep -q "alpha beta" "$(build gamma)/etc/neighbours"
    before=$(nix-store --query --requisites "$first")
    echo "Good evening." >greeting.txt
    second=$(build alpha)
    check "another greeting is another system" test "$first" != "$second"
    added=$(nix-store --query --requisites "$second" | grep -vxF "$before" | sed 's/.*[0-9a-z]\{32\}-//' | sort | paste -sd ' ')
    check "of which only the greeting, its service and what lists them is new" \
        test "$added" = "etc greeting.txt nixos-system-alpha-24.05.fixture unit-greeting.service unit-script-greeting-start"
fi
