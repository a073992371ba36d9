#!/usr/bin/env bash
# At the console of a node that no operator can reach: status, history, rollback, disarm, reset-state. And the agent itself:
# a deployment brings another one.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"

fleet_start alpha beta

console() { local name=$1; shift; status=0 out=$run/out; node_run "$name" /run/current-system/sw/bin/waggle-agent "$@" >"$out" 2>&1 || status=$?; }
runs() { [[ $(word "$1") == "$2" ]]; }
state_is() { grep -q "\"state\": \"$2\"" "$run/nodes/$1/root/var/lib/waggle-agent/state.json"; }
# shellcheck disable=SC2016  # expands on the node
agent_program() { node_run "$1" sh -c 'readlink /proc/$(systemctl show -P MainPID waggle-agent)/exe'; }

good alpha one
waggle apply --on alpha
good alpha two
waggle apply --on alpha
check "two systems were deployed" equal "$status" 0

section "no network: what is here"
node_cut_network alpha
console alpha status
check "status says what runs" says "current system +$(node_system alpha)"
check "and how it went" says 'outcome +ok'
console alpha history
check "history has both" equal "$(grep -c 'switch of' "$out")" 2

section "no network: back to the system of before"
two=$(node_system alpha)
console alpha rollback
check "rollback succeeds" equal "$status" 0
check "alpha runs the one of before" equal "$(word alpha)" one
check "and boots it" equal "$(node_profile alpha)" "$(node_system alpha)"
check "it is not the one that was deployed last" differ "$(node_system alpha)" "$two"
console alpha rollback
check "a second time there is nothing to go back from" differ "$status" 0
check "the way to other generations is told" says 'switch-generation'
wait_until 20 "the agent runs" node_run alpha systemctl is-active -q waggle-agent
console alpha history
check "the history tells it" says 'ok, .*rolled back at the node.s console at 20'
node_heal_network alpha
wait_until 20 "the agent of alpha listens" agent_listens alpha
good alpha three
waggle apply --on alpha
check "with the network the next deployment goes through" equal "$status" 0

section "no network: a deployment that nobody confirms is sent back at once"
confirm_timeout=600 describe alpha four '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on alpha
unconfirmed() { runs "$1" "$2" && state_is "$1" activated; }
wait_until 60 "alpha runs it" unconfirmed alpha four
node_cut_network alpha
console alpha rollback
check "rollback succeeds" equal "$status" 0
check "it says whose word it was" says 'console'
check "alpha runs the old system" equal "$(word alpha)" three
check "and boots it" equal "$(node_profile alpha)" "$(node_system alpha)"
node_heal_network alpha
waggle_wait
check "the trigger hears of it" equal "$(outcome alpha)" rolled-back
wait_until 30 "nothing of ours is left on alpha" no_unit_is_left alpha

section "no network: disarmed"
confirm_timeout=300 describe alpha five '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on alpha
wait_until 60 "alpha runs it" unconfirmed alpha five
node_cut_network alpha
console alpha disarm
check "disarm succeeds" equal "$status" 0
check "what comes next is told" says 'until the next boot'
wait_until 30 "no timer is left" no_unit_is_left alpha
check "alpha runs the new system" equal "$(word alpha)" five
node_heal_network alpha
kill -INT "$waggle_pid"
waggle_wait
node_reboot alpha
fleet_wait alpha
check "the next boot is of the old one" equal "$(word alpha)" three
good alpha six
waggle apply --on alpha
check "the next deployment goes through" equal "$status" 0

section "a state that cannot be read"
state=$run/nodes/alpha/root/var/lib/waggle-agent/state.json
sed -i 's/"v": [0-9]*/"v": 99/' "$state"
good alpha seven
waggle apply --on alpha
check "the deployment is refused" equal "$status" 5
check "the file is named" says 'state\.json'
check "and the command that tells more" says 'waggle-agent status'
check "the file is as it was" grep -q '"v": 99' "$state"
console alpha status
check "which says what to do" says 'waggle-agent reset-state'
console alpha reset-state
check "reset-state succeeds" equal "$status" 0
check "what it was is kept" grep -q '"v": 99' "$state.corrupt"
waggle apply --on alpha
check "the next deployment is admitted" equal "$status" 0
check "alpha runs it" equal "$(word alpha)" seven
console alpha reset-state
check "a state that can be read is left alone" differ "$status" 0

section "an older state is read, and gets its new form with a commit"
console alpha status
jq '.v = 1 | del(.deployment.target)' "$state" >"$run/state" && cat "$run/state" >"$state"
describe alpha older '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle apply --on alpha
check "a deployment that is not committed" equal "$(outcome alpha)" rolled-back
check "leaves it as it is" equal "$(jq .v "$state")" 1
good alpha newer
waggle apply --on alpha
check "one that is" equal "$status" 0
check "rewrites it" equal "$(jq .v "$state")" 2

section "a deployment brings another agent"
good beta one
waggle apply --on beta
before=$(agent_program beta)
cp -r "$run/waggle-agent" "$run/waggle-agent-next"
echo another >"$run/waggle-agent-next/another"
next=$(nix-store --add "$run/waggle-agent-next")
confirm_timeout=60 describe beta next "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$next\"); }"
waggle apply --on beta
check "it succeeds" equal "$status" 0
is_next() { [[ $(agent_program beta) == "$next/bin/waggle-agent" ]]; }
wait_until 20 "beta is served by the new agent" is_next
check "it was another one before" differ "$before" "$next/bin/waggle-agent"
confirm_timeout=60 describe beta unit "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$next\"); systemd.services.waggle-agent.environment.SOMETHING = \"new\"; }"
waggle apply --on beta
check "a change of its unit succeeds" equal "$status" 0
# shellcheck disable=SC2016
has_something() { node_run beta sh -c 'tr "\0" "\n" </proc/$(systemctl show -P MainPID waggle-agent)/environ | grep -q SOMETHING=new'; }
wait_until 20 "beta's agent has it" has_something

section "a deployment brings an agent that is broken"
old=$(node_system beta)
mkdir -p "$run/waggle-agent-broken/bin"
printf '#!/bin/sh\nexit 1\n' >"$run/waggle-agent-broken/bin/waggle-agent"
chmod +x "$run/waggle-agent-broken/bin/waggle-agent"
broken=$(nix-store --add "$run/waggle-agent-broken")
describe beta broken "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$broken\"); }"
waggle apply --on beta
check "it is rolled back" equal "$(outcome beta)" rolled-back
check "beta runs the old system" equal "$(node_system beta)" "$old"
wait_until 20 "beta is served by the old agent" is_next
