#!/usr/bin/env bash
# Clocks that are wrong, on the laptop and in what the node remembers, lock nobody out.
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
# What an agent before this rule would remember of a deployment from the future.
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
check "one with the clock 3 hours ahead is refused" equal "$status" 5
check "and says whose clock is ahead, and by how much" says 'the machine that signed it is [23] h ahead'
check "the trigger says that the clocks differ" says "clock is [23] h behind this machine's"
waggle_with_clock +3h apply --force
check "with --force it is admitted" equal "$status" 0
say_word three
waggle apply
check "the next one with the right clock is admitted" equal "$status" 0
check "and runs" equal "$(word alpha)" three

section "a laptop whose clock is behind: the node's is ahead, as it sees it"
say_word four
waggle_with_clock -3h apply
check "it deploys" equal "$status" 0
check "with a warning" says "clock is [23] h ahead of this machine's"

section "a node that was locked out before"
remember $((3 * 3600))
say_word five
waggle apply
check "the right clock deploys" equal "$status" 0
check "and runs" equal "$(word alpha)" five
remember $((700 * 86400))
say_word six
waggle apply --force
check "also after 700 days, by force" equal "$status" 0
say_word seven
waggle_with_clock +3h apply
check "after which a clock that is ahead is refused again" equal "$status" 5
remember $((2000 * 86400))
waggle apply
check "what is years ahead is refused by the trigger" equal "$status" 5
check "which says what to do" says 'waggle-agent reset-clock'
check "reset-clock at the console succeeds" console reset-clock
check "and says so when there is nothing to do" console reset-clock
waggle apply
check "after which the right clock deploys" equal "$status" 0
check "and runs" equal "$(word alpha)" seven
