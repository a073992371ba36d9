# shellcheck shell=bash
# Common functions for tests of Nix code. Source it and call `nix_enter "$@"` first: the script is run again in a mount
# namespace with its own /nix, where Nix works without daemon, sandbox and network.
#
# Hives are evaluated with the fixture nixpkgs, with real nixpkgs in the directory $WAGGLE_TEST_NIXPKGS, or with the
# tree of real NixOS that $WAGGLE_TEST_TREE names (nixos_tree.sh). The Nix is this machine's or that of the Debian suite
# $WAGGLE_TEST_NIX_SUITE, trixie or sid.
#
#   $work                    an empty directory, removed at the end
#   $machine                 a file with a module: the options that NixOS requires of any machine
#   hive < text              writes $work/hive.nix
#   ask EXPRESSION           evaluates it, where `hive` is what nixos-module/hive.nix makes of the hive (".info" means
#                            "hive.info"): standard output in $out, standard error in $err
#   outputs_of FILE [MODULE] prints a Nix expression, the outputs of a flake.nix: its inputs are the nixpkgs at hand, whose
#                            nixosSystem adds the module, this project, and the stand-in of deploy-rs
#   $key                     a line that is a valid operator's key
#   check "title" COMMAND…   prints one line; the first check that fails ends the test
#   answers JSON             the last ask succeeded and $out is equal to JSON
#   fails TEXT…              the last ask failed and $err contains each text
#   fixture_only "what"      true with the fixture; with real NixOS it prints what is skipped because NixOS makes no
#                            difference to it, or because it would have to be built, which needs a network
#   keeps_overlays "what"    true if the package set keeps its overlays, as nixpkgs does and some test trees do not;
#                            otherwise it prints what is skipped

source_dir=${WAGGLE_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)}
modules=$source_dir/nixos-module
# shellcheck disable=SC2034  # for the tests
machine=$source_dir/tests/hives/cases/machine.nix
nixpkgs=${WAGGLE_TEST_NIXPKGS:-$source_dir/tests/hives/nixpkgs}
out='' err='' status=0

nix_enter() {
    if [[ ${WAGGLE_IN_PRIVATE_NIX:-} != "$PPID" ]]; then
        local tool as_root=() launcher=()
        for tool in nix-instantiate jq unshare; do
            command -v "$tool" >/dev/null || { echo "$0: '$tool' is not installed: run ./dev setup" >&2; exit 1; }
        done
        [[ $(id -u) = 0 ]] || as_root=(--map-root-user)
        if [[ -n ${WAGGLE_TEST_TREE:-} ]]; then
            WAGGLE_TEST_NIXPKGS=$("$source_dir/tests/integration/nixos_tree.sh" "$WAGGLE_TEST_TREE") || exit
            export WAGGLE_TEST_NIXPKGS NIXPKGS_ALLOW_UNFREE=1 # nixos_tree.sh explains why
            export GC_INITIAL_HEAP_SIZE=3G                    # Nix takes a third less time without garbage collection
            launcher=("$source_dir/tests/huge_pages.sh")
        fi
        mkdir -p /nix
        WAGGLE_TEST_WORK=$(mktemp -d)
        export WAGGLE_TEST_WORK WAGGLE_IN_PRIVATE_NIX=$$
        trap 'chmod -R u+w "$WAGGLE_TEST_WORK"; rm -rf "$WAGGLE_TEST_WORK"' EXIT
        "${launcher[@]}" unshare --mount --propagation private "${as_root[@]}" bash "$0" "$@" || status=$?
        exit $status
    fi
    work=$WAGGLE_TEST_WORK
    mkdir -p "$work"/{conf,home}
    mount -t tmpfs -o mode=755 nix /nix
    mkdir /nix/store
    printf '%s\n' 'sandbox = false' 'substituters =' 'build-users-group =' 'experimental-features = nix-command flakes' \
        >"$work/conf/nix.conf"
    [[ -z ${WAGGLE_TEST_NIX_SUITE:-} ]] || nix_of_suite "$("$source_dir/tests/system/roots.sh" nix "$WAGGLE_TEST_NIX_SUITE")"
    unset NIX_REMOTE XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME WAGGLE_AGENT_BINARY
    export HOME=$work/home NIX_CONF_DIR=$work/conf NIX_PATH=nixpkgs=$nixpkgs
    # shellcheck disable=SC2034  # for the tests
    key="ssh-ed25519 $(printf 'AAAAC3NzaC1lZDI1NTE5AAAAIA%042d' 0)"
    cd "$work" || exit 1
}

