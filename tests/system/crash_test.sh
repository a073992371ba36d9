#!/usr/bin/env bash
# Reproduces every row of docs/crash-table.md on booted nodes: one step of a deployment goes wrong, and the chain of
# states, what runs, what boots and what the trigger reports must be exactly as in the row. `crash_test.sh [--without]
# KIND…` runs only (all but) these deployments. With CRASH_RECORD=1, it prints the rows that it finds instead of
# comparing them.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/faults.sh
source "$here/faults.sh"
# shellcheck source=SCRIPTDIR/port_taker.sh
source "$here/port_taker.sh"

table=${CRASH_TABLE:-$source_dir/docs/crash-table.md}
nodes=() # each runs one row at the same time
for ((i = 1; i <= ${CRASH_NODES:-6}; ++i)); do nodes+=("n$i"); done
number=0 failures=0 rows_done=0
node_boot_deadline=120 # several boot at once

# --- what is deployed ---

word() { echo "round-$number"; }

describe() { # NODE KIND SECONDS-TO-CONFIRM
    local more='{ }'
    case $2 in
    kept | rebooted | next-boot | tested | dry) ;;
    menu-fails) more='{ system.preSwitchChecks.menu = "[ \"$2\" != boot ]"; }' ;;
    unit-fails) more='{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }' ;;
    moved) more="{ services.waggle-agent.listen = [ \"$(node_address "$1")\" \"127.0.0.1\" \"127.0.1.$number\" ]; }" ;;
    unconfirmed) more='{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }' ;;
    secrets) more="{ deployment.keys = lib.genAttrs [ \"one\" \"only-$number\" ] (name: { text = \"$(word)\"; destDir = \"/var/lib/kept\"; }); }" ;;
    *) echo "docs/crash-table.md: no such deployment: $2" >&2; exit 1 ;;
    esac
    change "$1" <<NIX
{ lib, ... }: {
  environment.etc.word.text = "$(word)";
  deployment.rollback.confirmTimeout = $3;
  services.waggle-agent.keep = null;
  imports = [ ( $more ) ];
}
NIX
}

# --- what a row expects, and what happened ---

trimmed() { sed 's/^ *//; s/ *$//; s/`//g' <<<"$1"; }

