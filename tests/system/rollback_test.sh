#!/usr/bin/env bash
# New systems that do not work: each node comes back to the old one by itself, and the trigger tells the truth.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"

fleet_start alpha beta

for name in alpha beta; do good "$name" good; done
waggle apply
check "a good system is kept" equal "$status" 0
check "it is the profile" equal "$(node_profile alpha)" "$(node_system alpha)"
wait_until 20 "no unit is left" no_unit_is_left alpha

for kind in "${rollback_cases[@]}"; do
    section "$kind"
    "bad_$kind" alpha "$kind"
    waggle apply --on alpha
    check_came_back alpha "${reason[$kind]}"
done

section "the same mount again: that it failed before is no excuse"
bad_mount alpha again
boot=$(node_boot_id alpha)
waggle apply --on alpha
check_came_back alpha "${reason[mount]}"
# The previous system's script works without the bus as little as NixOS's does.
check "emergency mode is left without a reboot" equal "$(node_boot_id alpha)" "$boot"
check "nothing of it is left" no node_run alpha systemctl --quiet is-active emergency.target
check "the system bus is there again" node_run alpha busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping

for code in 0 4; do
    section "switch-to-configuration activates nothing and exits with $code"
    describe alpha "errno-$code" "{ system.fixture.leftoverErrno = $code; system.preSwitchChecks.never = \"[ \$2 != test ]\"; }"
    waggle apply --on alpha
    check_came_back alpha "ended with exit code $code, but the current system is"
done

section "systemd itself is replaced while the timers wait"
describe alpha reexec '{
  system.activationScripts.reexec = "systemctl daemon-reexec";
  systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false";
}'
waggle apply --on alpha
check_came_back alpha 'not confirmed'

section "a unit of the new configuration fails"
describe alpha failing '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }'
waggle apply --on alpha
check_came_back alpha 'units failed: broken.service'

section "the next good one goes through"
good alpha better
waggle apply --on alpha
check "waggle apply succeeds" equal "$status" 0
check "alpha runs it" equal "$(word alpha)" better

section "a power cut before the confirmation boots the old system"
confirm_timeout=60 describe beta unconfirmed '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on beta
runs_unconfirmed() { [[ $(word beta) == unconfirmed ]] && grep -q '"state": "activated"' "$run/nodes/beta/root/var/lib/waggle-agent/state.json"; }
wait_until 60 "beta runs the new system" runs_unconfirmed
node_kill beta
node_boot beta
waggle_wait
check_came_back beta 'rebooted or lost power'

section "somebody else switches the node in between"
confirm_timeout=4 describe beta mine '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
old=$(node_system beta)
waggle_in_background apply --on beta
runs_mine() { [[ $(word beta) == mine ]] && grep -q '"state": "activated"' "$run/nodes/beta/root/var/lib/waggle-agent/state.json"; }
wait_until 60 "beta runs the new system" runs_mine
code=0
node_run beta "$old/bin/switch-to-configuration" test >/dev/null 2>&1 || code=$?
# 4: the new system's agent, which never starts, had failed just then.
check "the old system's switch-to-configuration did its work" test "$code" = 0 -o "$code" = 4
node_run beta systemctl restart waggle-agent
waggle_wait
check "the outcome is refused" equal "$(outcome beta)" refused
check "it says superseded" says superseded
check "nothing was overwritten" equal "$(node_system beta)" "$old"
wait_until 20 "no timer is left" no_unit_is_left beta
