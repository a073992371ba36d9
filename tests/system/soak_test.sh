#!/usr/bin/env bash
# soak_test.sh [DEPLOYMENTS]: runs that many, one after the other on each of four nodes. During each one, something is
# killed at a random moment: the agent, what changes the system, both, or the whole node. Every node ends committed or
# rolled back, with a sound store, and nothing is left over. The test prints its seed; SOAK_SEED=N begins with the same
# choices again.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

deployments=${1:-200}
seed=${SOAK_SEED:-$(($(date +%s%N) / 1000 % 32768))}
RANDOM=$seed
echo "seed $seed: SOAK_SEED=$seed $0 $deployments"
nodes=(alpha beta gamma delta)
node_boot_deadline=120 # several boot at once
number=0 done_so_far=0 span_ms=3000
declare -A old=() ends=()

state_file() { echo "$run/nodes/$1/root/var/lib/waggle-agent/state.json"; }
state_of() { jq -r "$2" "$(state_file "$1")" 2>/dev/null || echo none; } # none before the first deployment
millis() { echo $(($(date +%s%N) / 1000000)); }

# A word that tells systems apart, and 2 MB that take a moment to send.
describe() {
    local name
    for name in "$@"; do
        change "$name" <<NIX
{ pkgs, ... }: {
  environment.etc.word.text = "round-$number";
  environment.etc.ballast.source = pkgs.runCommand "ballast-$number" { } "head -c 2000000 /dev/urandom > \$out";
  deployment.rollback.confirmTimeout = 15;
  systemd.services.web = { wantedBy = [ "multi-user.target" ]; script = "echo round $number; exec sleep infinity"; };
}
NIX
    done
}

is_new() { [[ $(state_of "$1" .deployment.id) != "${old[$1]}" ]]; }

# Writes what it kills to $run/nodes/NAME/fate.
kill_something() { # NODE MILLISECONDS CHOICE
    local name=$1 choice=$3 units='waggle-activation.service waggle-commit.service waggle-recovery.service waggle-rollback.service waggle-confirm.service'
    trap - EXIT INT TERM ERR
    wait_until 60 "$name has received the deployment" is_new "$name" || return 0
    sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))" # the random moment
    echo "$choice, $2 ms after it was received, while $(state_of "$name" .deployment.state)" >"$run/nodes/$name/fate"
    case $choice in
    agent) node_run "$name" systemctl kill --kill-whom=main -s KILL waggle-agent.service ;;
    unit) node_run "$name" sh -c "for unit in $units; do systemctl kill --kill-whom=main -s KILL \$unit; done" ;;
    all) node_run "$name" pkill -KILL -x waggle-agent ;;
    power) node_kill "$name" && node_boot "$name" ;;
    esac >/dev/null 2>&1 || true
    : >"$run/nodes/$name/killed"
}

is_settled() {
    local folder=$run/nodes/$1/root/var/lib/waggle-agent
    [[ -e $run/nodes/$1/killed && $(state_of "$1" .deployment.outcome) != null ]] && agent_listens "$1" &&
        is_in_history "$1" && [[ -z $(find "$folder" -name '*.tmp') ]] && no_unit_is_left "$1"
}
is_in_history() {
    local entry
    entry=$(jq -r '.entries[-1] | "\(.id) \(.outcome)"' "$(dirname "$(state_file "$1")")/history.json" 2>/dev/null || echo none)
    [[ $entry == "$(state_of "$1" '.deployment | "\(.id) \(.outcome)"')" ]]
}
# The node runs and boots the new system if it is committed, else the previous one.
is_consistent() {
    local system profile state
    system=$(node_system "$1") profile=$(node_profile "$1") state=$(state_of "$1" .deployment.state)
    [[ $system == "$profile" && $(cat "$run/nodes/$1/root/boot/loader/default") == "$profile" ]] || return 1
    case $state in
    committed) [[ $system == "$(state_of "$1" .deployment.toplevel)" ]] ;;
    rolled-back) [[ $system == "$(state_of "$1" .deployment.previousSystem)" ]] ;;
    *) return 1 ;;
    esac
}

fleet_start "${nodes[@]}"

section "one undisturbed deployment, to measure its time"
describe "${nodes[@]}"
for name in "${nodes[@]}"; do old[$name]=$(state_of "$name" .deployment.id); done
waggle_in_background apply
wait_until 60 "alpha has received the deployment" is_new alpha
began=$(millis)
waggle_wait
span_ms=$((($(millis) - began) * 5 / 4))
check "waggle apply succeeds" equal "$status" 0
echo "kills come within $span_ms ms"

section "$deployments deployments"
choices=(agent unit all power)
while ((done_so_far < deployments)); do
    ((++number))
    now=("${nodes[@]:0:$((deployments - done_so_far))}")
    describe "${now[@]}"
    for name in "${now[@]}"; do
        old[$name]=$(state_of "$name" .deployment.id)
        rm -f "$run/nodes/$name"/{fate,killed}
        kill_something "$name" $(((RANDOM * 32768 + RANDOM) % span_ms)) "${choices[RANDOM % 4]}" </dev/null >/dev/null 2>&1 &
    done
    waggle apply --on "$(IFS=,; echo "${now[*]}")"
    for name in "${now[@]}"; do
        if ! wait_until 120 "$name has settled" is_settled "$name" || ! is_consistent "$name"; then
            echo "$name: $(cat "$run/nodes/$name/fate")"
            jq . "$(state_file "$name")"
            find "$(dirname "$(state_file "$name")")" -name '*.tmp'
            node_run "$name" systemctl list-units --all --plain --no-legend 'waggle-*' || true
            check "round $number: $name ends committed or rolled back, and nothing is left over" false
        fi
        state=$(state_of "$name" .deployment.state)
        echo "$number $name: $(cat "$run/nodes/$name/fate"): $state ($(outcome "$name"))"
        ends[$state]=$((${ends[$state]:-0} + 1))
        ((++done_so_far))
    done
done

section "afterwards"
for state in "${!ends[@]}"; do echo "${ends[$state]} $state"; done
for name in "${nodes[@]}"; do check "the store of $name is sound" store_is_sound "$name"; done
number=last
describe "${nodes[@]}"
waggle apply
check "the next deployment succeeds everywhere" equal "$status" 0
