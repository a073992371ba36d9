#!/usr/bin/env bash
# docs/reference/options.md is what the modules say. With WAGGLE_UPDATE_DOCS=1 this writes it. Types have other
# descriptions in other versions of nixpkgs, so only one of them is asked.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
if [[ -z ${WAGGLE_TEST_NIXPKGS:-} ]]; then
    echo "SKIP  the reference of options: it needs real NixOS, which WAGGLE_TEST_TREE or WAGGLE_TEST_NIXPKGS names"
    exit 77
fi

page=$source_dir/docs/reference/options.md
ask "import $source_dir/tests/integration/hive/options.nix"
check "every option has a description" succeeds
jq -rj . <<<"$out" | fmt --split-only --width=100 >options.md
[[ -z ${WAGGLE_UPDATE_DOCS:-} ]] || cp options.md "$page"
out=$(diff --new-file "$page" options.md || true)
check "docs/reference/options.md is up to date (WAGGLE_UPDATE_DOCS=1 writes it)" test -z "$out"
for option in services.waggle-agent.operators deployment.keys.'<name>'.keyFile deployment.healthChecks.http.'*'.url; do
    check "it has $option" grep -qxF "### \`$option\`" "$page"
done
