# shellcheck shell=bash
# A hive on booted nodes, with an operator, as system tests, the demo and the benchmarks use it:
#
#     source laptop.sh; laptop_enter "$@"; source fleet.sh
#     fleet_start alpha beta gamma
#
# Afterwards the hive is in $run/hive, each node runs its agent, and
#
#   waggle COMMAND…            runs the trigger as the operator; output in the file $out, exit code in $status
#   waggle_in_background …     the same, but returns at once; waggle_wait takes the exit code; $waggle_pid
#   change NODE < module       sets the module that the hive adds to this node (empty: none)
#   toplevel NODE              builds and prints the system that the hive describes now

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/nodes.sh
source "$here/nodes.sh"
# shellcheck source=SCRIPTDIR/checks.sh
source "$here/checks.sh"

source_dir=${WAGGLE_SOURCE_DIR:-$(cd "$here/../.." && pwd)}
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}
agent_binary=${WAGGLE_NODE_AGENT:-$build_dir/agent/waggle-agent} # for nodes whose libraries differ from this machine's
agent_port=9244
status=0 out=$run/out  # of the last waggle
export NIX_PATH=nixpkgs=$source_dir/tests/hives/nixpkgs WAGGLE_NIXOS_MODULE=$source_dir/nixos-module
trap 'trap - ERR; nodes_destroy' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fleet_start() {
    local name index=0
    fleet_make_operator
    fleet_make_agent
    cp -r "$here/hive" "$run/hive"
    mkdir "$run/hive/changes"
    for name in "$@"; do node_create "$name" $((++index)); done
    for name in "$@"; do node_known_hosts "$name"; done >"$run/known_hosts"
    fleet_write "$@"
    fleet_install "$@"
    node_boot "$@"
    fleet_wait "$@"
}

fleet_wait() {
    local name
    for name in "$@"; do wait_until 20 "the agent of $name listens" agent_listens "$name"; done
}

fleet_make_operator() {
    ssh-keygen -q -t ed25519 -N '' -C operator@laptop -f "$run/operator"
}

# The store path with bin/waggle-agent that the hives name as the agent's package. It has no debugging symbols, because
# tests send it to nodes.
fleet_make_agent() {
    mkdir -p "$run/waggle-agent/bin"
    strip -o "$run/waggle-agent/bin/waggle-agent" "$agent_binary"
    sanitized=false
    ! grep -qE '__(asan|tsan)_init' "$agent_binary" || sanitized=true
    agent_package=$(nix-store --add "$run/waggle-agent")
}

fleet_write() {
    local name
    for name in "$@"; do
        jq -n --arg name "$name" --arg address "$(node_address "$name")" '{($name): {address: $address}}'
    done | jq -s --arg agent "$agent_package" --argjson sanitized "$sanitized" --rawfile key "$run/operator.pub" \
        '{agent: $agent, sanitized: $sanitized, operators: [$key | rtrimstr("\n")], nodes: add}' >"$run/hive/fleet.json"
}

fleet_install() {
    local name
    for name in "$@"; do node_install_system "$name" "$(toplevel "$name")"; done 2>"$run/install.log" ||
        { cat "$run/install.log" >&2; return 1; }
}

toplevel() { build_system "path = $run/hive/hive.nix;" "$1"; }

# build_system ARGUMENTS NODE: builds the node's system from the hive that these arguments of hive.nix name.
build_system() {
    local drv
    drv=$(nix-instantiate --eval --strict --json --read-write-mode \
        -E "(import $WAGGLE_NIXOS_MODULE/hive.nix { $1 }).nodes [ \"$2\" ]" | jq -r '.[].drvPath') &&
        nix-store --realise "$drv"
}

change() { cat >"$run/hive/changes/$1.nix"; }
change_back() { rm -f "$run/hive/changes"/*.nix; }

# Prints `environment.etc.word.text` of the running system, by which tests tell systems apart.
word() { node_run "$1" cat /etc/word 2>/dev/null || echo none; }

# An open port is not enough: systemd holds it while the agent does not run.
agent_listens() {
    (: <>"/dev/tcp/$(node_address "$1")/$agent_port") 2>/dev/null && node_run "$1" systemctl is-active -q waggle-agent
}

# --- the trigger ---

identity=  # another key than the operator's, for the commands that follow
known_hosts=  # another file than $run/known_hosts

waggle() {
    waggle_in_background "$@"
    waggle_wait
}

waggle_in_background() {
    # Job control gives it a process group of its own, and SIGINT, which a shell's background jobs ignore.
    set -m
    exec_waggle "$@" >"$run/out" 2>&1 </dev/null &
    waggle_pid=$!
    set +m
}

# The same while another one runs in the background. Checks use its output and exit code until waggle_wait.
waggle_other() {
    status=0
    out=$run/out.other
    (exec_waggle "$@") >"$out" 2>&1 </dev/null || status=$?
}

waggle_wait() {
    status=0 out=$run/out
    wait_until 120 "waggle ends" no kill -0 "$waggle_pid" 2>/dev/null || kill -KILL "$waggle_pid"
    wait "$waggle_pid" || status=$?
}

exec_waggle() {
    local command=$1; shift
    local options=(-f "$run/hive/hive.nix" --identity "${identity:-$run/operator}" --known-hosts "${known_hosts:-$run/known_hosts}")
    exec "$build_dir/trigger/waggle" "$command" "${options[@]}" "$@"
}

says() { grep -qiE -- "$1" "$out"; }
# The literal text: a key's base64 may contain +.
shows() { grep -qF -- "$1" "$out"; }

# Prints a node's outcome from the table at the end.
outcome() { sed -nE "s/^$1 +([a-z-]+) +(-|[0-9]+) .*/\1/p" "$out" | tail -n 1; }

# No unit of a deployment is left; the agent's own units and those of secrets stay.
no_unit_is_left() {
    ! node_run "$1" systemctl list-units --all --plain --no-legend 'waggle-*' |
        grep -qvE '^waggle-((agent|test-boot|secrets|secrets-.*)\.service|agent\.socket)'
}

store_is_sound() { node_run "$1" nix-store --verify --check-contents >"$run/verify" 2>&1 || { cat "$run/verify"; return 1; }; }

# Limits what a node receives to 1 MB/s.
slow_down() { # NODE
    ip netns exec "waggle-$1" nft -f - <<'RULES'
table inet waggle_slow {
    chain input { type filter hook input priority 0; iifname "uplink" limit rate over 1 mbytes/second burst 256 kbytes drop; }
}
RULES
}
speed_up() { ip netns exec "waggle-$1" nft delete table inet waggle_slow; }

# Prints how many bytes the laptop has sent to a node so far.
bytes_to() { ip -j -s link show "node$(cat "$run/nodes/$1/index")" | jq '.[0].stats64.tx.bytes'; }
