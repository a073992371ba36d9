#!/usr/bin/env bash
# Health checks, and systems that are started by a reboot: kept when they are well, gone after one boot when they are not.
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
check "the check and its last word are told" says 'check "honey" has failed for 1 s: exit code 1: no honey'
check "alpha runs the old system" equal "$(word alpha)" good

section "waggle check-health"
waggle check-health --on alpha
check "succeeds where all is well" equal "$status" 0
check "and names the check" says 'the check "word" holds'
node_run alpha rm /etc/word
waggle check-health --on alpha
check "a check that fails is exit code 4" equal "$status" 4
check "alpha is unhealthy" says 'alpha: unhealthy'

section "--reboot: the new system is booted once, and kept by its own agent"
describe beta one "$well"
before=$(node_boot_id beta)
waggle apply --reboot --on beta
check "it succeeds" equal "$status" 0
check "it is another boot" differ "$(node_boot_id beta)" "$before"
check "beta runs the new system" equal "$(word beta)" one
check "and boots it from now on" equal "$(node_profile beta)" "$(node_system beta)"
check "nothing is to be booted once any more" no node_run beta test -e /boot/loader/oneshot
check "and nothing watches its boots" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "--reboot into a system that is not well"
describe beta two "$failing"
waggle apply --reboot --on beta
check "the exit code says rolled back" equal "$status" 6
check "the reason is told" says 'no honey'
check "beta runs the old system" equal "$(word beta)" one
check "and boots it" equal "$(node_profile beta)" "$(node_system beta)"

section "--reboot into a system whose agent never starts"
describe beta silent '{
  systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false";
  deployment.rollback.activationTimeout = 20;
}'
before=$(node_boot_id beta)
waggle apply --reboot --on beta
check "the exit code says rolled back" equal "$status" 6
check "the reason is told" says 'its agent did not resume the deployment within 20 s'
check "beta has been rebooted" differ "$(node_boot_id beta)" "$before"
check "beta runs the old system" equal "$(word beta)" one
check "and boots it" equal "$(node_profile beta)" "$(node_system beta)"
check "nothing watches its boots any more" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "--reboot into a system that ends in emergency mode: its agent never starts, the watch over the boot does"
# As a failed mount does it on a machine; the stand-in for a boot loader puts a system in place after local-fs.target.
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
check "the reason is told" says 'its agent did not resume the deployment within 20 s'
check "emergency mode it was" node_run beta sh -c 'journalctl --no-pager -b -1 | grep "Reached target emergency.target"'
check "beta runs the old system" equal "$(word beta)" one
check "and boots it" equal "$(node_profile beta)" "$(node_system beta)"
check "it is well" node_is_up beta
check "nothing watches its boots any more" no node_run beta test -e /etc/systemd/system.control/waggle-watch.timer

section "goal boot, and then a deployment that comes to nothing: the boot is called off"
describe beta never "$well"
waggle apply boot --on beta
check "it succeeds" equal "$status" 0
waggle apply push --on beta
check "what follows succeeds" equal "$status" 0
is_called_off() { ! node_run beta test -e /boot/loader/oneshot && ! node_run beta test -e /etc/systemd/system.control/waggle-watch.timer; }
wait_until 30 "nothing is booted once any more" is_called_off
node_reboot beta
check "beta boots what it ran" equal "$(word beta)" one
fleet_wait beta

section "--reboot-if-needed"
describe beta three "$well"
before=$(node_boot_id beta)
waggle apply --reboot-if-needed --on beta
check "the same kernel: switched" equal "$(outcome beta):$(node_boot_id beta)" "ok:$before"
describe beta four '{ system.fixture.kernelVersion = "6.2.0"; }'
waggle apply --reboot-if-needed --on beta
check "another kernel: rebooted" differ "$(node_boot_id beta)" "$before"
check "it succeeds" equal "$status" 0
check "beta runs it" equal "$(word beta)" four

section "goal boot: kept whenever the node reboots, if it is well then"
describe beta five "$well"
old=$(node_profile beta)
waggle apply boot --on beta
check "it succeeds" equal "$status" 0
check "the profile is the old system until then" equal "$(node_profile beta)" "$old"
node_reboot beta
wait_until 30 "beta keeps the new system" committed beta
check "beta runs it" equal "$(word beta)" five
check "and boots it from now on" equal "$(node_profile beta)" "$(node_system beta)"
describe beta six "$failing"
waggle apply boot --on beta
node_reboot beta
node_wait_reboot beta "$(node_boot_id beta)" # the agent goes back by a reboot of its own
wait_until 60 "beta is back in the old system" runs beta five
ended() { node_run "$1" grep -q '"state": "rolled-back"' /var/lib/waggle-agent/state.json; }
wait_until 30 "that deployment has ended" ended beta # before that it holds the node
fleet_wait beta

section "waggle reboot"
before=$(node_boot_id beta)
waggle reboot --on beta
check "it succeeds" equal "$status" 0
check "it is another boot" differ "$(node_boot_id beta)" "$before"

section "waggle history and rollback"
waggle history --on beta
check "it succeeds" equal "$status" 0
check "what was rolled back is there, and why" says 'rolled-back.*no honey'
check "at the console, too" node_run beta sh -c 'waggle-agent history 2>/dev/null || /run/current-system/sw/bin/waggle-agent history'
waggle rollback --on beta
check "rollback succeeds" equal "$status" 0
check "beta runs what it had before" equal "$(word beta)" four
waggle rollback --on beta --to 1
check "a generation that Waggle did not make is refused" equal "$status" 5
check "with the way to do it by hand" says 'switch-generation 1'
