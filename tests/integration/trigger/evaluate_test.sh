#!/usr/bin/env bash
# How nodes are evaluated: in parallel within a memory budget, isolated from broken nodes and killed evaluators;
# selectors; what `waggle nodes`, `eval` and `repl` print.
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

# sixteen_nodes [broken]: with the argument, node07 has a type error in its own file.
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
check "all nodes evaluate if none is broken" test "$status $(nodes_printed)" = "0 16"
good=$out
sixteen_nodes broken
for limit in auto 0 5 1; do
    waggle build --dry-run --eval-node-limit $limit
    check "--eval-node-limit $limit: the exit code is that of a hive error" exits 2
    check "the fifteen other nodes have the same result" prints "$(grep -v node07 <<<"$good")"
    check "the error is that of the broken node, and names its file" fails "node07: hive-error" "networking.hostName" "$work/broken.nix"
    check "no other node fails" test "$(grep -c ': hive-error$' <<<"$err")" = 1
done

section "an error that affects the whole hive"
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
    check "waggle $command reports the error" fails "the pin cannot be had"
    check "the error is printed once" test "$(grep -c 'the pin cannot be had' <<<"$err")" = 1
    check "the exit code is that of a hive error" exits 2
done
sixty_nodes '{ nixpkgs = throw "the pin cannot be had"; nodeNixpkgs.node7 = import <nixpkgs> { }; }'
waggle nodes
check "a node with its own nixpkgs is listed" test "$(nodes_printed)" = 2
check "one error is printed for all other nodes" test "$(grep -c '^    .*the pin cannot be had' <<<"$err")" = 1

section "memory limits"
if grep -q __asan_init "$build_dir/trigger/waggle"; then
    echo "SKIP  of the address space: a program with sanitizers reserves more than any limit allows; system_evaluate has them, too"
else
    sixteen_nodes
    (ulimit -v 1500000; "$build_dir/trigger/waggle" build --dry-run --eval-workers 2 >"$work/out" 2>"$work/err") || true
    check "all nodes evaluate under a limit of the address space" test "$(wc -l <"$work/out")" = 16
    check "no evaluator fails to allocate its heap" test "$(grep -c 'heap' "$work/err")" = 0
fi

section "the memory budget"
sixteen_nodes
for memory in 1M 300M 80%; do
    waggle build --dry-run --eval-memory $memory --eval-workers 4
    check "--eval-memory $memory: all sixteen nodes evaluate" prints "$good"
done
waggle build --dry-run --eval-memory much
check "an invalid amount of memory is refused" fails "“much” is not an amount of memory" "1.5G"
check "an invalid amount of memory is a usage error" exits 2

