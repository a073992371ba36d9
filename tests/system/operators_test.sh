#!/usr/bin/env bash
# Who is an operator: the committed configuration's list, across rollbacks and older generations; systems that would
# lock every operator out; `waggle-agent adopt` at the console; a state file that is corrupt, newer or lost.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha
ssh-keygen -q -t ed25519 -N '' -C colleague -f "$run/colleague"
say_word() { change alpha <<<"{ environment.etc.word.text = \"$1\"; }"; }
operators_are() { # KEY FILE…
    cat "$@" | jq -R . | jq -s --slurpfile fleet "$run/hive/fleet.json" '$fleet[0] + {operators: .}' >"$run/fleet.json"
    mv "$run/fleet.json" "$run/hive/fleet.json"
}
may_deploy() { # KEY
    identity=$1 waggle status --on alpha
    [[ $status == 0 ]]
}
state_file=/var/lib/waggle-agent/state.json
write_state() { node_run alpha sh -c "printf '%s' '$1' > $state_file"; }
console() { node_run alpha /run/current-system/sw/bin/waggle-agent "$@"; }

section "an operator is added and removed"
operators_are "$run/operator.pub" "$run/colleague.pub"
say_word both
waggle apply
check "a second operator is deployed" equal "$status" 0
check "the node accepts the second operator" may_deploy "$run/colleague"
older=$(node_system alpha)
operators_are "$run/operator.pub"
say_word one
identity=$run/colleague waggle apply
check "an operator cannot remove their own key, because they could not confirm it" equal "$status" 5
check "the refusal is about the confirmation" says 'could confirm this deployment'
check "nothing was activated" equal "$(word alpha)" both
waggle apply
check "the first operator removes the second" equal "$status" 0
check "the node no longer accepts the second operator" no may_deploy "$run/colleague"

section "older generations bring no removed operator back"
node_run alpha sh -c "echo $older > /boot/loader/oneshot"
node_reboot alpha
fleet_wait alpha
check "an older generation was booted" equal "$(node_system alpha)" "$older"
check "the removed operator stays removed" no may_deploy "$run/colleague"
check "the node still accepts the other operator" may_deploy "$run/operator"
node_reboot alpha
fleet_wait alpha
waggle rollback --on alpha
check "waggle rollback succeeds" equal "$status" 0
check "alpha runs the older system" equal "$(node_system alpha)" "$older"
check "the output says who stays removed" says 'stays removed'
check "the node does not accept the removed operator" no may_deploy "$run/colleague"

section "systems that would lock every operator out"
operators_are "$run/colleague.pub"
say_word locked
waggle apply
check "a system that the operator could not confirm is refused" equal "$status" 5
operators_are "$run/operator.pub"
change alpha <<<'{ lib, ... }: { systemd.services = lib.mkForce { }; }'
waggle apply
check "a system without the agent's unit is refused" equal "$status" 5
check "the refusal says that waggle-agent.service is missing" says 'no waggle-agent.service'
check "nothing was activated" equal "$(node_system alpha)" "$older"

section "all keys lost: the console"
node_run alpha sh -c 'cat > /root/new.pub' <"$run/colleague.pub"
console adopt /root/new.pub >"$run/adopted"
check "adopt prints the new operator" grep -q "^operator $(ssh-keygen -lf "$run/colleague.pub" | cut -d' ' -f2)" "$run/adopted"
fleet_wait alpha
check "the node accepts the new key" may_deploy "$run/colleague"
check "the node does not accept the lost key" no may_deploy "$run/operator"
operators_are "$run/colleague.pub" "$run/operator.pub"
say_word again
identity=$run/colleague waggle apply
check "a configuration that names both keys is deployed" equal "$status" 0
check "the node accepts the key that the configuration adds" may_deploy "$run/operator"
check "waggle-agent status succeeds at the console" console status
console status >"$run/status"
check "waggle-agent status lists both operators" equal "$(grep -c '^operator ' "$run/status")" 2

section "a state file that is corrupt, newer or lost"
n=0
for text in '{' '{"v":999,"lastAdmitted":null,"deployment":null}'; do
    write_state "$text"
    say_word "reset $((++n))"
    waggle apply
    check "the deployment is refused" equal "$status" 5
    check "the refusal says to reset the state" says 'reset-state'
    waggle apply --reset-state
    check "the deployment succeeds with --reset-state" equal "$status" 0
    check "alpha runs the new system" equal "$(word alpha)" "reset $n"
    check "the previous state file is kept as state.json.corrupt" equal "$(node_run alpha cat $state_file.corrupt)" "$text"
done
node_run alpha rm $state_file
say_word lost
waggle apply
check "without a state file, the deployment succeeds, as on a fresh node" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" lost
