#!/usr/bin/env bash
# `waggle build` with real Nix: how hives are found, selected, evaluated and built, and how errors are reported.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=SCRIPTDIR/trigger.sh
source "$here/trigger.sh"
trigger_enter "$@"

three_nodes() {
    hive <<'NIX'
{
  alpha = { pkgs, ... }: { deployment.tags = [ "web" ]; environment.etc.a.source = pkgs.runCommand "a" { } "echo a >$out"; };
  beta = { deployment.tags = [ "db" ]; };
  "gamma.example.org" = { deployment.targetHost = null; };
}
NIX
}

section "a valid hive"
three_nodes
waggle build
check "the hive is built" exits 0
for node in alpha beta gamma.example.org; do
    check "the system of $node exists with its switch-to-configuration" test -x "$(system_of "$node")/bin/switch-to-configuration"
done
mkdir -p below/it
cd below/it
waggle build --dry-run
check "the hive is found from a subdirectory" exits 0
check "a dry run prints derivations" test -f "$(system_of alpha)"
cd "$work"
rm -rf result
waggle build --keep-result --on alpha
check "--keep-result creates a GC root next to the hive" test "$(readlink .gcroots/node-alpha)" = "$(system_of alpha)"
nix-store --gc >/dev/null 2>&1
check "a system with a GC root survives a garbage collection" test -x .gcroots/node-alpha/bin/switch-to-configuration
waggle build
check "collected systems are built again" exits 0

section "--on"
waggle build --dry-run --on '@web'
check "a tag selects its node" prints "alpha $(system_of alpha)"
waggle build --dry-run --on '*.org,beta'
check "a glob and a name select two nodes" test "$(wc -l <<<"$out")" = 2
waggle build --on alhpa
check "the error for an unknown node suggests a similar name" fails "“alhpa”" "“alpha”"
check "an unknown node is a usage error" exits 2
waggle build --on 'alpha,,beta'
check "an empty rule is an error" fails "empty rule"

section "chunks"
for limit in 0 1 2 auto; do
    waggle build --dry-run --eval-node-limit $limit
    check "--eval-node-limit $limit prints all nodes" test "$(wc -l <<<"$out")" = 3
done

section "unusual names"
mkdir -p "strange \"\${x}\" 'it\\s"
cp hive.nix strange*/
waggle build --dry-run -f strange*/
check "a directory with quotes, spaces and \${} in its name is accepted" exits 0
waggle build --dry-run -f strange*/hive.nix --option cores 1 --nix-option substituters ''
check "the file itself and options for Nix are accepted" exits 0

section "invalid hives"
hive <<<'{ alpha = { '
waggle build
check "a syntax error is reported with its location" fails "syntax error" "$work/hive.nix:"
check "the exit code of a syntax error is that of a hive error" exits 2
hive <<'NIX'
{ alpha = { }; beta = { deployment.noSuchOption = 1; }; gamma = { }; delta = throw "not today"; epsilon = { }; }
NIX
waggle build
check "broken nodes are a hive error" exits 2
check "each broken node is reported with its own error" fails "noSuchOption" "not today"
check "the other nodes are built" test "$(wc -l <<<"$out")" = 3
hive <<<'{ alpha = { }; beta = builtins.trace "a trace of beta" { }; }'
waggle build --dry-run
check "traces are printed" warns "trace: a trace of beta"
hive <<<'{ meta.name = "empty"; }'
waggle build
check "a hive without nodes is an error" fails "has no nodes"
waggle build -f nowhere.nix
check "a missing hive is an error" fails "$work/nowhere.nix"
cd /
waggle build
check "a directory without a hive is an error" fails "no hive.nix in /"
cd "$work"

section "failing builds"
hive <<'NIX'
let
  broken = { pkgs, ... }: {
    environment.etc.x.source = pkgs.runCommand "broken" { } ''echo "compiling hard"; printf "\033[31moh no\n" >&2; exit 3'';
  };
in { alpha = broken; beta = { }; gamma = { pkgs, ... }: { environment.etc.y.source = pkgs.runCommand "other" { } "exit 4"; }; }
NIX
waggle build
check "the exit code reports failed builds" exits 3
check "the nodes that can be built are built" test "$(wc -l <<<"$out")" = 1
check "each failure is reported with its reason and the builder's last lines" fails "exit code 3" "exit code 4" "alpha | oh no"
check "each failure is reported for its own node only" test "$(sed -n '/^gamma: build-failed/,$p' <<<"$err" | grep -c 'exit code 3')" = 0
check "escape characters that a builder prints do not reach the terminal" test "$(tr -dc '\033' <<<"$err")" = ''
waggle build --on beta
check "what was built is not built again" test "$(grep -c building <<<"$err")" = 0

section "a node that no available machine can build"
unbuildable_hive() { # other derivations in each run
    local salt=$RANDOM$RANDOM
    hive <<NIX
let
  file = system: name: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" "echo \${name} $salt > \$out" ]; };
  node = system: name: { inherit name; value.environment.etc.x.source = file system name; };
in
builtins.listToAttrs (map (node builtins.currentSystem) [ "a1" "a2" "a3" "a4" ] ++ [ (node "mips64-plan9" "pi") ])
NIX
}
for limit in 0 2 1; do
    unbuildable_hive
    waggle build --eval-node-limit $limit
    check "--eval-node-limit $limit: only that node fails" test "$(grep -o '^[a-z0-9]*: build-failed' <<<"$err" | tr '\n' ' ')" = "pi: build-failed "
    check "the error names the system of that node" fails "mips64-plan9"
    check "the other nodes are built" test "$(nodes_printed)" = 4
done

section "builds with a common dependency"
# The output shows how often the builder ran; two concurrent builds would wait for each other in Nix, or build it twice.
salt=$RANDOM$RANDOM
hive <<NIX
let
  shared = derivation {
    name = "shared-$salt"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "echo shared at work; i=0; while [ \$i -lt 100000 ]; do i=\$((i+1)); done; echo > \$out" ];
  };
  node = name: { environment.etc.x.source = shared; environment.etc.y.text = name; };
in { a = node "a"; b = node "b"; c = node "c"; }
NIX
waggle build --eval-node-limit 1 --eval-workers 3
check "all nodes are built" test "$status $(nodes_printed)" = "0 3"
check "no build waits for a lock of another build" test "$(grep -c 'waiting for lock' <<<"$err")" = 0
check "the common dependency is built at most once" test "$(grep -c 'shared at work' <<<"$err")" -le 1

section "building needs no git repository and no identity"
check "there is neither a git repository nor an SSH directory" test ! -e .git -a ! -e "$HOME/.ssh"
