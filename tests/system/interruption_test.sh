#!/usr/bin/env bash
# Interrupted deployments: before the activation, only store paths change; an activation runs to its end.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

# A system whose activation waits until the test lets it continue (touch /run/go on the node).
describe_slow() { # NODE WORD
    change "$1" <<NIX
{ pkgs, ... }: {
  environment.etc.word.text = "$2";
  deployment.rollback.confirmTimeout = ${confirm_timeout:-60};
  systemd.services.slow = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
    script = "echo slow $2; until [ -e /run/go ]; do sleep 0.1; done";
  };
}
NIX
}
# A system with ten files of 3 MB, which take a while over a slow connection.
describe_large() { # NODE WORD
    change "$1" <<NIX
{ pkgs, lib, ... }: {
  environment.etc = { word.text = "$2"; } // lib.listToAttrs (map (i: lib.nameValuePair "ballast-\${i}" {
    source = pkgs.runCommand "ballast-$2-\${i}" { } "head -c 3000000 /dev/urandom > \$out";
  }) (lib.genList toString 10));
}
NIX
}
activation_waits() { [[ $(node_run "$1" systemctl is-active slow.service) == activating ]]; }
activation_is_over() { [[ $(node_run "$1" systemctl is-active waggle-activation.service) == inactive ]]; }
equal_profile_and_system() { [[ $(node_profile "$1") == "$(node_system "$1")" ]]; }
# Bytes that were sent may still be in buffers. Nix adds one path after the other.
has_ballast() { # NODE WORD PATHS: its store has that many, and the next one has begun
    local found; found=$(find "$run/nodes/$1/root/nix/store" -maxdepth 1 -name "*-ballast-$2-?" | wc -l)
    ((found > $3))
}
bytes_since() { (($(bytes_to "$1") - $2 > $3)); }

section "the agent dies during the activation"
describe_slow alpha one
describe_slow beta one
waggle_in_background apply
wait_until 60 "the activation of alpha waits" activation_waits alpha
wait_until 60 "the activation of beta waits" activation_waits beta
waggle_other status --on alpha
check "waggle status shows that alpha is activating" says activating
waggle_other apply --on alpha
check "another deployment is refused meanwhile" equal "$status" 5
check "the refusal says that another deployment occupies the node" says 'has occupied this node since'
agent=$(node_run alpha systemctl show -P MainPID waggle-agent)
node_run alpha systemctl kill --kill-whom=main -s KILL waggle-agent
node_run beta systemctl restart waggle-agent
check "alpha's activation is still running" activation_waits alpha
check "beta's activation is still running" activation_waits beta
fleet_wait alpha
check "a new agent process runs on alpha" differ "$(node_run alpha systemctl show -P MainPID waggle-agent)" "$agent"
for name in alpha beta; do node_run "$name" touch /run/go; done
waggle_wait
for name in alpha beta; do
    wait_until 30 "the activation of $name is over" activation_is_over "$name"
    check "$name runs the new system" equal "$(word "$name")" one
    check "$name boots the new system from now on" equal "$(node_profile "$name")" "$(node_system "$name")"
done
check "the trigger reconnects to both nodes and succeeds" equal "$status" 0

section "Ctrl-C or a closed terminal during the activation: the trigger waits for its end"
for signal in INT HUP; do
    node_run alpha rm -f /run/go
    describe_slow alpha "after-$signal"
    waggle_in_background apply --on alpha
    wait_until 60 "the activation waits" activation_waits alpha
    kill "-$signal" "$waggle_pid"
    finishing() { grep -q 'finishing 1 node; press again to leave' "$out"; }
    wait_until 20 "the trigger says that it is finishing" finishing
    if [[ $signal == HUP ]]; then kill -HUP "$waggle_pid"; fi # the kernel and the shell both send it
    check "the activation is still running" activation_waits alpha
    node_run alpha touch /run/go
    waggle_wait
    check "the deployment is confirmed" equal "$status" 0
    check "alpha keeps the new system" equal "$(word alpha)" "after-$signal"
done

leave_activation() { # Ctrl-C twice during alpha's activation
    waggle_in_background apply --on alpha
    wait_until 60 "the activation waits" activation_waits alpha
    kill -INT "$waggle_pid"
    wait_until 20 "the trigger says that it is finishing" finishing
    kill -INT "$waggle_pid"
    waggle_wait
}

section "Ctrl-C twice during the activation: the unconfirmed system is rolled back"
node_run alpha rm /run/go
old=$(node_system alpha)
confirm_timeout=3 describe_slow alpha two
leave_activation
check "the trigger exits with an error" differ "$status" 0
check "the trigger says when alpha rolls back" says 'unconfirmed, and rolls back 3 s after the activation ends'
check "the trigger names the command that confirms the deployment" says 'waggle confirm --on alpha'
check "the activation is still running" activation_waits alpha
node_run alpha touch /run/go
wait_until 30 "the activation is over" activation_is_over alpha
runs_old() { [[ $(node_system alpha) == "$old" ]]; }
wait_until 30 "alpha runs the old system again" runs_old
check "alpha boots the old system" equal "$(node_profile alpha)" "$old"
has_ended() { node_run alpha /run/current-system/sw/bin/waggle-agent status | grep -q 'outcome *rolled-back'; }
wait_until 30 "the deployment has ended" has_ended
# By then, the agent has also read the rest of its units' output.
is_free() { waggle status --on alpha; [[ $(awk '$1 == "alpha" && $2 == "reachable" { print $NF }' "$run/out") == - ]]; }
wait_until 10 "alpha is free" is_free
confirm_timeout=60 describe_slow alpha two
waggle apply --on alpha
check "the same deployment succeeds when the trigger stays to confirm it" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" two
check "alpha boots the new system" equal_profile_and_system alpha

