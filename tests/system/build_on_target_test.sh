#!/usr/bin/env bash
# Nodes that build their own systems: deployment.buildOnTarget.
# shellcheck disable=SC2016  # scripts expand where they run: in a builder, on a node
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

# A system with one file that SCRIPT builds. Its name contains the run's ID: the laptop's store is kept between runs.
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
# Prints the system that the hive describes now; builds nothing.
described() {
    nix-instantiate --eval --strict --json -E \
        "(import $WAGGLE_NIXOS_MODULE/hive.nix { path = $run/hive/hive.nix; }).nodes [ \"$1\" ]" | jq -r '.[].toplevel'
}
is_here() { [[ -e $1 ]]; }
is_on() { node_run "$1" test -e "$2"; } # NODE PATH
collect_garbage() { node_run "$1" nix-store --gc >/dev/null 2>&1; }
builder_waits() { is_on alpha /run/builder; }
builder_is_gone() { no node_run alpha sh -c 'kill -0 "$(cat /run/builder)" 2>/dev/null'; }

section "alpha builds its own system, beta's is built on the laptop"
describe alpha one 'echo "at work on $(cat /etc/hostname)"; cat /etc/hostname > $out' "$there"
describe beta one 'echo here > $out'
waggle apply
check "waggle apply succeeds" equal "$status" 0
check "alpha runs the system that it built" equal "$(word alpha)" alpha
check "alpha's system is the one that the hive describes" equal "$(node_system alpha)" "$(described alpha)"
check "alpha boots the new system from now on" equal "$(node_profile alpha)" "$(node_system alpha)"
check "waggle shows the builder's output" says "word-one-$run_id> at work on alpha"
check "alpha's system is not in the laptop's store" no is_here "$(node_system alpha)"
check "beta runs the system that the laptop built" equal "$(word beta)" here
check "beta's system is in the laptop's store" is_here "$(node_system beta)"
check "alpha's store is sound" store_is_sound alpha
waggle apply
check "a second waggle apply succeeds" equal "$status" 0
check "the table says that alpha is unchanged" equal "$(outcome alpha)" unchanged

section "waggle build, with and without buildOnTarget"
describe alpha two 'echo two > $out' "$there"
two=$(described alpha)
waggle build --dry-run --on alpha
check "a dry run prints where alpha would be built" says 'alpha would be built on the node itself'
check "a dry run builds nothing on alpha" no is_on alpha "$two"
waggle build
check "waggle build succeeds" equal "$status" 0
check "waggle build prints the system's path" shows "$two"
check "alpha's system is in alpha's store" is_on alpha "$two"
check "alpha's system is not in the laptop's store" no is_here "$two"
check "alpha still runs the previous system" equal "$(word alpha)" alpha
collect_garbage alpha
check "a garbage collection keeps the new system" is_on alpha "$two"
waggle apply push --on alpha
check "the new system can be pushed" equal "$(outcome alpha)" ok
waggle build --no-build-on-target --on alpha
check "--no-build-on-target builds alpha's system on the laptop" is_here "$two"
describe beta two 'echo two > $out'
waggle apply --build-on-target --on beta
check "beta runs the system that --build-on-target built" equal "$(word beta)" two
check "beta's system is not in the laptop's store" no is_here "$(node_system beta)"

section "a build that fails"
describe alpha three 'echo "compiling hard"; echo "oh no" >&2; exit 3' "$there"
describe beta three 'echo three > $out'
waggle apply
check "the exit code says that a build failed" equal "$status" 3
check "the table says that alpha's build failed" equal "$(outcome alpha)" build-failed
check "the error names the derivation" says "word-three-$run_id.drv"
check "the error gives the builder's exit code" says 'builder.* failed with exit code 3'
check "the error shows the end of the build log" says 'oh no'
check "alpha still runs the previous system" equal "$(word alpha)" alpha
check "beta is deployed" equal "$(word beta)" three

section "the trigger exits in the middle of a build"
waiting='echo $$ > /run/builder; until [ -e /run/go ]; do sleep 0.1; done; echo four > $out'
describe alpha four "$waiting" "$there"
waggle_in_background apply --on alpha
wait_until 60 "alpha builds" builder_waits
kill -INT "$waggle_pid"
waggle_wait
check "Ctrl-C interrupts the deployment" equal "$(outcome alpha)" interrupted
wait_until 30 "the builder is gone" builder_is_gone
node_run alpha rm /run/builder
waggle_in_background apply --on alpha
wait_until 60 "alpha builds again" builder_waits
kill -KILL "$waggle_pid"
wait "$waggle_pid" || true
wait_until 30 "the builder of the killed trigger is gone" builder_is_gone
check "alpha still runs the previous system" equal "$(word alpha)" alpha
node_run alpha touch /run/go
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" four
check "alpha's store is sound" store_is_sound alpha
