#!/usr/bin/env bash
# Nodes do not wait for each other: a node is deployed while another one is still being evaluated, is broken, or had its
# evaluator killed. Also systems that another machine builds.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/../integration/trigger/builder.sh
source "$here/../integration/trigger/builder.sh"

fleet_start alpha beta gamma

describe() { change "$1" <<<"{ environment.etc.word.text = \"$2\"; }"; }
has_word() { [[ $(word "$1") == "$2" ]]; }
said() { grep -q "$1" "$run/out"; }
# The node's evaluation waits for a writer of the pipe until the file `go` exists.
block() {
    rm -f "$run/go" "$run/pipe"
    mkfifo "$run/pipe"
    change "$1" <<NIX
{
  environment.etc.word.text =
    if builtins.pathExists $run/go then "$2" else builtins.trace "$1 waits" (builtins.readFile $run/pipe);
}
NIX
}

section "a limited address space"
if [[ $sanitized == true ]]; then
    echo "not checked with sanitizers, which reserve more than any limit allows"
else
    (ulimit -v 1500000; exec_waggle build --dry-run --eval-workers 2 >"$run/limited" 2>"$run/limited.err") || true
    check "all nodes are evaluated within the limit" equal "$(wc -l <"$run/limited")" 3
    check "no evaluator reports a heap error" no grep -q heap "$run/limited.err"
fi

section "one node's evaluation is slow"
describe alpha one
describe beta one
block gamma one
waggle_in_background apply --eval-node-limit 1 --eval-workers 2
wait_until 60 "the others are deployed" eval 'has_word alpha one && has_word beta one'
check "gamma is evaluated meanwhile" said 'gamma waits'
check "waggle is still running" kill -0 "$waggle_pid"
touch "$run/go"
printf one >"$run/pipe"
waggle_wait
check "gamma is deployed in the end" equal "$(word gamma)" one
check "waggle apply succeeds" equal "$status" 0

section "an evaluator is killed"
describe alpha two
describe beta two
block gamma two
waggle_in_background apply --eval-node-limit 0
wait_until 60 "gamma's evaluation waits" said 'gamma waits'
touch "$run/go"
kill -KILL "$(pgrep -P "$waggle_pid" nix-instantiate)"
waggle_wait
check "waggle reports that the evaluator was killed" says 'evaluator was killed by signal 9'
for name in alpha beta gamma; do check "$name is deployed" equal "$(word "$name")" two; done
check "waggle apply succeeds" equal "$status" 0

section "one node is broken"
for name in alpha beta gamma; do describe "$name" three; done
change beta <<<'{ networking.hostName = 7; }'
waggle apply
check "the others are deployed" equal "$(word alpha) $(word gamma)" "three three"
check "beta is not deployed" equal "$(word beta)" two
check "the table says hive-error for beta" equal "$(outcome beta)" hive-error
check "the error names beta's file" says 'changes/beta.nix'
check "the exit code says hive error" equal "$status" 2

section "a system that another machine builds"
builder_make
describe alpha "five $run_id"
waggle apply --on alpha --build-store ssh-ng://builder
check "the system is deployed" equal "$(word alpha)" "five $run_id"
check "waggle apply succeeds" equal "$status" 0
system=$(node_run alpha readlink /run/current-system)
check "the system is in the other machine's store" test -x "$builder_nix${system#/nix}/bin/switch-to-configuration"
check "the system is not in the laptop's store" test ! -e "$system"
waggle rollback --on alpha
check "a rollback needs no builder" equal "$(word alpha)" three
describe alpha "six $run_id"
waggle apply --on alpha --build-store ssh-ng://nobody
check "without the builder, alpha is unchanged" equal "$(word alpha)" three
check "the error names the build store" says 'the build store ssh-ng://nobody'
check "the exit code says usage error" equal "$status" 2
unset SSH_CONFIG_FILE

section "Ctrl-C while one node is evaluated and the others are already deployed"
describe alpha four
describe beta four
block gamma four
waggle_in_background apply --eval-node-limit 1 --eval-workers 2
wait_until 60 "the others are deployed" eval 'has_word alpha four && has_word beta four'
kill -INT -- "-$waggle_pid"
waggle_wait
check "gamma is unchanged" equal "$(word gamma)" three
check "the table says that gamma was interrupted" equal "$(outcome gamma)" interrupted
check "waggle says that nothing was sent to gamma" says 'nothing was sent to it'
