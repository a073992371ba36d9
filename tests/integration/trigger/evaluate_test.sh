#!/usr/bin/env bash
# How nodes are evaluated: side by side within a budget, broken and killed ones apart; selectors; what `waggle nodes`, `eval` and
# `repl` say.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=SCRIPTDIR/trigger.sh
source "$here/trigger.sh"
trigger_enter "$@"

test_json() { jq -e "$1" <<<"$out" >/dev/null; }
wait_until() { # SECONDS WHAT COMMAND…
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" 2>/dev/null; do
        ((SECONDS < deadline)) || { echo "FAIL  waited for: $what"; cat "$work/err" >&2; exit 1; }
        sleep 0.05
    done
}

# sixteen_nodes [BROKEN]: node07 has a type error in a file of its own.
sixteen_nodes() {
    echo '{ networking.hostName = 7; }' >broken.nix
    {
        echo '{'
        for i in {01..16}; do
            if [[ ${1:-} == broken && $i == 07 ]]; then echo "node$i = ./broken.nix;"; else echo "node$i = { };"; fi
        done
        echo '}'
    } | hive
}

section "one broken node of sixteen"
sixteen_nodes
waggle build --dry-run
check "all are evaluated while none is broken" test "$status $(nodes_printed)" = "0 16"
good=$out
sixteen_nodes broken
for limit in auto 0 5 1; do
    waggle build --dry-run --eval-node-limit $limit
    check "--eval-node-limit $limit: the exit code says so" exits 2
    check "the fifteen others are as before" prints "$(grep -v node07 <<<"$good")"
    check "the error is its own, and names its file" fails "node07: hive-error" "networking.hostName" "$work/broken.nix"
    check "no other node fails" test "$(grep -c ': hive-error$' <<<"$err")" = 1
done

section "an error of the whole hive"
sixty_nodes() { # META
    hive <<NIX
let n = builtins.genList (i: "node\${toString i}") 60; in
{ meta = $1; } // builtins.listToAttrs (map (name: { inherit name; value = { }; }) n)
NIX
}
sixty_nodes '{ nixpkgs = throw "the pin cannot be had"; }'
for command in nodes "build --dry-run" "build --dry-run --on node1,node2" "nodes --on @web"; do
    # shellcheck disable=SC2086 # words
    waggle $command
    check "$command: is told" fails "the pin cannot be had"
    check "once" test "$(grep -c 'the pin cannot be had' <<<"$err")" = 1
    check "as a hive error" exits 2
done
sixty_nodes '{ nixpkgs = throw "the pin cannot be had"; nodeNixpkgs.node7 = import <nixpkgs> { }; }'
waggle nodes
check "a node with a nixpkgs of its own is there" test "$(nodes_printed)" = 2
check "and the others fail together" test "$(grep -c '^    .*the pin cannot be had' <<<"$err")" = 1

section "memory limits"
if grep -q __asan_init "$build_dir/trigger/waggle"; then
    echo "SKIP  of the address space: a program with sanitizers reserves more than any limit allows; system_evaluate has them, too"
else
    sixteen_nodes
    (ulimit -v 1500000; "$build_dir/trigger/waggle" build --dry-run --eval-workers 2 >"$work/out" 2>"$work/err") || true
    check "of the address space are obeyed" test "$(wc -l <"$work/out")" = 16
    check "without a process that cannot start" test "$(grep -c 'heap' "$work/err")" = 0
fi

section "a budget"
sixteen_nodes
for memory in 1M 300M 80%; do
    waggle build --dry-run --eval-memory $memory --eval-workers 4
    check "--eval-memory $memory: all sixteen" prints "$good"
done
waggle build --dry-run --eval-memory much
check "one that is no amount is refused" fails "“much” is not an amount of memory" "1.5G"
check "as a usage error" exits 2

# Blocks the evaluation of beta, by a pipe that nobody writes to, until there is a file `go`.
blocking_hive() {
    rm -f pipe go "$work/err" # what a run before this one said would be waited for in vain
    mkfifo pipe
    hive <<'NIX'
let wait = if builtins.pathExists ./go then "" else builtins.trace "beta waits" (builtins.readFile ./pipe); in
{
  alpha = { };
  beta = { environment.etc.waited.text = builtins.seq wait ""; };
  gamma = { };
}
NIX
}

section "an evaluator that is killed"
blocking_hive
"$build_dir/trigger/waggle" build --dry-run --eval-node-limit 0 >"$work/out" 2>"$work/err" &
pid=$!
wait_until 60 "beta's evaluation" grep -q 'beta waits' "$work/err"
touch go
kill -9 "$(pgrep -P $pid -f nix-instantiate)"
status=0
wait $pid || status=$?
out=$(<"$work/out") err=$(<"$work/err")
check "does not end the run" exits 0
check "all nodes are evaluated" test "$(nodes_printed)" = 3
check "and it is said" warns "an evaluator was killed by signal 9"

