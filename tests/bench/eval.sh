#!/usr/bin/env bash
# What evaluating real NixOS nodes takes (openssh, nginx, different host names), with the same Nix, store and modules:
#
#   eval.sh [--json] [--nodes N] --nixpkgs PATH      (16 nodes)
#
# one_process         one nix-instantiate for all
# colmena_schedule    Colmena's chunks: MemAvailable less 1 GiB, 512 MiB a node; one evaluator at a time
# process_per_node    a nix-instantiate for each node, as many at a time as there are cores
# waggle              `waggle build --dry-run` of the hive.nix, with its defaults
# repeat              the same of a git flake that was evaluated before
#
# Of each wall_s, cpu_s, and peak_mib: the resident memory of all its processes together, at the worst of the moments looked
# at. Besides ratio_wall, Waggle to Colmena's schedule, and ratio_repeat. All run after one that writes the derivations.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

json=false count=16 nixpkgs=
while (($#)); do
    case $1 in
        --json) json=true; shift ;;
        --nodes) count=$2; shift 2 ;;
        --nixpkgs) nixpkgs=$(realpath "$2"); shift 2 ;;
        *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
[[ -n $nixpkgs && -d $nixpkgs/nixos ]] || { echo "eval: --nixpkgs needs a folder with nixpkgs" >&2; exit 2; }
export WAGGLE_TEST_NIXPKGS=$nixpkgs WAGGLE_BUILD_DIR=${WAGGLE_BUILD_DIR:-$here/../../build/release}
# shellcheck source=SCRIPTDIR/../integration/hive/nix.sh
source "$here/../integration/hive/nix.sh"
arguments=(--nodes "$count" --nixpkgs "$nixpkgs")
! $json || arguments+=(--json)
nix_enter "${arguments[@]}"
waggle=$WAGGLE_BUILD_DIR/trigger/waggle
export WAGGLE_NIXOS_MODULE=$modules

# A flake's inputs are copied to the store: the git repository would be, too, so nixpkgs is a path there and here.
mkdir flake
mapfile -t nodes < <(for ((i = 1; i <= count; i++)); do printf 'node%02d\n' "$i"; done)
{
    echo '{ nixpkgs }: { meta.nixpkgs = import nixpkgs { system = "x86_64-linux"; config = { }; overlays = [ ]; };'
    for name in "${nodes[@]}"; do
        cat <<NIX
$name = {
  services.openssh.enable = true;
  services.nginx = { enable = true; virtualHosts."$name.example.org".root = "/srv/$name"; };
  boot.loader.grub.device = "/dev/sda";
  fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
};
NIX
    done
    echo '}'
} >flake/nodes.nix
hive <<<"import ./flake/nodes.nix { nixpkgs = $nixpkgs; }"
cat >flake/flake.nix <<NIX
{
  inputs.nixpkgs = { url = "path:$nixpkgs"; flake = false; };
  outputs = { nixpkgs, ... }: { colmena = import ./nodes.nix { inherit nixpkgs; }; };
}
NIX
git -C flake -c init.defaultBranch=main init -q
git -C flake add .

# The resident memory of all processes below one, in pages, in $pages. Starts no process: what the cores do while they are
# measured belongs to what is measured.
memory_below() { # PID
    local thread children child resident _
    for thread in "/proc/$1/task/"*; do
        children=()
        { read -r -a children <"$thread/children"; } 2>/dev/null || true # the line has no end
        for child in "${children[@]}"; do
            if { read -r _ resident _ <"/proc/$child/statm"; } 2>/dev/null; then pages=$((pages + resident)); fi
            memory_below "$child"
        done
    done
}

mkfifo "$work/never"
# Runs a command and adds a line of JSON to the results.
measure() { # NAME COMMAND…
    local name=$1 began ended peak=0 pages timer TIMEFORMAT='%3U %3S'; shift
    began=$(date +%s%N)
    { time "$@" >"$work/log" 2>&1 </dev/null; } 2>"$work/times" &
    timer=$!
    while kill -0 "$timer" 2>/dev/null; do
        pages=0
        memory_below "$timer"
        ((pages <= peak)) || peak=$pages
        read -r -t 0.05 <>"$work/never" || true # sleeps, without a process
    done
    wait "$timer" || { cat "$work/log" >&2; echo "eval: $name failed" >&2; exit 1; }
    ended=$(date +%s%N)
    awk -v name="$name" -v ns=$((ended - began)) -v peak="$((peak / 256))" '
        { printf "{\"name\": \"%s\", \"wall_s\": %.3f, \"cpu_s\": %.3f, \"peak_mib\": %d}\n", name, ns / 1e9, $1 + $2, peak }' \
        "$work/times" | tee -a "$work/results" >&2
}

evaluate_nodes() { # NAME…
    nix-instantiate --eval --strict --json --read-write-mode \
        -E "(import $modules/hive.nix { path = $work/hive.nix; }).nodes [ $(printf '"%s" ' "$@")]"
}
in_chunks_of() { # SIZE
    local i
    for ((i = 0; i < count; i += $1)); do evaluate_nodes "${nodes[@]:i:$1}"; done
}
one_each() {
    local name
    for name in "${nodes[@]}"; do
        while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
        evaluate_nodes "$name" &
    done
    wait
}
colmena_limit() { awk '/^MemAvailable:/ { mb = int($2 / 1024); if (mb >= 1024) mb -= 1024; n = int(mb / 512); print n < 1 ? 1 : n }' /proc/meminfo; }

evaluate_nodes "${nodes[@]}" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
colmena_chunk=$(colmena_limit)
measure one_process evaluate_nodes "${nodes[@]}"
measure colmena_schedule in_chunks_of "$colmena_chunk"
measure process_per_node one_each
measure waggle "$waggle" build --dry-run -f hive.nix
[[ $(grep -c '^node.* /nix/store/.*[.]drv$' "$work/log") == "$count" ]] || { cat "$work/log" >&2; exit 1; }
"$waggle" build --dry-run -f flake >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
measure repeat "$waggle" build --dry-run -f flake

result=$(jq -cs --argjson nodes "$count" --argjson chunk "$colmena_chunk" '
    (map({(.name): {wall_s, cpu_s, peak_mib}}) | add) +
    {nodes: $nodes, colmena_chunk: $chunk} |
    . + {ratio_wall: (.waggle.wall_s / .colmena_schedule.wall_s), ratio_repeat: (.repeat.wall_s / .colmena_schedule.wall_s)}' "$work/results")
if $json; then
    echo "$result"
else
    jq . <<<"$result"
fi
