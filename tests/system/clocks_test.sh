#!/usr/bin/env bash
# Wrong clocks, on the laptop or in the node's state file, lock no operator out.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha
say_word() { change alpha <<<"{ environment.etc.word.text = \"$1\"; }"; }
state_file=/var/lib/waggle-agent/state.json
console() { node_run alpha /run/current-system/sw/bin/waggle-agent "$@"; }

faketime=$(dpkg -L libfaketime | grep '/libfaketime\.so\.1$')
waggle_with_clock() { # OFFSET COMMAND…
    status=0 out=$run/out
    (
        export LD_PRELOAD=$faketime FAKETIME=$1 FAKETIME_DONT_FAKE_MONOTONIC=1
        shift
        exec_waggle "$@"
    ) >"$out" 2>&1 </dev/null || status=$?
}
# Writes what an agent older than this rule would remember of a deployment from the future.
remember() { # SECONDS-AHEAD
    local time=$(($(date +%s) + $1))
    node_run alpha cat $state_file |
        jq --arg created "$(date -u -d "@$time" +%Y-%m-%dT%H:%M:%SZ)" --argjson sequence "${time}000" \
            '.lastAdmitted.created = $created | .lastAdmitted.sequence = $sequence' >"$run/state.json"
    node_run alpha sh -c "cat > $state_file" <"$run/state.json"
}

section "a laptop whose clock is ahead"
say_word one
waggle apply
check "a deployment with the right clock succeeds" equal "$status" 0
say_word two
waggle_with_clock +3h apply
check "a deployment with the clock 3 hours ahead is refused" equal "$status" 5
check "the refusal says whose clock is ahead, and by how much" says 'the machine that signed it is [23] h ahead'
check "the trigger reports how far the node's clock is behind" says "clock is [23] h behind this machine's"
waggle_with_clock +3h apply --force
check "a deployment with --force is admitted" equal "$status" 0
say_word three
waggle apply
check "the next deployment with the right clock is admitted" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" three

section "a laptop whose clock is behind, so that the node's seems to be ahead"
say_word four
waggle_with_clock -3h apply
check "a deployment with the clock 3 hours behind succeeds" equal "$status" 0
check "the trigger warns that the node's clock is ahead" says "clock is [23] h ahead of this machine's"

section "a node that remembers a deployment from the future"
remember $((3 * 3600))
say_word five
waggle apply
check "a deployment with the right clock succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" five
remember $((700 * 86400))
say_word six
waggle apply --force
check "--force deploys to a node that remembers a time 700 days ahead" equal "$status" 0
say_word seven
waggle_with_clock +3h apply
check "a clock that is ahead is then refused again" equal "$status" 5
remember $((2000 * 86400))
waggle apply
check "the trigger refuses a node that remembers a time 2000 days ahead" equal "$status" 5
check "the refusal names the command to run" says 'waggle-agent reset-clock'
check "reset-clock at the console succeeds" console reset-clock
check "reset-clock also succeeds when there is nothing to do" console reset-clock
waggle apply
check "a deployment with the right clock then succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" seven