section "Ctrl-C"
blocking_hive
"$build_dir/trigger/waggle" build --dry-run --eval-node-limit 0 >"$work/out" 2>"$work/err" &
pid=$!
wait_until 60 "beta's evaluation" grep -q 'beta waits' "$work/err"
evaluator=$(pgrep -P $pid -f nix-instantiate)
kill -TERM $pid
status=0
wait $pid || status=$?
check "ends the run" exits 130
check "and the evaluator" test ! -e "/proc/$evaluator"

section "selectors"
hive <<'NIX'
{
  alpha = { deployment.tags = [ "web" "eu" ]; };
  beta = { deployment.tags = [ "web" "canary" ]; };
  gamma = builtins.trace "gamma is looked at" { deployment.tags = [ "db" "eu" ]; };
}
NIX
selects() { # SELECTOR NODE…
    waggle build --dry-run --on "$1"
    [[ $status = 0 && $(awk '{ print $1 }' <<<"$out" | paste -sd ' ') == "${*:2}" ]]
}
check "exclusion" selects '@web,!@canary' alpha
check "intersection" selects '@eu&@web' alpha
check "all but one" selects '!gamma' alpha beta
check "by names alone no other node is evaluated" test "$(grep -c 'gamma is looked at' <<<"$err")" = 0
waggle build --dry-run --on '!@canray'
check "a misspelt tag to leave out is refused" fails "“canray”" "did you mean “canary”"
waggle build --dry-run --on '@web&&alpha'
check "an empty term is refused" fails "empty rule"

section "waggle nodes"
hive <<'NIX'
{
  alpha = { deployment.tags = [ "web" "eu" ]; deployment.targetHost = "10.0.0.1"; };
  beta = { deployment.targetHost = null; };
  gamma = { deployment.tags = 7; };
}
NIX
waggle nodes --json
check "a broken node fails alone" exits 2
check "the others are there" test_json 'select(.type == "result") | [.nodes[] | select(.outcome == "ok") | [.name, .tags, .host, .system]] == [["alpha", ["web", "eu"], "10.0.0.1", "x86_64-linux"], ["beta", [], null, "x86_64-linux"]]'
check "with its own error" test_json 'select(.type == "result") | .outcome == "hive-error" and .exitCode == 2 and (.nodes[] | select(.name == "gamma") | .outcome == "hive-error" and (.message | contains("deployment.tags")))'
check "every line is an object with a type" test "$(jq -r .type <<<"$out" | grep -c .)" = "$(wc -l <<<"$out")"
waggle nodes
check "without --json, too" fails "gamma: hive-error" "deployment.tags"
waggle build --dry-run --json --on alpha
check "the derivation of a node" test_json 'select(.type == "result") | .command == "build" and .exitCode == 0 and (.nodes | length == 1) and (.nodes[0].drv | startswith("/nix/store/"))'
waggle eval --json -E '{ nodes, ... }: builtins.length (builtins.attrNames nodes)'
check "a value" test_json 'select(.type == "result") | .value == 3'
waggle build --json --on nobody
check "an error that concerns no node" test_json 'select(.type == "result") | .exitCode == 2 and (.error | contains("nobody"))'
waggle repl --json
check "the prompt has no --json" fails "waggle repl" "--json"
waggle nodes --on alpha
check "as a table" prints "$(printf 'NODE   TAGS    HOST      SYSTEM\nalpha  web eu  10.0.0.1  x86_64-linux')"

section "waggle eval"
hive <<'NIX'
{ alpha = { environment.etc.a.text = "of alpha"; }; beta = { }; }
NIX
waggle eval -E '{ nodes, lib, ... }: lib.mapAttrs (_: node: node.config.deployment.targetHost) nodes # hosts'
check "prints JSON" answers '{"alpha": "alpha", "beta": "beta"}'
echo '{ nodes, ... }: nodes.alpha.config.environment.etc.a.text' >question.nix
waggle introspect question.nix
check "of a file, too, under Colmena's name" answers '"of alpha"'
waggle eval --instantiate -E '{ pkgs, nodes, ... }: [ (pkgs.runCommand "hello" { } "") nodes.beta.config.system.build.toplevel ]'
check "instantiates" exits 0
check "each derivation" test "$(nodes_printed)" = 2 -a -f "$(head -n1 <<<"$out")" -a -f "$(tail -n1 <<<"$out")"
waggle eval -E '{ nodes, ... }: nodes.alpah.config'
check "an error is Nix's own" fails "alpah"
waggle eval
check "nothing to evaluate is a usage error" fails "needs a function"

section "waggle repl"
status=0
out=$("$build_dir/trigger/waggle" repl 2>"$work/err" <<<'"names: " + builtins.concatStringsSep " " (builtins.attrNames nodes)') || status=$?
check "has the nodes" grep -q 'names: alpha beta' <<<"$out"
