#!/usr/bin/env bash
# What hostile nodes can print on an operator's terminal: every subcommand that queries nodes queries all of them, and
# each node sends harmful text in another way (tests/hostile). None of it may be printed unescaped, on a terminal or to
# a pipe.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=SCRIPTDIR/../hive/nix.sh
source "$here/../hive/nix.sh"
nix_enter "$@"
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}
unset WAGGLE_TEST_NIXPKGS # the fixture is always used: real NixOS cannot be built without a network
export NIX_PATH=nixpkgs=$source_dir/tests/hives/nixpkgs WAGGLE_NIXOS_MODULE=$modules

"$build_dir/tests/hostile/hostile_peer" ways >nodes.json 2>hostile.err &
hostile_nodes=$!
trap 'kill $hostile_nodes' EXIT
until [[ -s nodes.json ]]; do
    kill -0 $hostile_nodes || { cat hostile.err; exit 1; }
    sleep 0.05
done
ssh-keygen -q -t ed25519 -N '' -C operator -f operator
: >known_hosts
hive <<NIX
builtins.mapAttrs (name: { port, hostKey }: { pkgs, ... }: {
  deployment = {
    targetHost = "127.0.0.1";
    agent = { inherit port hostKey; };
    keys.secret.text = "swarm";
    # What runs there is in no store of ours, whatever it is called.
    replaceUnknownProfiles = name != "facts-wide";
  };
  services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$(cut -d' ' -f1-2 operator.pub)" ]; };
}) (builtins.fromJSON (builtins.readFile ./nodes.json))
NIX

# The subcommands that query nodes, with the nodes whose text each prints: the text of a refusal always, the text of an
# answer only where it is meant for people.
commands=(
    'status:facts-escapes facts-wide'
    'whoami:'
    'confirm:'
    'history:answer-escapes answer-wide'
    'keys:answer-escapes answer-wide'
    'check-health:answer-escapes answer-wide'
    'reboot --timeout 1:'
    'rollback:'
    'upload-keys:answer-escapes answer-wide'
    'apply:answer-escapes answer-wide facts-escapes'
    'apply push:answer-escapes answer-wide'
    'apply boot:answer-escapes answer-wide'
    'apply test:answer-escapes answer-wide'
    'apply dry-activate:answer-escapes answer-wide'
)
always='hello-escapes hello-wide'
ask_no_node='build eval nodes repl' # they receive nothing from nodes

# What remains of the output without Waggle's own characters: ASCII, its quotes, ellipsis and dash, and, on a terminal,
# its control sequences.
strange() { # FILE
    LC_ALL=C sed -E 's/\xe2\x80(\x9c|\x9d|\x99|\xa6|\x93)//g' "$1" | LC_ALL=C tr -d '\n\040-\176'
}
without_our_codes() { # FILE
    LC_ALL=C sed -E 's/\x1b\[(0|1|2|31|32|33)m//g; s/\x1b\[[0-9]+A//g; s/\x1b\[[JK]//g; s/\r//g' "$1"
}
nothing_strange() { [[ -z $(strange "$1" | od -An -c | tee "$work/strange" | head -c 300) ]] || { head -n 5 "$work/strange"; return 1; }; }
longest_line() { LC_ALL=C awk '{ if (length > longest) longest = length } END { print longest + 0 }' "$1"; }
short_lines() { (($(longest_line "$1") <= 4096)) || { echo "      a line of $(longest_line "$1") bytes"; return 1; }; }
small() { (($(stat -c %s "$1") <= 512 << 10)) || { echo "      $(stat -c %s "$1") bytes"; return 1; }; }
shows() { # FILE NODE…
    local node file=$1; shift
    for node in "$@"; do
        grep -q "owned-by-$node" "$file" || { echo "      nothing of $node is shown"; return 1; }
    done
}
documented_exit() { [[ $1 =~ ^[25678]$ ]]; }

section "the table has every subcommand"
"$build_dir/trigger/waggle" --help | sed -nE '/^Global options:/q; s/^  ([a-z][a-z-]*) .*/\1/p' | sort >has
{ printf '%s\n' "${commands[@]}" | cut -d: -f1 | cut -d' ' -f1; tr ' ' '\n' <<<"$ask_no_node"; } | sort -u >named
check "the table has the same subcommands as waggle --help" diff has named

for row in "${commands[@]}"; do
    IFS=' ' read -ra words <<<"${row%%:*}"
    IFS=' ' read -ra shown <<<"$always ${row#*:}"
    command=("$build_dir/trigger/waggle" "${words[0]}" --identity operator --known-hosts known_hosts -p 0 "${words[@]:1}")
    section "waggle ${row%%:*}"

    status=0
    "${command[@]}" >piped 2>&1 </dev/null || status=$?
    check "to a pipe: no text from the nodes is printed unescaped" nothing_strange piped
    check "no line is longer than 4096 bytes" short_lines piped
    check "the output has at most 512 KiB" small piped
    check "the text from the nodes is printed in a harmless form" shows piped "${shown[@]}"
    check "the exit code is that of a documented failure" documented_exit $status

    status=0
    script -qec "stty cols 200 rows 50; ${command[*]@Q}" terminal >/dev/null </dev/null || status=$?
    sed -i '/^Script \(started\|done\) on /d' terminal
    without_our_codes terminal >plain
    check "on a terminal: Waggle's own control sequences are the only ones" nothing_strange plain
    check "the exit code on a terminal is that of a documented failure" documented_exit $status
done
check "the hostile nodes are still running" kill -0 $hostile_nodes
