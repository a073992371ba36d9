#!/usr/bin/env bash
# `waggle build` with real Nix: how hives are found, selected, evaluated and built, and what is said of bad ones.
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

section "a good hive"
three_nodes
waggle build
check "is built" exits 0
for node in alpha beta gamma.example.org; do
    check "$node is there, and can be switched to" test -x "$(system_of "$node")/bin/switch-to-configuration"
done
mkdir -p below/it
cd below/it
waggle build --dry-run
check "is found from a folder below" exits 0
check "a dry run prints derivations" test -f "$(system_of alpha)"
cd "$work"
rm -rf result
waggle build --keep-result --on alpha
check "with --keep-result the systems are GC roots beside the hive" test "$(readlink .gcroots/node-alpha)" = "$(system_of alpha)"
nix-store --gc >/dev/null 2>&1
check "so they survive a garbage collection" test -x .gcroots/node-alpha/bin/switch-to-configuration
waggle build
check "what was collected is built again" exits 0

section "--on"
waggle build --dry-run --on '@web'
check "a tag" prints "alpha $(system_of alpha)"
waggle build --dry-run --on '*.org,beta'
check "a glob and a name" test "$(wc -l <<<"$out")" = 2
waggle build --on alhpa
check "an unknown node is named, with the near one" fails "“alhpa”" "“alpha”"
check "and is a usage error" exits 2
waggle build --on 'alpha,,beta'
check "an empty rule is an error" fails "empty rule"

section "chunks"
for limit in 0 1 2 auto; do
    waggle build --dry-run --eval-node-limit $limit
    check "--eval-node-limit $limit gives all nodes" test "$(wc -l <<<"$out")" = 3
done

section "strange names"
mkdir -p "strange \"\${x}\" 'it\\s"
cp hive.nix strange*/
waggle build --dry-run -f strange*/
check "a folder with quotes, blanks and \${} in its name" exits 0
waggle build --dry-run -f strange*/hive.nix --option cores 1 --nix-option substituters ''
check "the file itself, and options for Nix" exits 0

section "bad hives"
hive <<<'{ alpha = { '
waggle build
check "a syntax error is told with its place" fails "syntax error" "$work/hive.nix:"
check "and is a hive error" exits 2
hive <<'NIX'
{ alpha = { }; beta = { deployment.noSuchOption = 1; }; gamma = { }; delta = throw "not today"; epsilon = { }; }
NIX
waggle build
check "broken nodes fail" exits 2
check "each with its own error" fails "noSuchOption" "not today"
check "and the others are built" test "$(wc -l <<<"$out")" = 3
hive <<<'{ alpha = { }; beta = builtins.trace "a trace of beta" { }; }'
waggle build --dry-run
check "traces are shown" warns "trace: a trace of beta"
hive <<<'{ meta.name = "empty"; }'
waggle build
check "a hive without nodes" fails "has no nodes"
waggle build -f nowhere.nix
check "a hive that is not there" fails "$work/nowhere.nix"
cd /
waggle build
check "no hive upward" fails "no hive.nix in /"
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
check "the exit code says that builds failed" exits 3
check "the nodes that can be built are" test "$(wc -l <<<"$out")" = 1
check "the failures say why, with the builder's last lines" fails "exit code 3" "exit code 4" "alpha | oh no"
check "and are put down to their nodes" test "$(sed -n '/^gamma: build-failed/,$p' <<<"$err" | grep -c 'exit code 3')" = 0
check "nothing a builder prints reaches the terminal as it is" test "$(tr -dc '\033' <<<"$err")" = ''
waggle build --on beta
check "what was built is not built again" test "$(grep -c building <<<"$err")" = 0

section "a node that no machine here can build"
unbuildable_hive() { # each run other derivations
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
    check "--eval-node-limit $limit: it alone fails" test "$(grep -o '^[a-z0-9]*: build-failed' <<<"$err" | tr '\n' ' ')" = "pi: build-failed "
    check "with its own error" fails "mips64-plan9"
    check "and the others are built" test "$(nodes_printed)" = 4
done

section "builds that need the same"
# A builder tells its output how often it ran; two builds at a time would wait for each other in Nix, or build it twice.
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
check "all are built" test "$status $(nodes_printed)" = "0 3"
check "no build waits for a lock of another's" test "$(grep -c 'waiting for lock' <<<"$err")" = 0
check "the shared one is built once" test "$(grep -c 'shared at work' <<<"$err")" -le 1

section "a git repository is not needed, nor an identity, to build"
check "there is neither" test ! -e .git -a ! -e "$HOME/.ssh"
