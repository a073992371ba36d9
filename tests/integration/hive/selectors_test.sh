#!/usr/bin/env bash
# Runs `waggle build --on` with each rule of tests/hives/selectors.txt; the rules are Colmena's. flakes_test.sh checks
# that a node is evaluated only as far as the rules need.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
build_dir=${WAGGLE_BUILD_DIR:-$source_dir/build/dev}
[[ -z ${WAGGLE_TEST_NIXPKGS:-} ]] || echo "SKIP  real NixOS for selectors: what they choose does not depend on it"
export NIX_PATH=nixpkgs=$source_dir/tests/hives/nixpkgs WAGGLE_NIXOS_MODULE=$modules

chosen() { [[ $status = 0 && $(awk '{ print $1 }' <<<"$out" | paste -sd ' ') = "$1" ]]; }

count=0
while IFS='|' read -r rules expected; do
    [[ $rules != '#'* ]] || continue
    expected=${expected# }
    [[ $rules =~ ^(.*[^ ])?\ *$ ]] && rules=${BASH_REMATCH[1]}
    status=0
    out=$("$build_dir/trigger/waggle" build --dry-run -f "$source_dir/tests/hives/cases/selectors.nix" --on "$rules" 2>"$work/err") || status=$?
    err=$(<"$work/err")
    if [[ $expected = 'error: '* ]]; then
        check "“$rules”: ${expected}" fails "${expected#error: }"
        check "the rule is a usage error" test "$status" = 2
    else
        check "“$rules”: $expected" chosen "$expected"
    fi
    count=$((count + 1))
done <"$source_dir/tests/hives/selectors.txt"
check "all rules of the table were tested" test "$count" = "$(grep -c '^[^#]*|' "$source_dir/tests/hives/selectors.txt")"
