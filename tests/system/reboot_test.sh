#!/usr/bin/env bash
# Health checks, and systems that a reboot starts: kept if they are healthy, gone after one boot if they are not.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

word() { node_run_deadline=5 node_run "$1" cat /etc/word 2>/dev/null || echo none; }
describe() { # NODE WORD [MODULE TEXT]
    change "$1" <<NIX
{ pkgs, lib, ... }: {
  environment.etc.word.text = "$2";
  imports = [ ( ${3:-{ \}} ) ];
}
NIX
}
failing='{ deployment.healthChecks.cmd = [ { cmd = [ "/bin/sh" "-c" "echo no honey >&2; exit 1" ]; description = "honey"; period = 1; deadline = 1; } ]; }'
well='{ deployment.healthChecks.cmd = [ { cmd = [ "/bin/test" "-e" "/etc/word" ]; description = "word"; period = 1; deadline = 5; } ]; }'
runs() { [[ $(word "$1") == "$2" ]]; }
committed() { [[ $(node_profile "$1") == "$(node_system "$1")" ]]; }

section "health checks decide whether a switch is kept"
describe alpha good "$well"
waggle apply --on alpha
check "a healthy system is kept" equal "$(outcome alpha)" ok
describe alpha bad "$failing"
waggle apply --on alpha
check "the exit code says rolled back" equal "$status" 6
check "the output names the check and its last output" says 'check "honey" has failed for 1 s: exit code 1: no honey'
check "alpha runs the old system" equal "$(word alpha)" good

section "waggle check-health"
waggle check-health --on alpha
check "waggle check-health succeeds on a healthy node" equal "$status" 0
check "the output names the check" says 'the check "word" holds'
node_run alpha rm /etc/word
waggle check-health --on alpha
check "a failing check gives exit code 4" equal "$status" 4
check "the output says that alpha is unhealthy" says 'alpha: unhealthy'

section "--reboot: the new system is booted once, and its own agent commits it"
describe beta one "$well"
before=$(node_boot_id beta)
waggle apply --reboot --on beta
check "waggle apply --reboot succeeds" equal "$status" 0
check "beta has been rebooted" differ "$(node_boot_id beta)" "$before"
check "beta runs the new system" equal "$(word beta)" one
check "beta boots the new system from now on" equal "$(node_profile beta)" "$(node_system beta)"
check "no one-time boot is left on beta" no node_run beta test -e /boot/loader/oneshot
check "no boot watchdog is left on beta" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "--reboot into an unhealthy system"
describe beta two "$failing"
waggle apply --reboot --on beta
check "the exit code says rolled back" equal "$status" 6
check "the output gives the reason" says 'no honey'
check "beta runs the old system" equal "$(word beta)" one
check "beta boots the old system from now on" equal "$(node_profile beta)" "$(node_system beta)"

section "--reboot into a system whose agent never starts"
describe beta silent '{
  systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false";
  deployment.rollback.activationTimeout = 20;
}'
before=$(node_boot_id beta)
waggle apply --reboot --on beta
check "the exit code says rolled back" equal "$status" 6
check "the output gives the reason" says 'its agent did not resume the deployment within 20 s'
check "beta has been rebooted" differ "$(node_boot_id beta)" "$before"
check "beta runs the old system" equal "$(word beta)" one
check "beta boots the old system from now on" equal "$(node_profile beta)" "$(node_system beta)"
check "no boot watchdog is left on beta" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "--reboot into a system that ends in emergency mode: its watchdog starts, its agent does not"
# As after a failed mount on a real machine; here, the stand-in for a boot loader puts a system in place only after
# local-fs.target.
describe beta broken '{
  systemd.services.fall = {
    wantedBy = [ "multi-user.target" ]; before = [ "waggle-agent.service" ]; serviceConfig.Type = "oneshot";
    script = "systemctl --no-block isolate emergency.target; sleep 100";
  };
  deployment.rollback.activationTimeout = 20;
}'
before=$(node_boot_id beta)
waggle apply --reboot --on beta
check "the exit code says rolled back" equal "$status" 6
check "the output gives the reason" says 'its agent did not resume the deployment within 20 s'
check "the previous boot reached emergency mode" node_run beta sh -c 'journalctl --no-pager -b -1 | grep "Reached target emergency.target"'
check "beta runs the old system" equal "$(word beta)" one
check "beta boots the old system from now on" equal "$(node_profile beta)" "$(node_system beta)"
check "beta is up" node_is_up beta
check "no boot watchdog is left on beta" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "goal boot, then a deployment that activates nothing: the one-time boot is cancelled"
describe beta never "$well"
waggle apply boot --on beta
check "waggle apply boot succeeds" equal "$status" 0
waggle apply push --on beta
check "waggle apply push succeeds" equal "$status" 0
is_called_off() { ! node_run beta test -e /boot/loader/oneshot && ! node_run beta test -e /etc/systemd/system.control/waggle-watch.timer; }
wait_until 30 "the one-time boot is cancelled" is_called_off
node_reboot beta
check "beta boots the previous system" equal "$(word beta)" one
fleet_wait beta

section "--reboot-if-needed"
describe beta three "$well"
before=$(node_boot_id beta)
waggle apply --reboot-if-needed --on beta
check "with the same kernel, beta switches without a reboot" equal "$(outcome beta):$(node_boot_id beta)" "ok:$before"
describe beta four '{ system.fixture.kernelVersion = "6.2.0"; }'
waggle apply --reboot-if-needed --on beta
check "with another kernel, beta is rebooted" differ "$(node_boot_id beta)" "$before"
check "waggle apply --reboot-if-needed succeeds" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" four

section "goal boot: the next reboot starts the new system, and the node keeps it if it is healthy"
describe beta five "$well"
old=$(node_profile beta)
waggle apply boot --on beta
check "waggle apply boot succeeds" equal "$status" 0
check "the profile is the old system until the reboot" equal "$(node_profile beta)" "$old"
node_reboot beta
wait_until 30 "beta commits the new system" committed beta
check "beta runs the new system" equal "$(word beta)" five
check "beta boots the new system from now on" equal "$(node_profile beta)" "$(node_system beta)"
describe beta six "$failing"
waggle apply boot --on beta
node_reboot beta
node_wait_reboot beta "$(node_boot_id beta)" # the agent rolls back with a second reboot
wait_until 60 "beta runs the old system again" runs beta five
ended() { node_run "$1" grep -q '"state": "rolled-back"' /var/lib/waggle-agent/state.json; }
wait_until 30 "the deployment has ended" ended beta # until then, it occupies the node
fleet_wait beta

section "waggle reboot"
before=$(node_boot_id beta)
waggle reboot --on beta
check "waggle reboot succeeds" equal "$status" 0
check "beta has been rebooted" differ "$(node_boot_id beta)" "$before"

section "waggle history and rollback"
waggle history --on beta
check "waggle history succeeds" equal "$status" 0
check "the history lists the rollback and its reason" says 'rolled-back.*no honey'
check "waggle-agent history succeeds at the console" node_run beta sh -c 'waggle-agent history 2>/dev/null || /run/current-system/sw/bin/waggle-agent history'
waggle rollback --on beta
check "waggle rollback succeeds" equal "$status" 0
check "beta runs the previous system" equal "$(word beta)" four
waggle rollback --on beta --to 1
check "a generation that Waggle did not make is refused" equal "$status" 5
check "the refusal names the command to run by hand" says 'switch-generation 1'
