#!/usr/bin/env bash
# Prints the Debian packages that correspond to the inputs of package.nix, one per line. The root where the package is
# built contains nothing else, so a build that needs an input missing from package.nix fails there as it would in Nix's
# sandbox.
#
# debian_packages.sh --for ARCHITECTURE: the packages to cross-compile for another Debian architecture, with
# NAME:ARCHITECTURE for its libraries.
set -euo pipefail
foreign=''
[[ ${1:-} != --for ]] || foreign=$2
cd "$(dirname "${BASH_SOURCE[0]}")"

# package_of NAME COLUMN: column 2 has programs, column 3 libraries.
package_of() {
    awk -v name="$1" -v column="$2" '
        $1 == name && $column != "-" { gsub(",", "\n", $column); print $column; found = 1 }
        END { exit !found }' debian_packages.txt ||
        { echo "package.nix names the input $1, and debian_packages.txt has no Debian package for it" >&2; exit 1; }
}

cross_compiler() {
    case $foreign in
    '') cat ;;
    arm64) sed 's/^g++$/g++-aarch64-linux-gnu/' ;;
    armhf) sed 's/^g++$/g++-arm-linux-gnueabihf/' ;;
    *) echo "debian_packages.sh knows no compiler for $foreign" >&2 && exit 1 ;;
    esac
}

inputs() { # ATTRIBUTE…
    nix-instantiate --store dummy:// --eval --strict --json \
        -E "let package = import $PWD/describe.nix; in builtins.concatLists [ $(printf 'package.%s ' "$@") ]" | jq -r '.[]'
}

programs=$(inputs nativeBuildInputs nativeCheckInputs)
libraries=$(inputs buildInputs checkInputs)
{
    for name in stdenv $programs; do package_of "$name" 2; done | cross_compiler
    for name in $libraries; do package_of "$name" 3; done | sed "s/\$/${foreign:+:$foreign}/"
} | sort -u
