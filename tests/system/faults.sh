# shellcheck shell=bash
# Injects faults on a booted node: one step of one write to a persistent file goes wrong, see shared/base/fault.hpp.
# Source fleet.sh, then this file.
#
#   faults_allow NAME…                            once, when the nodes are up: now their agents write the journal
#   fault_plan NAME [COMMAND PATTERN LABEL MOMENT ACTION [five more]]   in fault.cpp's format; begins a new journal. The
#                                                 five more are for a later step
#   fault_is_hit NAME                             the step was reached, and also the later one
#   fault_cut_power NAME                          cuts the power, undoes what was not synced, and boots the node
#   fault_states NAME                             prints the states written since the plan that are on the disk

: "${run:?source laptop.sh and call laptop_enter first}"

fault_folder() { echo "$run/nodes/$1/root/var/lib/waggle-fault"; }

faults_allow() {
    local name root
    for name in "$@"; do
        root=$run/nodes/$name/root
        mkdir -p "$(fault_folder "$name")/saved"
        # Opens the daemon's sandbox for it.
        printf '%s\n' '[Service]' 'ReadWritePaths=/var/lib/waggle-fault' \
            >"$root/usr/lib/systemd/system/waggle-agent.service.d/faults.conf"
        node_run "$name" systemctl daemon-reload
        node_run "$name" systemctl restart waggle-agent.service
    done
    fleet_wait "$@"
}

fault_plan() {
    local folder; folder=$(fault_folder "$1"); shift
    rm -rf "$folder"/{journal,hit,plan,next} "$folder"/saved/*
    (($# <= 5)) || echo "${@:6}" >"$folder/next"
    (($# == 0)) || { echo "${@:1:5}" >"$folder/plan.new" && mv "$folder/plan.new" "$folder/plan"; }
}

fault_is_hit() {
    local folder; folder=$(fault_folder "$1")
    [[ -e $folder/hit && ! -e $folder/next && ! -e $folder/plan ]]
}

fault_cut_power() {
    node_kill "$1"
    fault_lose_unsynced "$1"
    node_boot "$1"
}

# Does the worst that a disk may do: undoes every change of a folder's entry since the folder's last sync, and empties
# every file whose content was not synced. The lines of the journal:
#   change COMMAND ENTRY LABEL SAVED    an entry is made, replaced or removed; saved/SAVED is what it was ("-": none)
#   content FILE, synced FILE           its content is in memory only; its content is on the disk
#   moved FROM TO                       renamed
#   folder FOLDER                       its entries are on the disk
#   tree PATH, disk FOLDER              a store path that the Nix daemon was given: Nix has synced its database, but the
#                                       path's files may be empty until the file system is synced
fault_lose_unsynced() {
    local root=$run/nodes/$1/root folder what a b c d i
    local -A soft=()                      # files without content on the disk
    local -A trees=()                     # the same for store paths
    local -a entries=() saved=() lines=() # of the changes so far
    local -a kept=()                      # 1: on the disk
    folder=$(fault_folder "$1")
    [[ -e $folder/journal ]] || return 0
    while IFS=$'\t' read -r what a b c d; do
        case $what in
        change) entries+=("$b") saved+=("$d") kept+=(0) lines+=("$what"$'\t'"$a"$'\t'"$b"$'\t'"$c"$'\t'"$d") ;;
        content) soft[$a]=1 ;;
        tree) trees[$a]=1 ;;
        disk) trees=() ;;
        synced) unset "soft[$a]" ;;
        moved) [[ -z ${soft[$a]:-} ]] || { unset "soft[$a]"; soft[$b]=1; } ;;
        folder) for i in "${!entries[@]}"; do [[ ${entries[i]%/*} != "$a" ]] || kept[i]=1; done ;;
        esac
    done <"$folder/journal"
    : >"$folder/journal"
    for i in "${!lines[@]}"; do ((kept[i] == 0)) || echo "${lines[i]}" >>"$folder/journal"; done
    for ((i = ${#lines[@]} - 1; i >= 0; --i)); do
        ((kept[i] == 0)) && [[ ${saved[i]} != folder ]] || continue
        unset "soft[${entries[i]}]"
        rm -rf "${root:?}${entries[i]}"
        [[ ${saved[i]} == - ]] || cp -a "$folder/saved/${saved[i]}" "$root${entries[i]}"
    done
    for a in "${!trees[@]}"; do
        [[ ! -e $root$a ]] || find "$root$a" -type f -exec truncate -s 0 {} +
    done
    for a in "${!soft[@]}"; do
        [[ ! -f $root$a ]] || : >"$root$a"
    done
}

fault_states() {
    awk -F'\t' '$1 == "change" && $3 ~ /\/state.json$/ && $4 != "-" { printf "%s%s", space, $4; space = " " }' "$(fault_folder "$1")/journal" 2>/dev/null || true
}
