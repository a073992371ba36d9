#!/usr/bin/env bash
# What an agent costs that has nothing to do, after one deployment: memory, and how often it wakes up.
#
#   idle.sh [--json] [--seconds N]      (120)
#
# Keys: rss_mib and private_mib of the agent; wakeups_per_min, the voluntary context switches of all its threads.
set -euo pipefail
here=$(cd "$(dirname "$0")/../system" && pwd)
# shellcheck source=SCRIPTDIR/../system/laptop.sh
source "$here/laptop.sh"
export WAGGLE_BUILD_DIR=${WAGGLE_BUILD_DIR:-$here/../../build/release}
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/../system/fleet.sh
source "$here/fleet.sh"

json=false seconds=120
while (($#)); do
    case $1 in
        --json) json=true; shift ;;
        --seconds) seconds=$2; shift 2 ;;
        *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

fleet_start alpha >&2
change alpha <<<'{ environment.etc.word.text = "one"; }'
waggle apply
((status == 0)) || { cat "$run/out" >&2; echo "idle: the deployment failed" >&2; exit 1; }

agent=$(node_run alpha systemctl show -P MainPID waggle-agent)
switches() { node_run alpha sh -c "cat /proc/$agent/task/*/status" | awk '/^voluntary_ctxt_switches/ { sum += $2 } END { print sum }'; }
is_quiet() { local before; before=$(switches); sleep 10; [[ $(switches) == "$before" ]]; }
# What follows a deployment is not idleness; an agent that never rests is measured all the same.
wait_until 60 "the agent rests" is_quiet || true

echo "measuring for $seconds s" >&2
before=$(switches)
sleep "$seconds"
after=$(switches)
threads=$(node_run alpha sh -c "ls /proc/$agent/task" | wc -l)
[[ $(node_run alpha systemctl show -P MainPID waggle-agent) == "$agent" ]] || { echo "idle: the agent was restarted" >&2; exit 1; }

result=$(node_run alpha cat "/proc/$agent/smaps_rollup" | awk -v switches=$((after - before)) -v seconds="$seconds" -v threads="$threads" '
    /^Rss:/ { rss = $2 }
    /^Private_(Clean|Dirty):/ { private += $2 }
    END {
        printf "{\"rss_mib\": %.2f, \"private_mib\": %.2f, \"wakeups_per_min\": %.2f, \"threads\": %d}\n",
            rss / 1024, private / 1024, switches * 60 / seconds, threads
    }')
if $json; then
    echo "$result"
else
    jq -r '"RSS \(.rss_mib) MiB, private \(.private_mib) MiB, \(.wakeups_per_min) wake-ups a minute, \(.threads) threads"' <<<"$result"
fi
