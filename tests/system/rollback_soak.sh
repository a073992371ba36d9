#!/usr/bin/env bash
# Deploys each system that a node must roll back (rollback_cases.sh) COUNT times (default 20), on four parallel nodes.
#
#     rollback_soak.sh [COUNT [CASE…]]
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"

count=${1:-${COUNT:-20}}
cases=("${@:2}")
[[ ${#cases[@]} -gt 0 ]] || cases=("${rollback_cases[@]}")
nodes=(alpha beta gamma delta)

fleet_start "${nodes[@]}"
for name in "${nodes[@]}"; do good "$name" good; done
waggle apply
check "a good system is kept" equal "$status" 0

for kind in "${cases[@]}"; do
    section "$kind"
    done_so_far=0 longest=0
    while ((done_so_far < count)); do
        these=("${nodes[@]:0:count-done_so_far}")
        for name in "${these[@]}"; do "bad_$kind" "$name" "$kind-$done_so_far"; done
        began=$SECONDS
        waggle apply --on "$(IFS=,; echo "${these[*]}")"
        took=$((SECONDS - began))
        ((took <= longest)) || longest=$took
        # Prints the checks only if one fails.
        (for name in "${these[@]}"; do check_came_back "$name" "${reason[$kind]}"; done) >"$run/checks" 2>&1 ||
            { cat "$run/checks"; exit 1; }
        done_so_far=$((done_so_far + ${#these[@]}))
    done
    check "$kind: $done_so_far of $count rolled back, the slowest waggle took $longest s" equal "$done_so_far" "$count"
done

for name in "${nodes[@]}"; do good "$name" better; done
waggle apply
check "the next good system is deployed everywhere" equal "$status" 0
for name in "${nodes[@]}"; do check "the store of $name is sound" store_is_sound "$name"; done
