#!/usr/bin/env bash
# Who may deploy, and to which node: a key that is no operator's, a node that is not the pinned one, a node without a
# pin.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

change alpha <<<'{ environment.etc.word.text = "one"; }'
# Prints everything on a node that a refused deployment could have changed.
snapshot() {
    node_run "$1" sh -c 'readlink /nix/var/nix/profiles/system /run/current-system; ls /nix/store; cd /var/lib/waggle-agent && find . -type f | sort'
}
ssh-keygen -q -t ed25519 -N '' -C stranger -f "$run/stranger"
before=$(snapshot alpha)

section "an operator that the node does not know"
identity=$run/stranger waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the table says refused" equal "$(outcome alpha)" refused
check "the refusal is about the operator" says 'operator'
check "nothing on the node changed" equal "$(snapshot alpha)" "$before"
identity=$run/stranger waggle status --on alpha
check "waggle status also fails" differ "$status" 0

section "a node whose host key is not the pinned one"
sed "s|^$(node_address alpha) .*|$(node_address alpha) $(cut -d' ' -f1-2 "$run/stranger.pub")|" "$run/known_hosts" >"$run/wrong_hosts"
known_hosts=$run/wrong_hosts waggle apply --on alpha
check "waggle apply fails" differ "$status" 0
check "the error is about the host key" says 'host key'
check "nothing on the node changed" equal "$(snapshot alpha)" "$before"

section "another node's address: the key is known, but not for this node"
jq --arg address "$(node_address beta)" '.nodes.alpha.address = $address' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
before_beta=$(snapshot beta)
waggle apply --on alpha
check "a deployment for another node fails" differ "$status" 0
check "nothing on beta changed" equal "$(snapshot beta)" "$before_beta"
fleet_write alpha beta

section "a node that relays the operator's proof to another"
# An attacker controls alpha and has its key: connections to it end at beta.
"$build_dir/tests/hostile/hostile_peer" relay "$run/nodes/alpha/root/etc/ssh/ssh_host_ed25519_key" \
    "$(node_address beta)" $agent_port "$(node_host_key beta)" >"$run/relayed" &
relay=$!
wait_until 20 "the relay listens" test -s "$run/relayed"
change alpha <<<"{ deployment.agent.port = $(cat "$run/relayed"); }"
jq --arg key "$(node_host_key alpha)" '.nodes.alpha += {address: "127.0.0.1", hostKey: $key}' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
waggle apply --on alpha
check "the operator is refused" equal "$status" 5
wait $relay
check "beta refuses it because of the session" grep -q '"code":"other-session"' "$run/relayed"
check "nothing on beta changed" equal "$(snapshot beta)" "$before_beta"
change_back
change alpha <<<'{ environment.etc.word.text = "one"; }'
fleet_write alpha beta

section "a hive that the node does not belong to"
sed -i 's/name = "test"/name = "other"/' "$run/hive/hive.nix"
waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the refusal names the hive" says other
check "nothing on the node changed" equal "$(snapshot alpha)" "$before"
sed -i 's/name = "other"/name = "test"/' "$run/hive/hive.nix"

section "no pin at all"
: >"$run/no_hosts"
known_hosts=$run/no_hosts waggle apply --on alpha
check "waggle apply fails" differ "$status" 0
check "the error prints the line to add, with an address" says "$(node_address alpha)"
check "nothing on the node changed" equal "$(snapshot alpha)" "$before"

section "a pin in the hive itself"
jq --arg key "$(node_host_key alpha)" '.nodes.alpha.hostKey = $key' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=$run/no_hosts waggle apply --on alpha
check "the pin in the hive is enough to deploy" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" one
fleet_write alpha beta

section "a deployment that changes the operators"
jq --rawfile key "$run/stranger.pub" '.operators = [$key | rtrimstr("\n")]' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
# A key that is no operator of the new system cannot confirm it: a handover needs a deployment without confirmation.
waggle apply --no-rollback --on beta
check "the current operator can hand over" equal "$status" 0
identity=$run/stranger waggle status --on beta
check "the node accepts the new operator" equal "$status" 0
waggle status --on beta
check "the node no longer accepts the old operator" differ "$status" 0
