#!/usr/bin/env bash
# Who is an operator: the committed configuration's list, through rollbacks and older generations; systems that would lock everybody out;
# `waggle-agent adopt` at the console; a state that is corrupt, newer or lost.
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

section "an operator comes and goes"
operators_are "$run/operator.pub" "$run/colleague.pub"
say_word both
waggle apply
check "a second operator is deployed" equal "$status" 0
check "and may deploy" may_deploy "$run/colleague"
older=$(node_system alpha)
operators_are "$run/operator.pub"
say_word one
identity=$run/colleague waggle apply
check "nobody removes himself: he could not confirm it" equal "$status" 5
check "and is told so" says 'could confirm this deployment'
check "nothing was activated" equal "$(word alpha)" both
waggle apply
check "the other one removes him" equal "$status" 0
check "he may not deploy any more" no may_deploy "$run/colleague"

section "older generations bring nobody back"
node_run alpha sh -c "echo $older > /boot/loader/oneshot"
node_reboot alpha
fleet_wait alpha
check "an older generation was booted" equal "$(node_system alpha)" "$older"
check "who was removed stays so" no may_deploy "$run/colleague"
check "who was not does not" may_deploy "$run/operator"
node_reboot alpha
fleet_wait alpha
waggle rollback --on alpha
check "the operator goes back" equal "$status" 0
check "to the older system" equal "$(node_system alpha)" "$older"
check "it is told who does not come back" says 'stays removed'
check "and he does not" no may_deploy "$run/colleague"

section "systems that lock everybody out"
operators_are "$run/colleague.pub"
say_word locked
waggle apply
check "one that the operator could not confirm is refused" equal "$status" 5
operators_are "$run/operator.pub"
change alpha <<<'{ lib, ... }: { systemd.services = lib.mkForce { }; }'
waggle apply
check "one without the agent's unit is refused" equal "$status" 5
check "by what the node finds in it" says 'no waggle-agent.service'
check "nothing was activated" equal "$(node_system alpha)" "$older"

section "all keys lost: the console"
node_run alpha sh -c 'cat > /root/new.pub' <"$run/colleague.pub"
console adopt /root/new.pub >"$run/adopted"
check "it says who is an operator now" grep -q "^operator $(ssh-keygen -lf "$run/colleague.pub" | cut -d' ' -f2)" "$run/adopted"
fleet_wait alpha
check "the new key may deploy" may_deploy "$run/colleague"
check "the lost one may not" no may_deploy "$run/operator"
operators_are "$run/colleague.pub" "$run/operator.pub"
say_word again
identity=$run/colleague waggle apply
check "a configuration that names both is deployed" equal "$status" 0
check "and whoever it names anew may deploy" may_deploy "$run/operator"
check "the console says who it is" console status
console status >"$run/status"
check "both of them" equal "$(grep -c '^operator ' "$run/status")" 2

section "a state that is corrupt, newer or lost"
n=0
for text in '{' '{"v":999,"lastAdmitted":null,"deployment":null}'; do
    write_state "$text"
    say_word "reset $((++n))"
    waggle apply
    check "the node refuses" equal "$status" 5
    check "and says what to do" says 'reset-state'
    waggle apply --reset-state
    check "it deploys when told to" equal "$status" 0
    check "the system is there" equal "$(word alpha)" "reset $n"
    check "what was there is put aside" equal "$(node_run alpha cat $state_file.corrupt)" "$text"
done
node_run alpha rm $state_file
say_word lost
waggle apply
check "without a state it is as on a fresh node" equal "$status" 0
check "the system is there" equal "$(word alpha)" lost