# Puts wrappers into PATH that run the programs of the suite's root with its libraries.
nix_of_suite() { # ROOT
    local loader program
    loader=$(echo "$1"/lib64/ld-linux-*.so.2)
    mkdir "$work/nix-programs"
    for program in nix nix-daemon nix-hash nix-instantiate nix-store; do
        printf '#!/bin/sh\nexec %q --argv0 %s --library-path %q %q "$@"\n' \
            "$loader" $program "$1/usr/lib/$(uname -m)-linux-gnu" "$1/usr/bin/nix" >"$work/nix-programs/$program"
        chmod +x "$work/nix-programs/$program"
    done
    PATH=$work/nix-programs:$PATH
    printf 'with %s\n' "$(nix --version)"
}

hive() { cat >"$work/hive.nix"; }

ask() { # EXPRESSION [nix-instantiate arguments]
    local expression=$1; shift
    [[ $expression != .* ]] || expression=hive$expression
    status=0
    out=$(nix-instantiate --eval --strict --json --read-write-mode "$@" \
        -E "let hive = import $modules/hive.nix { path = \"$work/hive.nix\"; }; in $expression" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}

# Nix itself would first copy all of nixpkgs to the store.
outputs_of() { # FILE [MODULE]
    cat <<NIX
    (let
      real = (import $nixpkgs/flake.nix).outputs { self = real; } // { outPath = $nixpkgs; };
      nixosSystem = arguments: real.lib.nixosSystem (arguments // { modules = arguments.modules ++ [ ${2:-{ \}} ]; });
      nixpkgs = real // { lib = real.lib // { inherit nixosSystem; }; };
      waggle = (import $source_dir/flake.nix).outputs { self = waggle; inherit nixpkgs; };
      deploy-rs = (import $source_dir/tests/hives/deploy-rs/flake.nix).outputs { self = deploy-rs; };
      flake = import $1;
      outputs = flake.outputs ({ self = outputs; } // builtins.mapAttrs (name: _: { inherit nixpkgs waggle deploy-rs; }.\${name}) flake.inputs);
    in outputs)
NIX
}

section() { printf '\n== %s\n' "$*"; }

check() {
    local what=$1; shift
    if "$@"; then
        printf 'ok    %s\n' "$what"
    else
        printf 'FAIL  %s\n      not true: %s\n--- exit %s, standard output:\n%s\n--- standard error:\n%s\n' "$what" "$*" "$status" "$out" "$err"
        exit 1
    fi
}

succeeds() { [[ $status = 0 ]]; }
answers() { succeeds && jq -e --argjson expected "$1" '. == $expected' <<<"$out" >/dev/null; }
satisfies() { succeeds && jq -e "$1" <<<"$out" >/dev/null; }
fails() {
    [[ $status != 0 ]] || return 1
    local text
    for text in "$@"; do warns "$text" || { echo "      it does not say: $text"; return 1; }; done
}
# Nix does not wrap lines, but indents those of a message.
warns() { [[ $(tr -s '[:space:]' ' ' <<<"$err") == *"$1"* ]]; }

keeps_overlays() {
    [[ $(nix-instantiate --eval -E '(import <nixpkgs> { overlays = [ (_: _: { }) ]; }).overlays == [ ]') == false ]] ||
        { echo "SKIP  with this tree, whose package set does not keep its overlays: $1"; return 1; }
}

fixture_only() {
    [[ -z ${WAGGLE_TEST_NIXPKGS:-} ]] || { echo "SKIP  with real NixOS: $1"; return 1; }
}
