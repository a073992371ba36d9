#!/usr/bin/env bash
# Every block of Nix in README.md and docs evaluates with real NixOS, in the smallest frame that a reader would have
# around it. The word after ```nix names the frame:
#
#   hive     a hive.nix
#   node     attributes of a hive.nix, which Colmena evaluates as well: its node must have an agent that operators reach
#   module   options of a node
#   flake    a flake.nix
#   prose    none: the block is not meant to evaluate
#
# Placeholders for the reader's own values (keys, the path of the checkout) are filled in.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
if [[ -z ${WAGGLE_TEST_NIXPKGS:-} ]]; then
    echo "SKIP  the documentation's Nix: it is written for real NixOS, which WAGGLE_TEST_TREE or WAGGLE_TEST_NIXPKGS names"
    exit 77
fi

# Files that readers already have.
mkdir attic cellar
cp "$machine" attic/hardware-configuration.nix
for file in attic/default.nix cellar/default.nix disk.nix; do cp "$machine" $file; done
cat >reader.nix <<NIX
{ imports = [ $machine ]; services.nginx.enable = true; services.openssh.enable = true; }
NIX
age_key=$(age-keygen 2>/dev/null | sed -n 's/^# public key: //p')

# blocks FILE: writes each block to blocks/LINE, with its kind as the first line.
blocks() {
    rm -rf blocks && mkdir blocks
    awk '/^```/ { inside = 0; if ($1 == "```nix") { inside = 1; file = "blocks/" NR; print $2 >file } next } inside { print >file }' "$1"
}

filled_in() {
    sed -e "s#\"ssh-ed25519 AAAA…#\"$key#g" -e "s#age1…#$age_key#g" -e "s#/path/to/waggle#$source_dir#g"
}

evaluate() { # EXPRESSION
    status=0
    out=$(nix-instantiate --eval --strict --json --read-write-mode -E "$1" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}

all_nodes() { # ARGUMENTS of hive.nix
    evaluate "let hive = import $modules/hive.nix { $1 modules = [ $work/reader.nix ]; }; in hive.nodes hive.info.nodes"
    satisfies 'length > 0 and all(.[]; .drvPath | endswith(".drv"))'
}

hive_frame() {
    filled_in >block.nix
    all_nodes "path = $work/block.nix;"
}

module_frame() {
    { echo "{ node = { pkgs, ... }: { imports = [ {"; filled_in; echo "} ]; services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ \"$key\" ]; }; }; }"; } >block.nix
    all_nodes "path = $work/block.nix;"
}

node_frame() {
    { echo "let waggle = $source_dir; in { meta.nixpkgs = import <nixpkgs> { }; defaults = { imports = [ $work/reader.nix ]; deployment.keys.password.text = \"x\"; };"; filled_in; echo "}"; } >block.nix
    all_nodes "path = $work/block.nix;" && satisfies 'all(.[]; .agentEnabled and (.operators | length) > 0)' || return
    # As in Colmena: with its options, and only with the modules of Waggle that the block imports.
    evaluate "builtins.mapAttrs (_: node: {
        drv = node.config.system.build.toplevel.drvPath; ports = node.config.networking.firewall.allowedTCPPorts;
      }) (import $source_dir/tests/hives/colmena/make-hive.nix (import $work/block.nix)).nodes"
    satisfies 'length > 0 and all(.[]; .ports | index(9244))'
}

flake_frame() {
    filled_in >block.nix
    evaluate "let hive = import $modules/source.nix { flake.outputs = $(outputs_of "$work/block.nix"); }; in hive.nodes hive.info.nodes"
    satisfies 'length > 0 and all(.[]; .drvPath | endswith(".drv"))'
}

count=0
for file in $(cd "$source_dir" && find README.md docs -name '*.md' | sort); do
    blocks "$source_dir/$file"
    for line in $(find blocks -type f -printf '%f\n' | sort -n); do
        kind=$(sed -n 1p "blocks/$line")
        case $kind in
        hive | node | module | flake) check "$file:$line, a $kind, evaluates" "${kind}_frame" < <(sed 1d "blocks/$line") ;;
        prose) echo "prose $file:$line" ;;
        *) echo "FAIL  $file:$line: behind \`\`\`nix must stand hive, node, module, flake or prose, not \"$kind\"" && exit 1 ;;
        esac
        count=$((count + 1))
    done
done
check "at least eight blocks were found" test $count -ge 8