# A hive whose node beta blocks on a pipe that no process writes to, unless the file `go` exists.
blocking_hive() {
    rm -f pipe go "$work/err" # the output of a previous run would end the wait too early
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

section "a killed evaluator"
blocking_hive
"$build_dir/trigger/waggle" build --dry-run --eval-node-limit 0 >"$work/out" 2>"$work/err" &
pid=$!
wait_until 60 "beta's evaluation" grep -q 'beta waits' "$work/err"
touch go
kill -9 "$(pgrep -P $pid -f nix-instantiate)"
status=0
wait $pid || status=$?
out=$(<"$work/out") err=$(<"$work/err")
check "a killed evaluator does not fail the run" exits 0
check "all nodes are evaluated" test "$(nodes_printed)" = 3
check "a warning reports the killed evaluator" warns "an evaluator was killed by signal 9"

section "interrupting a run"
for signal in TERM INT; do
    blocking_hive
    "$build_dir/trigger/waggle" build --dry-run --eval-node-limit 0 >"$work/out" 2>"$work/err" &
    pid=$!
    wait_until 60 "beta's evaluation" grep -q 'beta waits' "$work/err"
    evaluator=$(pgrep -P $pid -f nix-instantiate)
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    check "SIG$signal ends the run with the exit code of an interruption" exits 130
    check "the evaluator has ended as well after SIG$signal" test ! -e "/proc/$evaluator"
done

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
check "a selector can exclude nodes by tag" selects '@web,!@canary' alpha
check "a selector can require two tags" selects '@eu&@web' alpha
check "a selector can exclude one node" selects '!gamma' alpha beta
check "a selector of names alone does not evaluate an excluded node" test "$(grep -c 'gamma is looked at' <<<"$err")" = 0
waggle build --dry-run --on '!@canray'
check "excluding a misspelt tag is refused with a suggestion" fails "“canray”" "did you mean “canary”"
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
check "the exit code reports the broken node" exits 2
check "the other nodes are listed" test_json 'select(.type == "result") | [.nodes[] | select(.outcome == "ok") | [.name, .tags, .host, .system]] == [["alpha", ["web", "eu"], "10.0.0.1", "x86_64-linux"], ["beta", [], null, "x86_64-linux"]]'
check "the broken node has its own error" test_json 'select(.type == "result") | .outcome == "hive-error" and .exitCode == 2 and (.nodes[] | select(.name == "gamma") | .outcome == "hive-error" and (.message | contains("deployment.tags")))'
check "every line is an object with a type" test "$(jq -r .type <<<"$out" | grep -c .)" = "$(wc -l <<<"$out")"
waggle nodes
check "the error is also printed without --json" fails "gamma: hive-error" "deployment.tags"
waggle build --dry-run --json --on alpha
check "waggle build --json prints the derivation of a node" test_json 'select(.type == "result") | .command == "build" and .exitCode == 0 and (.nodes | length == 1) and (.nodes[0].drv | startswith("/nix/store/"))'
waggle eval --json -E '{ nodes, ... }: builtins.length (builtins.attrNames nodes)'
check "waggle eval --json prints the value" test_json 'select(.type == "result") | .value == 3'
waggle build --json --on nobody
check "the JSON result contains an error that concerns no node" test_json 'select(.type == "result") | .exitCode == 2 and (.error | contains("nobody"))'
waggle repl --json
check "waggle repl does not accept --json" fails "waggle repl" "--json"
waggle nodes --on alpha
check "waggle nodes prints a table" prints "$(printf 'NODE   TAGS    HOST      SYSTEM\nalpha  web eu  10.0.0.1  x86_64-linux')"

section "waggle eval"
hive <<'NIX'
{ alpha = { environment.etc.a.text = "of alpha"; }; beta = { }; }
NIX
waggle eval -E '{ nodes, lib, ... }: lib.mapAttrs (_: node: node.config.deployment.targetHost) nodes # hosts'
check "waggle eval prints JSON" answers '{"alpha": "alpha", "beta": "beta"}'
echo '{ nodes, ... }: nodes.alpha.config.environment.etc.a.text' >question.nix
waggle introspect question.nix
check "waggle introspect, the name that Colmena uses, evaluates a file" answers '"of alpha"'
waggle eval --instantiate -E '{ pkgs, nodes, ... }: [ (pkgs.runCommand "hello" { } "") nodes.beta.config.system.build.toplevel ]'
check "waggle eval --instantiate succeeds" exits 0
check "waggle eval --instantiate prints each derivation" test "$(nodes_printed)" = 2 -a -f "$(head -n1 <<<"$out")" -a -f "$(tail -n1 <<<"$out")"
waggle eval -E '{ nodes, ... }: nodes.alpah.config'
check "an evaluation error names the missing attribute" fails "alpah"
waggle eval
check "waggle eval without an expression is an error" fails "needs a function"

section "waggle repl"
status=0
out=$("$build_dir/trigger/waggle" repl 2>"$work/err" <<<'"names: " + builtins.concatStringsSep " " (builtins.attrNames nodes)') || status=$?
check "waggle repl has the nodes in scope" grep -q 'names: alpha beta' <<<"$out"
