#!/usr/bin/env bash
# Some nodes fail, each in its own way; the others are deployed all the same, and the table and exit code say so.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta gamma

describe() { # NODE WORD [further module text]
    change "$1" <<NIX
{ lib, pkgs, ... }: {
  environment.etc.word.text = "$2";
  ${3:-}
}
NIX
}
word() { node_run "$1" cat /etc/word 2>/dev/null || echo none; }

section "one node down, one node broken, one node well"
node_poweroff alpha
describe alpha one
describe beta one 'system.activationScripts.broken.text = "echo this snippet is broken >&2; exit 1";'
describe gamma one
before=$(node_profile beta)
waggle apply
check "gamma is deployed" equal "$(word gamma)" one
check "and ok in the table" equal "$(outcome gamma)" ok
check "alpha is unreachable in the table" equal "$(outcome alpha)" unreachable
check "beta is back at its old system in the table" equal "$(outcome beta)" rolled-back
check "beta's log is shown" says 'this snippet is broken'
check "the profile of beta is as before" equal "$(node_profile beta)" "$before"
check "beta runs the old system" equal "$(node_system beta)" "$before"
check "with its files" equal "$(word beta)" none
check "the exit code is the worst of all" equal "$status" 6

section "the broken node repaired"
describe beta two
waggle apply --on beta
check "it is deployed" equal "$status" 0
check "and has the new file" equal "$(word beta)" two

section "a pre-switch check that refuses"
describe beta three 'system.preSwitchChecks.never = "echo not on a Sunday >&2; exit 1";'
waggle apply --on beta
check "the exit code says refused" equal "$status" 5
check "its words are shown" says 'not on a sunday'
check "nothing was activated" equal "$(word beta)" two
describe beta two

section "a unit that fails to start"
describe beta four 'systemd.services.web = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "echo no web today >&2; exit 3"; };'
before=$(node_profile beta)
waggle apply --on beta
check "the exit code says rolled back" equal "$status" 6
check "the table, too" equal "$(outcome beta)" rolled-back
check "the unit is named" says 'web.service'
check "beta runs the old system" equal "$(word beta)" two
check "and boots it" equal "$(node_profile beta)" "$before"
describe beta two

section "a system without the agent"
describe gamma two 'services.waggle-agent.enable = lib.mkForce false;'
waggle apply --on gamma
check "the exit code says refused" equal "$status" 5
check "--remove-agent is offered" says '--remove-agent'
check "gamma runs what it ran" equal "$(word gamma)" one
describe gamma one

section "the port closed"
node_boot alpha
fleet_wait alpha
node_run alpha systemctl stop waggle-agent.service
waggle apply --on alpha
check "the exit code says unreachable" equal "$status" 8
check "so does the table" equal "$(outcome alpha)" unreachable
check "with node and address" says '9244.*10\.83\.1\.2'
node_run alpha systemctl start waggle-agent.service

section "the nix daemon away"
node_run alpha systemctl stop nix-daemon.socket nix-daemon.service
fleet_wait alpha
waggle status --on alpha
check "waggle status still answers" says alpha
waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the nix daemon is named" says 'nix.daemon'
check "nothing was activated" equal "$(word alpha)" none
node_run alpha systemctl start nix-daemon.socket
waggle apply
check "when it is back, everything goes through" equal "$status" 0
check "alpha has its file" equal "$(word alpha)" one

section "a node that does not answer at all"
node_cut_network gamma
describe beta five
describe gamma five
waggle apply --on beta,gamma
check "the exit code says unreachable" equal "$status" 8
check "gamma is unreachable in the table" equal "$(outcome gamma)" unreachable
check "beta is deployed" equal "$(word beta)" five
node_heal_network gamma
waggle apply --on gamma
check "healed, gamma is deployed" equal "$(word gamma)" five
