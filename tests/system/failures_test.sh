#!/usr/bin/env bash
# Some nodes fail, each in its own way; the others are deployed all the same, and the table and exit code report both.
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

section "one node down, one node broken, one node healthy"
node_poweroff alpha
describe alpha one
describe beta one 'system.activationScripts.broken.text = "echo this snippet is broken >&2; exit 1";'
describe gamma one
before=$(node_profile beta)
waggle apply
check "gamma is deployed" equal "$(word gamma)" one
check "the table says that gamma is ok" equal "$(outcome gamma)" ok
check "the table says that alpha is unreachable" equal "$(outcome alpha)" unreachable
check "the table says that beta was rolled back" equal "$(outcome beta)" rolled-back
check "waggle shows beta's log" says 'this snippet is broken'
check "beta's profile is unchanged" equal "$(node_profile beta)" "$before"
check "beta runs the old system" equal "$(node_system beta)" "$before"
check "beta has the old system's files" equal "$(word beta)" none
check "the exit code is that of the worst outcome" equal "$status" 6

section "the broken node is repaired"
describe beta two
waggle apply --on beta
check "the deployment succeeds" equal "$status" 0
check "beta has the new file" equal "$(word beta)" two

section "a pre-switch check that fails"
describe beta three 'system.preSwitchChecks.never = "echo not on a Sunday >&2; exit 1";'
waggle apply --on beta
check "the exit code says refused" equal "$status" 5
check "waggle shows the check's output" says 'not on a sunday'
check "nothing was activated" equal "$(word beta)" two
describe beta two

section "a unit that fails to start"
describe beta four 'systemd.services.web = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "echo no web today >&2; exit 3"; };'
before=$(node_profile beta)
waggle apply --on beta
check "the exit code says rolled back" equal "$status" 6
check "the table says rolled-back" equal "$(outcome beta)" rolled-back
check "the output names the unit" says 'web.service'
check "beta runs the old system" equal "$(word beta)" two
check "beta boots the old system" equal "$(node_profile beta)" "$before"
describe beta two

section "a local user writes to the journal in the activation's name"
describe beta forged 'system.activationScripts.slow.text = "echo before the forgery >&2; for i in $(seq 600); do test -e /run/go-on && break; sleep 0.1; done; echo after the forgery >&2; exit 1";'
waggle_in_background apply --on beta
before_the_forgery() { node_run beta journalctl -q -o cat -t waggle-activation | grep -q 'before the forgery'; }
wait_until 60 "the activation is under way" before_the_forgery
id=$(jq -r .deployment.id "$run/nodes/beta/root/var/lib/waggle-agent/state.json")
for words in 'words of somebody else' "waggle-activation $id ends"; do
    node_run beta setpriv --reuid=65534 --regid=65534 --clear-groups logger -t waggle-activation "$words"
done
forged() { node_run beta journalctl -q -o cat -t waggle-activation | grep -q "waggle-activation $id ends"; }
wait_until 20 "the forged lines are in the journal" forged
node_run beta touch /run/go-on
waggle_wait
check "the deployment is rolled back" equal "$(outcome beta)" rolled-back
check "the output has what came before the forgery" says 'before the forgery'
check "the output has what came after the forgery" says 'after the forgery'
check "the output does not have the forged lines" no says 'words of somebody else'
describe beta two

section "a system without the agent"
describe gamma two 'services.waggle-agent.enable = lib.mkForce false;'
waggle apply --on gamma
check "the exit code says refused" equal "$status" 5
check "the error suggests --remove-agent" says '--remove-agent'
check "gamma still runs the previous system" equal "$(word gamma)" one
describe gamma one

section "the agent's port is closed"
node_boot alpha
fleet_wait alpha
node_run alpha systemctl stop waggle-agent.socket waggle-agent.service
waggle apply --on alpha
check "the exit code says unreachable" equal "$status" 8
check "the table says unreachable" equal "$(outcome alpha)" unreachable
check "the error gives port and address" says '9244.*10\.83\.1\.2'
node_run alpha systemctl start waggle-agent.service

section "the Nix daemon is stopped"
node_run alpha systemctl stop nix-daemon.socket nix-daemon.service
fleet_wait alpha
waggle status --on alpha
check "waggle status still answers" says alpha
waggle apply --on alpha
check "the exit code says refused" equal "$status" 5
check "the error names the Nix daemon" says 'nix.daemon'
check "nothing was activated" equal "$(word alpha)" none
node_run alpha systemctl start nix-daemon.socket
waggle apply
check "the deployment succeeds once the Nix daemon is back" equal "$status" 0
check "alpha has the new file" equal "$(word alpha)" one

section "a node that does not answer at all"
node_cut_network gamma
describe beta five
describe gamma five
waggle apply --on beta,gamma
check "the exit code says unreachable" equal "$status" 8
check "the table says that gamma is unreachable" equal "$(outcome gamma)" unreachable
check "beta is deployed" equal "$(word beta)" five

section "ten nodes that do not answer, and behind them one that does"
describe beta six
cp "$run/hive/fleet.json" "$run/fleet.json"
for i in {0..9}; do
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$run/dead$i"
    jq --arg name "a-dead-$i" --arg address "$(node_address gamma)" --rawfile key "$run/dead$i.pub" \
        '.nodes[$name] = {address: $address, hostKey: ($key | rtrimstr("\n") | rtrimstr(" "))}' "$run/hive/fleet.json" >"$run/fleet.json.new"
    mv "$run/fleet.json.new" "$run/hive/fleet.json"
done
node_known_hosts beta >"$run/known_beta" # without gamma, whose address all the dead nodes have
known_hosts=$run/known_beta
line_of() { grep -nE -- "$1" "$out" | head -n 1 | cut -d: -f1; }
waggle apply --parallel 1 --on 'a-dead-*,beta'
check "beta is deployed" equal "$(word beta)" six
check "the ten others are unreachable" equal "$(grep -cE '^a-dead-[0-9] +unreachable ' "$out")" 10
check "beta's deployment starts before any of them is given up" at_most "$(line_of '^beta +\| deploying')" "$(line_of '^a-dead-[0-9] +\| unreachable')"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=

section "a node that answers again"
node_heal_network gamma
waggle apply --on gamma
check "gamma is deployed once its network is back" equal "$(word gamma)" five
