#!/usr/bin/env bash
# New systems that do not work: each node comes back to the old one by itself, and the trigger tells the truth.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta

word() { node_run "$1" cat /etc/word 2>/dev/null || echo none; }
no_unit_is_left() {
    ! node_run "$1" systemctl list-units --all --plain --no-legend 'waggle-*' |
        grep -qvE '^waggle-(agent|test-boot)\.service'
}
# A system that says `word`, goes back after 5 s without confirmation, and has what else is given.
describe() { # NODE WORD [MODULE TEXT]
    change "$1" <<NIX
{ pkgs, lib, ... }: {
  environment.etc.word.text = "$2";
  deployment.rollback.confirmTimeout = ${confirm_timeout:-5};
  deployment.rollback.activationTimeout = ${activation_timeout:-60};
  imports = [ (
    ${3:-{ \}}
  ) ];
}
NIX
}
check_came_back() { # NODE CODE-IN-TEXT
    check "the exit code says rolled back" equal "$status" 6
    check "$1: the table says rolled-back" equal "$(outcome "$1")" rolled-back
    check "$1: the reason is told" says "$2"
    check "$1 runs the old system" equal "$(word "$1")" good
    check "$1 boots the old system" equal "$(node_profile "$1")" "$(node_system "$1")"
    wait_until 20 "nothing of ours is left on $1" no_unit_is_left "$1"
}

for name in alpha beta; do describe "$name" good; done
waggle apply
check "a good system is kept" equal "$status" 0
check "it is the profile" equal "$(node_profile alpha)" "$(node_system alpha)"
wait_until 20 "no unit is left" no_unit_is_left alpha

section "the new configuration cuts the network"
describe alpha cut '{ systemd.services.cut = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = { Type = "oneshot"; RemainAfterExit = true;
      ExecStop = "/usr/sbin/nft delete table inet cut"; };
    script = "/usr/sbin/nft add table inet cut; /usr/sbin/nft add chain inet cut in \"{ type filter hook input priority 0; policy drop; }\"";
  }; }'
waggle apply --on alpha
check_came_back alpha 'not confirmed'

section "a unit of the new configuration fails"
describe alpha failing '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }'
waggle apply --on alpha
check_came_back alpha 'units failed: broken.service'

section "the activation never ends"
activation_timeout=4 describe alpha hanging '{ system.activationScripts.hang = "sleep 1000"; }'
waggle apply --on alpha
check_came_back alpha 'did not end within 4 s'

section "an agent that exits at once"
describe alpha exits '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
waggle apply --on alpha
check_came_back alpha 'not confirmed'

section "an agent that hangs"
describe alpha hangs '{ systemd.services.waggle-agent.serviceConfig = { Type = lib.mkForce "simple"; ExecStart = lib.mkForce "/bin/sleep infinity"; }; }'
waggle apply --on alpha
check_came_back alpha 'not confirmed'

section "a mount that fails brings emergency mode"
describe alpha mount '{ systemd.mounts = [ {
    what = "/dev/does-not-exist"; where = "/data"; type = "ext4"; requiredBy = [ "local-fs.target" ]; } ]; }'
waggle apply --on alpha
check_came_back alpha '.'

section "the next good one goes through"
describe alpha better
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
