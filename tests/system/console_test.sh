#!/usr/bin/env bash
# The console commands of a node that no operator can reach: status, history, rollback, disarm, reset-state. Also
# deployments that replace the agent itself.
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

section "no network: status and history"
node_cut_network alpha
console alpha status
check "status shows the current system" says "current system +$(node_system alpha)"
check "status shows the outcome" says 'outcome +ok'
console alpha history
check "history lists both deployments" equal "$(grep -c 'switch of' "$out")" 2

section "no network: rollback to the previous system"
two=$(node_system alpha)
console alpha rollback
check "rollback succeeds" equal "$status" 0
check "alpha runs the previous system" equal "$(word alpha)" one
check "alpha boots the previous system from now on" equal "$(node_profile alpha)" "$(node_system alpha)"
check "alpha no longer runs the system that was deployed last" differ "$(node_system alpha)" "$two"
console alpha rollback
check "a second rollback fails" differ "$status" 0
check "the error names the command that switches to other generations" says 'switch-generation'
wait_until 20 "the agent runs" node_run alpha systemctl is-active -q waggle-agent
console alpha history
check "the history records the rollback" says 'ok, .*rolled back at the node.s console at 20'
node_heal_network alpha
wait_until 20 "the agent of alpha listens" agent_listens alpha
good alpha three
waggle apply --on alpha
check "the next deployment succeeds once the network is back" equal "$status" 0

section "no network: an unconfirmed deployment is rolled back before its timeout"
confirm_timeout=600 describe alpha four '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on alpha
unconfirmed() { runs "$1" "$2" && state_is "$1" activated; }
wait_until 60 "alpha runs the new system, unconfirmed" unconfirmed alpha four
node_cut_network alpha
console alpha rollback
check "rollback succeeds" equal "$status" 0
check "the output names the console" says 'console'
check "alpha runs the old system" equal "$(word alpha)" three
check "alpha boots the old system from now on" equal "$(node_profile alpha)" "$(node_system alpha)"
node_heal_network alpha
waggle_wait
check "the trigger reports rolled-back" equal "$(outcome alpha)" rolled-back
wait_until 30 "no unit of the deployment is left on alpha" no_unit_is_left alpha

section "no network: disarm"
confirm_timeout=300 describe alpha five '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on alpha
wait_until 60 "alpha runs the new system, unconfirmed" unconfirmed alpha five
node_cut_network alpha
console alpha disarm
check "disarm succeeds" equal "$status" 0
check "disarm says that the system runs until the next boot" says 'until the next boot'
wait_until 30 "no unit of the deployment is left on alpha" no_unit_is_left alpha
check "alpha runs the new system" equal "$(word alpha)" five
node_heal_network alpha
kill -INT "$waggle_pid"
waggle_wait
node_reboot alpha
fleet_wait alpha
check "the next boot starts the old system" equal "$(word alpha)" three
good alpha six
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0

section "a state file that cannot be read"
state=$run/nodes/alpha/root/var/lib/waggle-agent/state.json
sed -i 's/"v": [0-9]*/"v": 99/' "$state"
good alpha seven
waggle apply --on alpha
check "the deployment is refused" equal "$status" 5
check "the error names the state file" says 'state\.json'
check "the error names the command that shows details" says 'waggle-agent status'
check "the state file is unmodified" grep -q '"v": 99' "$state"
console alpha status
check "waggle-agent status says to run reset-state" says 'waggle-agent reset-state'
console alpha reset-state
check "reset-state succeeds" equal "$status" 0
check "the previous state file is kept as state.json.corrupt" grep -q '"v": 99' "$state.corrupt"
waggle apply --on alpha
check "the next deployment is admitted" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" seven
console alpha reset-state
check "reset-state refuses a state file that can be read" differ "$status" 0

section "a state file in an older format is read, and a commit rewrites it"
console alpha status
jq '.v = 1 | del(.deployment.target)' "$state" >"$run/state" && cat "$run/state" >"$state"
describe alpha older '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle apply --on alpha
check "a deployment without a working agent is rolled back" equal "$(outcome alpha)" rolled-back
check "a rollback keeps the older format" equal "$(jq .v "$state")" 1
good alpha newer
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0
check "a commit writes the new format" equal "$(jq .v "$state")" 2

section "a deployment that replaces the agent"
good beta one
waggle apply --on beta
before=$(agent_program beta)
cp -r "$run/waggle-agent" "$run/waggle-agent-next"
echo another >"$run/waggle-agent-next/another"
next=$(nix-store --add "$run/waggle-agent-next")
confirm_timeout=60 describe beta next "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$next\"); }"
waggle apply --on beta
check "the deployment succeeds" equal "$status" 0
is_next() { [[ $(agent_program beta) == "$next/bin/waggle-agent" ]]; }
wait_until 20 "beta runs the new agent" is_next
check "the previous agent was another program" differ "$before" "$next/bin/waggle-agent"
confirm_timeout=60 describe beta unit "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$next\"); systemd.services.waggle-agent.environment.SOMETHING = \"new\"; }"
waggle apply --on beta
check "a deployment that changes the agent's unit succeeds" equal "$status" 0
# shellcheck disable=SC2016
has_something() { node_run beta sh -c 'tr "\0" "\n" </proc/$(systemctl show -P MainPID waggle-agent)/environ | grep -q SOMETHING=new'; }
wait_until 20 "beta's agent has the new environment variable" has_something

section "a deployment with a broken agent"
old=$(node_system beta)
mkdir -p "$run/waggle-agent-broken/bin"
printf '#!/bin/sh\nexit 1\n' >"$run/waggle-agent-broken/bin/waggle-agent"
chmod +x "$run/waggle-agent-broken/bin/waggle-agent"
broken=$(nix-store --add "$run/waggle-agent-broken")
describe beta broken "{ services.waggle-agent.package = lib.mkForce (builtins.storePath \"$broken\"); }"
waggle apply --on beta
check "the deployment is rolled back" equal "$(outcome beta)" rolled-back
check "beta runs the old system" equal "$(node_system beta)" "$old"
wait_until 20 "beta runs the old agent" is_next
