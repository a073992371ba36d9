# shellcheck shell=bash
# Common functions for tests of the trigger with real Nix: source it and call `trigger_enter "$@"` first. It offers
# everything in nix.sh, always with the fixture nixpkgs (real NixOS cannot be built without a network), and
#
#   waggle COMMAND…      runs the trigger: standard output in $out, standard error in $err (and $work/err), exit code in
#                        $status
#   exits CODE           prints TEXT           succeed if the last run did so
#   system_of NODE       the path that it printed for the node
#   nodes_printed        how many lines it printed

# shellcheck source=SCRIPTDIR/../hive/nix.sh
source "$(dirname "${BASH_SOURCE[0]}")/../hive/nix.sh"
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}

trigger_enter() {
    nix_enter "$@"
    unset WAGGLE_TEST_NIXPKGS
    export NIX_PATH=nixpkgs=$source_dir/tests/hives/nixpkgs WAGGLE_NIXOS_MODULE=$modules
}

waggle() {
    status=0
    out=$("$build_dir/trigger/waggle" "$@" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
exits() { [[ $status = "$1" ]]; }
prints() { [[ $out == "$1" ]]; }
system_of() { awk -v node="$1" '$1 == node { print $2 }' <<<"$out"; }
nodes_printed() { wc -l <<<"$out"; }
