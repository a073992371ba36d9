#!/usr/bin/env bash
# `./dev demo`: boots three nodes on this machine, deploys to them, changes them, and takes them down again.
#
#   demo.sh [BUILD_FOLDER]      (default: $WAGGLE_BUILD_DIR, else build/dev)
#
# If WAGGLE_TEST_NIXPKGS names a nixpkgs, it also evaluates the same hive as real NixOS.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
[[ -z ${1:-} ]] || WAGGLE_BUILD_DIR=$(cd "$1" && pwd)
export WAGGLE_BUILD_DIR=${WAGGLE_BUILD_DIR:-$here/../../build/dev}
[[ -x $WAGGLE_BUILD_DIR/trigger/waggle ]] || { echo "demo: no waggle in $WAGGLE_BUILD_DIR: run ./dev build" >&2; exit 1; }
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

bold='' dim='' cyan='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' dim=$'\e[2m' cyan=$'\e[36m' plain=$'\e[0m'; fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
shown() { printf '%s$ %s%s\n' "$cyan" "$*" "$plain"; }
show() { shown "$*"; "$@"; }

# For commands that take an instant: prints their output only if they fail.
quietly() {
    "$@" >"$run/log" 2>&1 || { cat "$run/log" >&2; echo "demo: could not run: $*" >&2; exit 1; }
}

nodes=(alpha beta gamma)
started=$SECONDS
PATH=$WAGGLE_BUILD_DIR/trigger:$PATH
unset -f waggle  # the program itself, without options: every file is in its default place
trap 'printf "\n%sInterrupted: taking everything down.%s\n" "$dim" "$plain"; exit 130' INT

make_hive() {
    cp -r "$source_dir/tests/hives/demo" "$run/hive"
    chmod -R u+w "$run/hive"
    ssh-keygen -q -t ed25519 -N '' -C you@laptop -f "$HOME/.ssh/id_ed25519"
    # ssh finds ~ in the password database, not in HOME, and its known_hosts would be the developer's own.
    echo "UserKnownHostsFile $HOME/.ssh/known_hosts" >"$HOME/.ssh/config"
    export SSH_CONFIG_FILE=$HOME/.ssh/config
    printf '[ "%s" ]\n' "$(cat "$HOME/.ssh/id_ed25519.pub")" >"$run/hive/operators.nix"
    printf '"%s"\n' "$(realpath "$WAGGLE_BUILD_DIR/agent/waggle-agent")" >"$run/hive/agent-binary.nix"
}

# The state of a machine before its first deployment: its system has the agent, but no greeting yet.
install_nodes() {
    local name index=0 bare
    bare="path = null; hive = import $run/hive/hive.nix // { defaults.imports = [ $run/hive/agent.nix $run/hive/hardware.nix ]; };"
    for name in "${nodes[@]}"; do
        node_create "$name" $((++index))
        node_known_hosts "$name" >>"$HOME/.ssh/known_hosts"
        node_install_system "$name" "$(build_system "$bare" "$name")"
    done
}

greetings() {
    local name
    for name in "${nodes[@]}"; do
        printf '  %s\n' "$(node_run "$name" cat /run/greeting)"
    done
}

size_of() { # a node's system, as "12 MiB in 34 store paths"
    # shellcheck disable=SC2016  # the node's shell expands it
    node_run "$1" sh -c 'paths=$(nix-store --query --requisites /run/current-system)
        echo "$(du -cm $paths | tail -n 1 | cut -f1) MiB in $(echo "$paths" | wc -l) store paths"'
}

cat <<TEXT
${bold}Waggle in a minute${plain}
Three machines boot in containers on this one, each with its own systemd, Nix store and network. Your laptop's part is
played by this shell, with a new SSH key. Nothing of it outlives the demo, and Ctrl-C ends it at any time.
TEXT

title "1. A hive and three machines"
make_hive
say "The hive describes alpha, beta and gamma as any Colmena hive would; one module adds the agent and your SSH key:"
sed -n '/^  alpha = {/,/^  };/p' "$run/hive/hive.nix"
quietly install_nodes
quietly node_boot "${nodes[@]}"
quietly fleet_wait "${nodes[@]}"
cd "$run/hive"
say "They are up. Your known_hosts has their host keys, as after a first ssh, and that is all there is to set up:"
show waggle status

title "2. Deploy"
say "Your side evaluates and builds. Each node checks your signature, fetches what it lacks and activates it."
show waggle apply
say "What the nodes say now:"
greetings

title "3. Change something, deploy again"
shown "echo 'Buzz!' > greeting.txt"
echo 'Buzz!' >greeting.txt
show waggle apply
say "Of $(size_of alpha) that make up alpha's system only what changed travelled, see SENT. What the nodes say now:"
greetings

title "4. A key that no node accepts"
say "An attacker has the hive, network access and an SSH key that no node lists as an operator's key:"
ssh-keygen -q -t ed25519 -N '' -C attacker@elsewhere -f "$HOME/.ssh/attacker"
code=0
# shellcheck disable=SC2088  # shown as one would type it
shown "waggle apply --identity ~/.ssh/attacker"
waggle apply --identity "$HOME/.ssh/attacker" || code=$?
((code != 0)) || { echo "demo: the attacker was let in, which must not be" >&2; exit 1; }
say "Refused, with exit code $code. The nodes are as they were:"
greetings

if [[ -n ${WAGGLE_TEST_NIXPKGS:-} ]]; then
    title "5. The same hive with real NixOS"
    say "Evaluated with $WAGGLE_TEST_NIXPKGS, down to each system's derivation: building would need the network."
    export NIX_PATH=nixpkgs=$WAGGLE_TEST_NIXPKGS
    show waggle build --dry-run
fi

title "That was all"
nodes_destroy
say "Everything is taken down again, after $((SECONDS - started)) seconds. Next: README.md, docs/getting-started.md."
