#!/usr/bin/env bash
# Evaluates nixos-module/tests, which use NixOS's own test framework; running them requires KVM and a network.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
if [[ -z ${WAGGLE_TEST_NIXPKGS:-} || ! -e $nixpkgs/nixos/lib/testing/default.nix ]]; then
    echo "SKIP  this nixpkgs has no nixos/lib/testing, the framework that takes tests as modules"
    exit 77
fi

mkdir source
cp -r "$source_dir"/{flake.nix,package.nix,CMakeLists.txt,cmake,nixos-module} source/
cat >test.nix <<'NIX'
let
  # The packages of a test tree may be older than the mark of a package set.
  pkgs = import <nixpkgs> { config = { allowUnfree = true; allowUnsupportedSystem = true; }; } // { _type = "pkgs"; __splicedPackages = pkgs; };
  test = (import <nixpkgs/nixos/lib> { inherit (pkgs) lib; }).runTest { imports = [ ./source/nixos-module/tests/deploy.nix ]; hostPkgs = pkgs; };
in
{
  nodes = builtins.mapAttrs (_: node: builtins.unsafeDiscardStringContext node.system.build.toplevel.drvPath) test.config.nodes;
  script = builtins.unsafeDiscardStringContext test.config.testScriptString;
  driver = builtins.unsafeDiscardStringContext test.config.driver.drvPath;
}
NIX
test_has() { # ATTRIBUTE
    status=0
    out=$(nix-instantiate --eval --strict --json --read-write-mode test.nix -A "$1" 2>"$work/err") || status=$?
    err=$(<"$work/err")
}
test_has nodes
check "the machines of the test evaluate" satisfies 'keys == ["laptop", "target"] and all(.[]; endswith(".drv"))'
test_has script
check "the test script evaluates" succeeds
jq -r . <<<"$out" >script.py
check "the test script is valid Python" python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' script.py
for what in broken unreachable reboot; do check "the test script has the case $what" grep -q "$what" script.py; done
