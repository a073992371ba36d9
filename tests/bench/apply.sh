#!/usr/bin/env bash
# How long `waggle apply` takes on booted nodes: when nothing changed, and when one small file of each node did.
#
#   apply.sh [--json] [--nodes N] [--runs N]      (3 nodes, the median of 5 runs)
#
# Keys: noop_s and one_path_s, wall time; noop and one_path, their phases (evaluate_s, build_s, connect_s, fetch_s,
# activate_s) as `waggle apply --timings` tells them, of the same run.
set -euo pipefail
here=$(cd "$(dirname "$0")/../system" && pwd)
# shellcheck source=SCRIPTDIR/../system/laptop.sh
source "$here/laptop.sh"
export WAGGLE_BUILD_DIR=${WAGGLE_BUILD_DIR:-$here/../../build/release}
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/../system/fleet.sh
source "$here/fleet.sh"

json=false count=3 runs=5
while (($#)); do
    case $1 in
        --json) json=true; shift ;;
        --nodes) count=$2; shift 2 ;;
        --runs) runs=$2; shift 2 ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

mapfile -t nodes < <(for ((i = 1; i <= count; i++)); do printf 'node%02d\n' "$i"; done)
fleet_start "${nodes[@]}" >&2

# One run, as a line of JSON: {"wall_s", phases…}
measure() { # WHAT
    local began ended
    began=$(date +%s%N)
    (exec_waggle apply --timings "$run/timings") >"$run/out" 2>&1 </dev/null || status=$?
    ended=$(date +%s%N)
    ((status == 0)) || { cat "$run/out" >&2; echo "apply: waggle apply failed ($1)" >&2; exit 1; }
    jq -c --argjson wall $(((ended - began) / 1000000)) '{wall_s: ($wall / 1000)} + .' "$run/timings"
}

change_word() {
    local name
    for name in "${nodes[@]}"; do change "$name" <<<"{ environment.etc.word.text = \"$1\"; }"; done
}

change_word warm-up
measure warm-up >/dev/null
for ((i = 1; i <= runs; i++)); do
    measure noop >>"$run/noop"
    # A word that no run before has seen: building it is part of what is measured.
    change_word "$run_id-$i"
    measure one_path >>"$run/one_path"
done

result=$(jq -cn --argjson nodes "$count" --slurpfile noop "$run/noop" --slurpfile one "$run/one_path" '
    def median: sort_by(.wall_s) | .[(length - 1) / 2 | floor];
    def phases: {evaluate_s, build_s, connect_s, fetch_s, activate_s};
    ($noop | median) as $n | ($one | median) as $o |
    {nodes: $nodes, noop_s: $n.wall_s, noop: ($n | phases), one_path_s: $o.wall_s, one_path: ($o | phases)}')
if $json; then
    echo "$result"
else
    jq -r '"nothing changed: \(.noop_s) s  \(.noop)", "one path changed: \(.one_path_s) s  \(.one_path)"' <<<"$result"
fi
