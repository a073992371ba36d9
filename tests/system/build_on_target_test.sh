#!/usr/bin/env bash
# Nodes that build their systems themselves: deployment.buildOnTarget.
# shellcheck disable=SC2016  # scripts expand where they run: in a builder, on a node
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

# A system with something that is built by SCRIPT. Its name is this run's: the laptop's store is kept between runs.
describe() { # NODE WORD SCRIPT [MODULE TEXT]
    change "$1" <<NIX
{ pkgs, ... }: {
  environment.etc.word.source = pkgs.runCommand "word-$2-$run_id" { } ''$3'';
  deployment.rollback.confirmTimeout = 60;
  imports = [ (
    ${4:-{ \}}
  ) ];
}
NIX
}
there='{ deployment.buildOnTarget = true; }'
# The system that the hive describes now; nothing is built.
described() {
    nix-instantiate --eval --strict --json -E \
        "(import $WAGGLE_NIXOS_MODULE/hive.nix { path = $run/hive/hive.nix; }).nodes [ \"$1\" ]" | jq -r '.[].toplevel'
}
is_here() { [[ -e $1 ]]; }
is_on() { node_run "$1" test -e "$2"; } # NODE PATH
collect_garbage() { node_run "$1" nix-store --gc >/dev/null 2>&1; }
builder_waits() { is_on alpha /run/builder; }
builder_is_gone() { no node_run alpha sh -c 'kill -0 "$(cat /run/builder)" 2>/dev/null'; }

section "one builds its system itself, the other's is built here"
describe alpha one 'echo "at work on $(cat /etc/hostname)"; cat /etc/hostname > $out' "$there"
describe beta one 'echo here > $out'
waggle apply
check "it succeeds" equal "$status" 0
check "alpha runs what it built" equal "$(word alpha)" alpha
check "its system is the one that the hive describes" equal "$(node_system alpha)" "$(described alpha)"
check "it boots it from now on" equal "$(node_profile alpha)" "$(node_system alpha)"
check "what the builder said was shown" says "word-one-$run_id> at work on alpha"
check "the laptop has never had it" no is_here "$(node_system alpha)"
check "beta runs what was built here" equal "$(word beta)" here
check "and the laptop has it" is_here "$(node_system beta)"
check "alpha's store is sound" store_is_sound alpha
waggle apply
check "a second time nothing is to be done" equal "$status" 0
check "on alpha" equal "$(outcome alpha)" unchanged

section "waggle build, with and without"
describe alpha two 'echo two > $out' "$there"
two=$(described alpha)
waggle build --dry-run --on alpha
check "a dry run says where it would be built" says 'alpha would be built on the node itself'
check "and builds nothing" no is_on alpha "$two"
waggle build
check "it is built" equal "$status" 0
check "and its path printed" shows "$two"
check "on the node" is_on alpha "$two"
check "not here" no is_here "$two"
check "which runs what it ran" equal "$(word alpha)" alpha
collect_garbage alpha
check "a garbage collection leaves it" is_on alpha "$two"
waggle apply push --on alpha
check "it can be pushed" equal "$(outcome alpha)" ok
waggle build --no-build-on-target --on alpha
check "the flag has it built here" is_here "$two"
describe beta two 'echo two > $out'
waggle apply --build-on-target --on beta
check "the other flag has any built on its node" equal "$(word beta)" two
check "not here" no is_here "$(node_system beta)"

section "a build that fails"
describe alpha three 'echo "compiling hard"; echo "oh no" >&2; exit 3' "$there"
describe beta three 'echo three > $out'
waggle apply
check "the exit code says that a build failed" equal "$status" 3
check "alpha is to blame" equal "$(outcome alpha)" build-failed
check "the derivation is named" says "word-three-$run_id.drv"
check "and what became of its builder" says 'builder.* failed with exit code 3'
check "and the end of its log shown" says 'oh no'
check "alpha runs what it ran" equal "$(word alpha)" alpha
check "beta goes on" equal "$(word beta)" three

section "a trigger that leaves in the middle of a build"
waiting='echo $$ > /run/builder; until [ -e /run/go ]; do sleep 0.1; done; echo four > $out'
describe alpha four "$waiting" "$there"
waggle_in_background apply --on alpha
wait_until 60 "alpha builds" builder_waits
kill -INT "$waggle_pid"
waggle_wait
check "Ctrl-C ends it" equal "$(outcome alpha)" interrupted
wait_until 30 "the builder is gone" builder_is_gone
node_run alpha rm /run/builder
waggle_in_background apply --on alpha
wait_until 60 "alpha builds again" builder_waits
kill -KILL "$waggle_pid"
wait "$waggle_pid" || true
wait_until 30 "the builder of a trigger that was killed is gone, too" builder_is_gone
check "alpha runs what it ran" equal "$(word alpha)" alpha
node_run alpha touch /run/go
waggle apply --on alpha
check "the next one succeeds" equal "$status" 0
check "and alpha runs it" equal "$(word alpha)" four
check "alpha's store is sound" store_is_sound alpha
