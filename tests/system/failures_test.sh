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

section "a local user who writes to the journal in the activation's name"
describe beta forged 'system.activationScripts.slow.text = "echo before the forgery >&2; for i in $(seq 600); do test -e /run/go-on && break; sleep 0.1; done; echo after the forgery >&2; exit 1";'
waggle_in_background apply --on beta
before_the_forgery() { node_run beta journalctl -q -o cat -t waggle-activation | grep -q 'before the forgery'; }
wait_until 60 "the activation is under way" before_the_forgery
id=$(jq -r .deployment.id "$run/nodes/beta/root/var/lib/waggle-agent/state.json")
for words in 'words of somebody else' "waggle-activation $id ends"; do
    node_run beta setpriv --reuid=65534 --regid=65534 --clear-groups logger -t waggle-activation "$words"
done
forged() { node_run beta journalctl -q -o cat -t waggle-activation | grep -q "waggle-activation $id ends"; }
wait_until 20 "the forged words are in the journal" forged
node_run beta touch /run/go-on
waggle_wait
check "the deployment is rolled back" equal "$(outcome beta)" rolled-back
check "what came before the forgery is shown" says 'before the forgery'
check "so is what came after it" says 'after the forgery'
check "the forged words are not shown" no says 'words of somebody else'
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
node_run alpha systemctl stop waggle-agent.socket waggle-agent.service
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

section "ten nodes that do not answer, and a living one behind them"
describe beta six
cp "$run/hive/fleet.json" "$run/fleet.json"
for i in {0..9}; do
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$run/dead$i"
    jq --arg name "a-dead-$i" --arg address "$(node_address gamma)" --rawfile key "$run/dead$i.pub" \
        '.nodes[$name] = {address: $address, hostKey: ($key | rtrimstr("\n") | rtrimstr(" "))}' "$run/hive/fleet.json" >"$run/fleet.json.new"
    mv "$run/fleet.json.new" "$run/hive/fleet.json"
done
node_known_hosts beta >"$run/known_beta" # gamma's key is at the address of all these
known_hosts=$run/known_beta
line_of() { grep -nE -- "$1" "$out" | head -n 1 | cut -d: -f1; }
waggle apply --parallel 1 --on 'a-dead-*,beta'
check "it is deployed" equal "$(word beta)" six
check "the others are unreachable" equal "$(grep -cE '^a-dead-[0-9] +unreachable ' "$out")" 10
check "it got its place before any of them was given up" at_most "$(line_of '^beta +\| deploying')" "$(line_of '^a-dead-[0-9] +\| unreachable')"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=

section "a node that is heard of again"
node_heal_network gamma
waggle apply --on gamma
check "healed, gamma is deployed" equal "$(word gamma)" five