read_table() { # lines of KIND, tab, write, tab, moment, tab, fault, tab, states, tab, runs, tab, boots, tab, told
    awk -F'|' '/^\| deployment \|/ { inside = 1; next } !/^\|/ { inside = 0 } inside && !/^\|-/ {
        line = ""
        for (i = 2; i <= 9; ++i) {
            gsub(/^ +| +$|`/, "", $i)
            line = line (i > 2 ? "\t" : "") $i
        }
        print line
    }' "$table"
}

plan_row() { # NODE write moment fault
    local command file label moment action=$4 first=() then=$2
    if [[ $2 == *', then '* ]]; then
        read -r command file label moment action <<<"${2%, then *}"
        first=("$command" "*/$file" "$label" "$moment" "$action")
        then=${2##*, then } action=$4
    fi
    read -r command file label <<<"$then"
    case $action in
    none) fault_plan "$1"; return ;;
    power) action=stop ;;
    lost) action=lose ;;
    esac
    fault_plan "$1" "${first[@]}" "$command" "*/$file" "${label:-*}" "$3" "$action"
}

state_of() { jq -r "$2" "$run/nodes/$1/root/var/lib/waggle-agent/state.json" 2>/dev/null || echo none; }

declare -A keeps_no_history=() # nodes where writing the history fails: the next deployment adds the entry

# The deployment has ended, the history records it, and no temporary file or unit is left.
is_settled() {
    local folder=$run/nodes/$1/root/var/lib/waggle-agent
    [[ $(state_of "$1" '.deployment.outcome') != null ]] && agent_listens "$1" &&
        [[ $kind != next-boot || $(state_of "$1" .deployment.state) != awaiting-reboot ]] &&
        { [[ ${keeps_no_history[$1]:-} == 1 ]] || is_in_history "$1"; } &&
        [[ -z $(find "$folder" -name '*.tmp') ]] && no_unit_is_left "$1"
}
is_in_history() {
    local entry
    entry=$(jq -r '.entries[-1] | "\(.id) \(.outcome)"' "$run/nodes/$1/root/var/lib/waggle-agent/history.json" 2>/dev/null || echo none)
    [[ $entry == "$(state_of "$1" '.deployment | "\(.id) \(.outcome)"')" ]]
}
what_is() { # NODE PATH
    case $2 in
    "${old[$1]}") echo old ;;
    "$(state_of "$1" .deployment.toplevel)") echo new ;;
    *) echo "$2" ;;
    esac
}
# For a deployment of secrets: the files on the node, and which deployment's bundle is in force.
kept_files() {
    local file
    for file in $(find "$run/nodes/$1/root/var/lib/kept" -type f 2>/dev/null | sort); do printf '%s:%s ' "${file##*/}" "$(cat "$file")"; done
}
secrets_are() {
    local now; now=$(kept_files "$1")
    if [[ $now == "${old[$1]}" ]]; then echo old
    elif [[ $now == "one:$(word) only-$number:$(word) " ]]; then echo new
    elif [[ $now == *"one:$(word) "* && $now == *"only-$number:$(word) "* ]]; then echo "new and old"
    else echo "$now"; fi
}
secrets_in_force() {
    local id; id=$(state_of "$1" '(if .deployment.state == "committed" then .deployment.bundle else null end) // .secrets | .id')
    if [[ $id != null && ! -s $run/nodes/$1/root/var/lib/waggle-agent/secrets/$id.age ]]; then echo "$id, which are gone"
    elif [[ $id == "$(state_of "$1" .deployment.id)" ]]; then echo new
    else echo old; fi
}
runs() { # NODE KIND
    if [[ $2 == secrets ]]; then secrets_are "$1"; else what_is "$1" "$(node_system "$1")"; fi
}
boots() { # NODE KIND: according to the profile and the boot loader
    local profile loader
    [[ $2 != secrets ]] || { secrets_in_force "$1"; return; }
    profile=$(what_is "$1" "$(node_profile "$1")")
    loader=$(what_is "$1" "$(cat "$run/nodes/$1/root/boot/loader/default")")
    [[ $profile == "$loader" ]] || profile="profile $profile, loader $loader"
    [[ ! -e $run/nodes/$1/root/boot/loader/oneshot ]] || profile+=", and once $(what_is "$1" "$(cat "$run/nodes/$1/root/boot/loader/oneshot")")"
    echo "$profile"
}
told() {
    local code=
    [[ -z $(fault_states "$1") ]] || code=$(state_of "$1" .deployment.code)
    echo "$(outcome "$1")${code:+ ($code)}"
}

# Checks that the table has a row for every write of a deployment without a fault.
all_writes_have_rows() { # NODE KIND
    local command path label pattern found found_label missing=0 row write
    while IFS=$'\t' read -r command path label; do
        found=0
        while IFS=$'\t' read -r row write _; do
            read -r row pattern found_label <<<"${write##*, then }"
            # shellcheck disable=SC2053 # it is a pattern
            if [[ $row == "$command" && $path == */$pattern && ${found_label:-$label} == "$label" ]]; then found=1; fi
        done < <(read_table)
        ((found)) || { echo "FAIL  $2: no row has this write: $command $path $label"; missing=1; }
    done < <(awk -F'\t' '$1 == "change" && $3 !~ /\.(tmp|waggle-new)$/ { print $2 "\t" $3 "\t" $4 }' "$(fault_folder "$1")/journal" | sort -u)
    ((missing == 0))
}

# --- a round: one row per node, all of one kind of deployment ---

declare -A old
run_round() { # SECONDS-TO-CONFIRM ROW…
    local seconds=$1 node row kind i cut=() rows=() here_now=() command=(apply) list; shift
    rows=("$@")
    ((++number))
    for i in "${!rows[@]}"; do
        IFS=$'\t' read -r kind write moment fault _ <<<"${rows[i]}"
        node=${nodes[i]}
        here_now+=("$node")
        describe "$node" "$kind" "$seconds"
        if [[ $kind == secrets ]]; then old[$node]=$(kept_files "$node"); else old[$node]=$(node_system "$node"); fi
        plan_row "$node" "$write" "$moment" "$fault"
        keeps_no_history[$node]=$([[ $write == *history.json && $fault == fail ]] && echo 1) || true
    done
    case $kind in
    rebooted) command=(apply --reboot) ;;
    next-boot) command=(apply boot) ;;
    tested) command=(apply test) ;;
    dry) command=(apply dry-activate) ;;
    secrets) command=(upload-keys) ;;
    esac
    list=$(IFS=,; echo "${here_now[*]}")
    waggle_in_background "${command[@]}" --on "$list"
    if [[ $kind == next-boot ]]; then
        wait_until 150 "waggle ends" no kill -0 "$waggle_pid" 2>/dev/null
        boot_anew "${here_now[@]}"
    fi
    # The trigger may end before the step is reached.
    wait_until 150 "round $number has ended" round_is_over || true
    waggle_wait
    for i in "${!rows[@]}"; do check_row "${nodes[i]}" "${rows[i]}"; done
    # The next round expects every node to run the system that it boots. After goal test, or a boot that was cut off, it
    # does not.
    local differing=()
    for node in "${here_now[@]}"; do
        [[ $(node_system "$node") == "$(node_profile "$node")" ]] || differing+=("$node")
    done
    if ((${#differing[@]})); then
        boot_anew "${differing[@]}"
        fleet_wait "${differing[@]}"
    fi
}

# Does not wait until the nodes are up: in some rows, a step of the boot goes wrong.
boot_anew() {
    local name
    local -A before=()
    for name in "$@"; do
        before[$name]=$(node_boot_id "$name")
        node_run "$name" systemctl --no-block reboot 2>/dev/null || true
    done
    for name in "$@"; do wait_until 60 "$name boots again" has_other_boot "$name" "${before[$name]}"; done
}
has_other_boot() {
    local id
    id=$(node_boot_id "$1" 2>/dev/null) && [[ $id != "$2" ]]
}

round_is_over() {
    local i over=1
    for i in "${!rows[@]}"; do
        node=${nodes[i]}
        if [[ ${rows[i]} == *$'\tnone\t'* ]]; then
            continue
        elif ! fault_is_hit "$node"; then
            over=0
        elif [[ ${rows[i]} == *$'\t'@(power|lost)$'\t'* && -z ${cut[i]:-} ]]; then
            (trap - EXIT INT TERM; fault_cut_power "$node" && touch "$(fault_folder "$node")/back") &
            cut[i]=1
            over=0
        elif [[ -n ${cut[i]:-} && ! -e $(fault_folder "$node")/back ]]; then
            over=0
        fi
    done
    ((over)) && ! kill -0 "$waggle_pid" 2>/dev/null
}

check_row() { # NODE ROW
    local node=$1 kind write moment fault states runs boots told expected found name
    IFS=$'\t' read -r kind write moment fault states runs boots told <<<"$2"
    ((++rows_done))
    name="$kind | $write | $moment | $fault"
    rm -f "$(fault_folder "$node")/back"
    [[ $fault != none ]] || all_writes_have_rows "$node" "$kind" || ((++failures))
    if [[ $fault != none ]] && ! fault_is_hit "$node"; then
        found="that step was never reached"
    elif ! wait_until 60 "$node has settled" is_settled "$node" 2>/dev/null; then
        found="$(fault_states "$node") | does not come to an end, or leaves something: $(find "$run/nodes/$node/root/var/lib/waggle-agent" -name '*.tmp' -printf '%f ')$(node_run "$node" systemctl list-units --all --plain --no-legend 'waggle-*' | awk '{ printf "%s %s; ", $1, $3 }')"
    else
        found=$(fault_states "$node")
        found="${found:--} | $(runs "$node" "$kind") | $(boots "$node" "$kind") | $(told "$node")"
    fi
    ! port_was_taken "$node" || found+=" | another process has had the port"
    expected="$states | $runs | $boots | $told"
    if [[ -n ${CRASH_RECORD:-} ]]; then
        echo "| $name | $found |"
        [[ $found != that* ]] || { tail -n 40 "$out"; node_journal "$node" -n 40; jq -c .deployment "$run/nodes/$node/root/var/lib/waggle-agent/state.json"; cat "$(fault_folder "$node")"/{plan,journal}; } || true
    elif [[ $found == "$expected" ]]; then
        echo "ok    $name"
    else
        printf 'FAIL  %s\n      got: %s\n      not: %s\n' "$name" "$found" "$expected"
        tail -n 40 "$out"
        node_journal "$node" -n 40 2>&1 || tail -n 5 "$run/nodes/$node/console"
        ((++failures))
    fi
}

fleet_start "${nodes[@]}"
faults_allow "${nodes[@]}"
port_taker_install "${nodes[@]}"
port_taker_start "${nodes[@]}"

# Rows of one kind and with the same timeout run together.
is_wanted() { # KIND, then the arguments
    case ${2:-} in
    '') ;;
    --without) [[ " ${*:3} " != *" $1 "* ]] ;;
    *) [[ " ${*:2} " == *" $1 "* ]] ;;
    esac
}
declare -A groups=()
order=()
while IFS= read -r row; do
    kind=${row%%$'\t'*}
    is_wanted "$kind" "$@" || continue
    seconds=60
    [[ $row != *not-confirmed* ]] || seconds=3
    [[ $kind != unconfirmed ]] || seconds=3
    key="$kind $seconds"
    [[ -n ${groups[$key]:-} ]] || order+=("$key")
    groups[$key]+=$row$'\n'
done < <(read_table)

for key in "${order[@]}"; do
    section "$key s"
    mapfile -t rows_of_key < <(printf '%s' "${groups[$key]}")
    for ((at = 0; at < ${#rows_of_key[@]}; at += ${#nodes[@]})); do
        run_round "${key##* }" "${rows_of_key[@]:at:${#nodes[@]}}"
    done
done

section "the stores"
for name in "${nodes[@]}"; do check "the store of $name is sound" store_is_sound "$name"; done
check "at least one row was run" at_least "$rows_done" 1
echo "$rows_done rows, $failures of them not as the table says"
((failures == 0))
