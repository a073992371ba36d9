#!/usr/bin/env bash
# Nodes do not wait for each other: one is deployed while another still is evaluated, or is not, because it is broken or its
# evaluator is killed. And what is built on another machine comes from there.
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
# Its evaluation waits for a writer of the pipe, until there is a file `go`.
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

section "a limit of the address space"
if [[ $sanitized == true ]]; then
    echo "not checked with sanitizers, which reserve more than any limit allows"
else
    (ulimit -v 1500000; exec_waggle build --dry-run --eval-workers 2 >"$run/limited" 2>"$run/limited.err") || true
    check "is obeyed: all nodes are evaluated" equal "$(wc -l <"$run/limited")" 3
    check "by processes that can start" no grep -q heap "$run/limited.err"
fi

section "one node's evaluation takes its time"
describe alpha one
describe beta one
block gamma one
waggle_in_background apply --eval-node-limit 1 --eval-workers 2
wait_until 60 "the others are deployed" eval 'has_word alpha one && has_word beta one'
check "meanwhile gamma is evaluated" said 'gamma waits'
check "and waggle runs" kill -0 "$waggle_pid"
touch "$run/go"
printf one >"$run/pipe"
waggle_wait
check "in the end gamma is deployed, too" equal "$(word gamma)" one
check "and all is well" equal "$status" 0

section "an evaluator is killed"
describe alpha two
describe beta two
block gamma two
waggle_in_background apply --eval-node-limit 0
wait_until 60 "gamma's evaluation" said 'gamma waits'
touch "$run/go"
kill -KILL "$(pgrep -P "$waggle_pid" nix-instantiate)"
waggle_wait
check "that costs a retry" says 'evaluator was killed by signal 9'
for name in alpha beta gamma; do check "$name is deployed" equal "$(word "$name")" two; done
check "all is well" equal "$status" 0

section "one node is broken"
for name in alpha beta gamma; do describe "$name" three; done
change beta <<<'{ networking.hostName = 7; }'
waggle apply
check "the others are deployed" equal "$(word alpha) $(word gamma)" "three three"
check "it is not" equal "$(word beta)" two
check "the table says so" equal "$(outcome beta)" hive-error
check "with its file" says 'changes/beta.nix'
check "and so does the exit code" equal "$status" 2

section "built on another machine"
builder_make
describe alpha "five $run_id"
waggle apply --on alpha --build-store ssh-ng://builder
check "is deployed" equal "$(word alpha)" "five $run_id"
check "and all is well" equal "$status" 0
system=$(node_run alpha readlink /run/current-system)
check "the system is in the other machine's store" test -x "$builder_nix${system#/nix}/bin/switch-to-configuration"
check "and never was in this one's" test ! -e "$system"
waggle rollback --on alpha
check "the way back needs no builder" equal "$(word alpha)" three
describe alpha "six $run_id"
waggle apply --on alpha --build-store ssh-ng://nobody
check "without the builder nothing happens" equal "$(word alpha)" three
check "which is said" says 'the build store ssh-ng://nobody'
check "and the exit code says so" equal "$status" 2
unset SSH_CONFIG_FILE

section "Ctrl-C while a node is evaluated and another is deployed already"
describe alpha four
describe beta four
block gamma four
waggle_in_background apply --eval-node-limit 1 --eval-workers 2
wait_until 60 "the others are deployed" eval 'has_word alpha four && has_word beta four'
kill -INT -- "-$waggle_pid"
waggle_wait
check "gamma is left as it was" equal "$(word gamma)" three
check "the table says so" equal "$(outcome gamma)" interrupted
check "and that nothing was sent to it" says 'nothing was sent to it'
