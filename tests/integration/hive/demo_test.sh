#!/usr/bin/env bash
# tests/hives/demo evaluates and builds, and an edit of its greeting changes only what depends on it.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"

check "the repository contains no operator's key" test ! -e "$source_dir/tests/hives/demo/operators.nix" -o -z "$(git -C "$source_dir" ls-files tests/hives/demo/operators.nix 2>/dev/null)"
cp -r "$source_dir"/tests/hives/demo/. .
rm -f operators.nix agent-binary.nix
printf '#!/bin/sh\nexit 0\n' >waggle-agent-binary
chmod +x waggle-agent-binary

ask .info
check "the hive has three nodes" satisfies '.meta.name == "demo" and .nodes == ["alpha", "beta", "gamma"]'
ask '.deployments [ "alpha" "beta" "gamma" ]'
check "the nodes have their addresses and tags" satisfies '[.[].targetHost] == ["10.83.1.2", "10.83.2.2", "10.83.3.2"] and .beta.tags == ["web"]'
ask '.nodes [ "alpha" ]'
check "without operators.nix, the error explains what to write and where" fails "operators.nix is missing" "ssh-ed25519 AAAA"
echo "[ \"$key you@laptop\" ]" >operators.nix
ask '.nodes [ "alpha" ]'
check "without an agent binary, the error names WAGGLE_AGENT_BINARY" fails "set WAGGLE_AGENT_BINARY"
export WAGGLE_AGENT_BINARY=$work/waggle-agent-binary
ask '.nodes [ "alpha" "beta" "gamma" ]'
check "all nodes evaluate" satisfies 'all(.[]; .agentEnabled and .hive == "demo") and .gamma.node == "gamma"'
by_variable=$out
echo "\"$work/waggle-agent-binary\"" >agent-binary.nix
WAGGLE_AGENT_BINARY='' ask '.nodes [ "alpha" "beta" "gamma" ]'
check "agent-binary.nix can name the agent binary instead" answers "$by_variable"

if fixture_only "the systems of the demo"; then
    build() { # NODE: builds its system and prints the path
        ask ".nodes [ \"$1\" ]"
        nix-store --realise "$(jq -r ".$1.drvPath" <<<"$out")" 2>"$work/err" || { cat "$work/err" >&2; return 1; }
    }
    first=$(build alpha)
    check "the system contains the agent" cmp "$first/sw/bin/waggle-agent" waggle-agent-binary
    check "the agent's unit runs the agent" grep -q "^ExecStart=.*-waggle-agent/bin/waggle-agent daemon" "$first/etc/systemd/system/waggle-agent.service"
    check "multi-user.target wants the agent's unit" test -e "$first/etc/systemd/system/multi-user.target.wants/waggle-agent.service"
    check "systemd-analyze verify accepts the units" systemd-analyze verify "$first"/etc/systemd/system/*.service
    check "gamma's system lists its neighbours" grep -q "alpha beta" "$(build gamma)/etc/neighbours"
    before=$(nix-store --query --requisites "$first")
    echo "Good evening." >greeting.txt
    second=$(build alpha)
    check "another greeting results in another system" test "$first" != "$second"
    added=$(nix-store --query --requisites "$second" | grep -vxF "$before" | sed 's/.*[0-9a-z]\{32\}-//' | sort | paste -sd ' ')
    check "only the greeting, its service and the files that list them are new" \
        test "$added" = "etc greeting.txt nixos-system-alpha-24.05.fixture unit-greeting.service unit-script-greeting-start"
fi