section "Ctrl-C twice during the activation, then waggle confirm"
node_run alpha rm /run/go
confirm_timeout=60 describe_slow alpha confirmed
leave_activation
waggle confirm --on alpha
check "waggle confirm fails during the activation" differ "$status" 0
node_run alpha touch /run/go
is_unconfirmed() { waggle status --on alpha; says 'unconfirmed, rolls back in [0-9]+ s'; }
wait_until 30 "alpha waits for a confirmation" is_unconfirmed
confirms() { waggle confirm --on alpha; [[ $status == 0 ]]; }
wait_until 20 "waggle confirm succeeds with the agent that the new system started" confirms
wait_until 20 "alpha boots the new system" equal_profile_and_system alpha
check "alpha keeps the new system" equal "$(word alpha)" confirmed
waggle confirm --on alpha
check "a second waggle confirm says that nothing awaits confirmation" says 'it awaits no confirmation'

section "Ctrl-C during the transfer"
change_back
waggle apply
describe_large alpha three
toplevel alpha >/dev/null 2>&1
before=$(node_system alpha) sent=$(bytes_to alpha)
slow_down alpha
waggle_in_background apply --on alpha
wait_until 60 "2 MB are sent" bytes_since alpha "$sent" 2000000
kill -INT "$waggle_pid"
waggle_wait
check "the exit code says interrupted" equal "$status" 130
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
check "alpha still boots the previous system" equal "$(node_profile alpha)" "$before"
check "alpha's store is sound" store_is_sound alpha

section "another process holds the lock of a store path"
change alpha <<'NIX'
{ pkgs, ... }: { environment.etc = { word.text = "locked"; mark.source = pkgs.runCommand "mark" { } "head -c 1000 /dev/urandom > $out"; }; }
NIX
mark=$(nix-store -qR "$(toplevel alpha)" | grep -- '-mark$')
node_run alpha systemd-run -q --unit=holder sh -c "exec 9>'$mark.lock'; flock 9; sleep 900"
node_run alpha sh -c "until ! flock -n '$mark.lock' true; do sleep 0.1; done"
speed_up alpha
waggle_in_background apply --on alpha
lock_is_told() { grep -qF "another process holds the lock $mark.lock" "$out"; }
wait_until 60 "the trigger reports the lock" lock_is_told
kill -INT "$waggle_pid"
waggle_wait
check "Ctrl-C ends the wait" equal "$(outcome alpha)" interrupted
check "the node reports that the operator stopped the deployment" says 'stopped by the operator before the activation'
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
waggle_in_background apply --on alpha
node_run alpha systemctl stop holder
waggle_wait
check "the deployment succeeds once the lock is free" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" locked
describe_large alpha three
before=$(node_system alpha)
slow_down alpha

section "the network is cut during the transfer"
waggle_in_background apply --on alpha
wait_until 60 "two paths and a part of the third have arrived" has_ballast alpha three 2
node_cut_network alpha
waggle_wait
check "the exit code says failed before activation" equal "$status" 7
check "the error says that alpha could not be reached" says 'could not be reached'
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
node_heal_network alpha
speed_up alpha
sent=$(bytes_to alpha)
waggle apply --on alpha
check "the deployment succeeds once the network is back" equal "$status" 0
check "paths that had arrived are not sent again" at_most $(($(bytes_to alpha) - sent)) 26000000
check "alpha runs the new system" equal "$(word alpha)" three
check "alpha's store is sound" store_is_sound alpha

section "a power cut during the transfer"
describe_large alpha four
toplevel alpha >/dev/null 2>&1
before=$(node_system alpha)
slow_down alpha
waggle_in_background apply --on alpha
wait_until 60 "two paths and a part of the third have arrived" has_ballast alpha four 2
node_kill alpha
waggle_wait
check "the exit code says failed before activation" equal "$status" 7
speed_up alpha
node_boot alpha
fleet_wait alpha
check "alpha boots the previous system" equal "$(node_system alpha)" "$before"
sent=$(bytes_to alpha)
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0
check "paths that had arrived and kept their content are not sent again" at_most $(($(bytes_to alpha) - sent)) 26000000
check "alpha runs the new system" equal "$(word alpha)" four

section "a power cut during the activation"
node_run alpha rm -f /run/go
describe_slow alpha five
before=$(node_system alpha)
waggle_in_background apply --on alpha
wait_until 60 "the activation waits" activation_waits alpha
node_kill alpha
node_boot alpha
fleet_wait alpha
waggle_wait
check "the exit code says rolled back" equal "$status" 6
check "the error says that the node lost power" says "lost power"
check "alpha boots the previous system" equal "$(node_system alpha)" "$before"
check "alpha has the previous system's files" equal "$(word alpha)" four
node_run alpha touch /run/go
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" five

section "the Nix daemon dies during the transfer"
describe_large alpha six
toplevel alpha >/dev/null 2>&1
before=$(node_system alpha) sent=$(bytes_to alpha)
slow_down alpha
waggle_in_background apply --on alpha
wait_until 60 "2 MB are sent" bytes_since alpha "$sent" 2000000
node_run alpha systemctl kill -s KILL nix-daemon.service
waggle_wait
speed_up alpha
check "the exit code says failed before activation" equal "$status" 7
check "the error names the Nix daemon" says 'nix.daemon'
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
waggle apply --on alpha
check "the next deployment succeeds" equal "$status" 0
check "alpha's store is sound" store_is_sound alpha
