#!/usr/bin/env bash
# Who may deploy, and to which node: a stranger's key, a node that is not the pinned one, a node without a pin.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

change alpha <<<'{ environment.etc.word.text = "one"; }'
# Everything of a node that a refused deployment might have touched.
snapshot() {
    node_run "$1" sh -c 'readlink /nix/var/nix/profiles/system /run/current-system; ls /nix/store; cd /var/lib/waggle-agent && find . -type f | sort'
}
ssh-keygen -q -t ed25519 -N '' -C stranger -f "$run/stranger"
before=$(snapshot alpha)

section "an operator that the node does not know"
identity=$run/stranger waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the table says refused" equal "$(outcome alpha)" refused
check "the reason is the key" says 'operator'
check "nothing of the node changed" equal "$(snapshot alpha)" "$before"
identity=$run/stranger waggle status --on alpha
check "waggle status is refused as well" differ "$status" 0

section "a node with another host key than the pinned one"
sed "s|^$(node_address alpha) .*|$(node_address alpha) $(cut -d' ' -f1-2 "$run/stranger.pub")|" "$run/known_hosts" >"$run/wrong_hosts"
known_hosts=$run/wrong_hosts waggle apply --on alpha
check "the trigger does not go on" differ "$status" 0
check "it says that the host key is another" says 'host key'
check "nothing of the node changed" equal "$(snapshot alpha)" "$before"

section "another node's address: the key is known, but not for this node"
jq --arg address "$(node_address beta)" '.nodes.alpha.address = $address' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
before_beta=$(snapshot beta)
waggle apply --on alpha
check "a node refuses what is for another" differ "$status" 0
check "nothing of beta changed" equal "$(snapshot beta)" "$before_beta"
fleet_write alpha beta

section "a node that passes the operator's proof on to another"
# alpha is in a stranger's hands, with its key: who asks it speaks with beta.
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
check "by beta, because of the session" grep -q '"code":"other-session"' "$run/relayed"
check "nothing of beta changed" equal "$(snapshot beta)" "$before_beta"
change_back
change alpha <<<'{ environment.etc.word.text = "one"; }'
fleet_write alpha beta

section "a hive that is not the node's"
sed -i 's/name = "test"/name = "other"/' "$run/hive/hive.nix"
waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the hive is named" says other
check "nothing of the node changed" equal "$(snapshot alpha)" "$before"
sed -i 's/name = "other"/name = "test"/' "$run/hive/hive.nix"

section "no pin at all"
: >"$run/no_hosts"
known_hosts=$run/no_hosts waggle apply --on alpha
check "the trigger does not go on" differ "$status" 0
check "it prints the line to add, with an address" says "$(node_address alpha)"
check "nothing of the node changed" equal "$(snapshot alpha)" "$before"

section "a pin in the hive itself"
jq --arg key "$(node_host_key alpha)" '.nodes.alpha.hostKey = $key' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=$run/no_hosts waggle apply --on alpha
check "it serves as one" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" one
fleet_write alpha beta

section "the operators that a deployment changes"
jq --rawfile key "$run/stranger.pub" '.operators = [$key | rtrimstr("\n")]' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
# Who is no operator of the new system cannot confirm it: handing over takes a deployment that needs no confirmation.
waggle apply --no-rollback --on beta
check "the known operator may hand over" equal "$status" 0
identity=$run/stranger waggle status --on beta
check "the new one is known from then on" equal "$status" 0
waggle status --on beta
check "and the old one no longer" differ "$status" 0
