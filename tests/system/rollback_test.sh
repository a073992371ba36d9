#!/usr/bin/env bash
# New systems that do not work: each node rolls back to the old one on its own, and the trigger reports what happened.
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
check "the profile is the good system" equal "$(node_profile alpha)" "$(node_system alpha)"
wait_until 20 "no unit of the deployment is left on alpha" no_unit_is_left alpha

for kind in "${rollback_cases[@]}"; do
    section "$kind"
    "bad_$kind" alpha "$kind"
    waggle apply --on alpha
    check_came_back alpha "${reason[$kind]}"
done

section "the same mount again: an earlier failure does not excuse it"
bad_mount alpha again
boot=$(node_boot_id alpha)
waggle apply --on alpha
check_came_back alpha "${reason[mount]}"
# Like NixOS's, the previous system's script does not work without the bus.
check "alpha leaves emergency mode without a reboot" equal "$(node_boot_id alpha)" "$boot"
check "emergency.target is no longer active" no node_run alpha systemctl --quiet is-active emergency.target
check "the system bus answers again" node_run alpha busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping

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

section "the next good system is deployed"
good alpha better
waggle apply --on alpha
check "waggle apply succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" better

section "a power cut before the confirmation boots the old system"
confirm_timeout=60 describe beta unconfirmed '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle_in_background apply --on beta
runs_unconfirmed() { [[ $(word beta) == unconfirmed ]] && grep -q '"state": "activated"' "$run/nodes/beta/root/var/lib/waggle-agent/state.json"; }
wait_until 60 "beta runs the new system" runs_unconfirmed
node_kill beta
node_boot beta
waggle_wait
check_came_back beta 'rebooted or lost power'

section "another process switches the node in between"
confirm_timeout=4 describe beta mine '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
old=$(node_system beta)
waggle_in_background apply --on beta
runs_mine() { [[ $(word beta) == mine ]] && grep -q '"state": "activated"' "$run/nodes/beta/root/var/lib/waggle-agent/state.json"; }
wait_until 60 "beta runs the new system" runs_mine
code=0
node_run beta "$old/bin/switch-to-configuration" test >/dev/null 2>&1 || code=$?
# 4: the new system's agent, which never starts, had failed just then.
check "the old system's switch-to-configuration exits with 0 or 4" test "$code" = 0 -o "$code" = 4
node_run beta systemctl restart waggle-agent
waggle_wait
check "the outcome is refused" equal "$(outcome beta)" refused
check "the output says superseded" says superseded
check "beta still runs the old system" equal "$(node_system beta)" "$old"
wait_until 20 "no unit of the deployment is left on beta" no_unit_is_left beta
