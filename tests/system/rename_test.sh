#!/usr/bin/env bash
# A deployment gives a node another name, another hive, another port or another address: it goes through, with the node's secrets, and
# what comes after it reaches the node.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

describe() { # NODE WORD [MORE]
    change "$1" <<NIX
{ lib, ... }: {
  imports = [ ( ${3:-{ \}} ) ];
  environment.etc.word.text = "$2";
  deployment.keys.one = { text = "secret of $2"; destDir = "/var/lib/kept"; };
}
NIX
}
edit_fleet() { jq "$1" "$run/hive/fleet.json" >"$run/fleet.json" && mv "$run/fleet.json" "$run/hive/fleet.json"; }
has_secret() { [[ $(node_run "$1" cat /var/lib/kept/one) == "secret of $2" ]]; }
is_called() { node_run "$1" /run/current-system/sw/bin/waggle-agent status | grep -qE "^$2 +$3\$"; }

fleet_start alpha beta
describe alpha one
describe beta one
waggle apply
check "both are deployed" equal "$status" 0

section "the configuration gives a node another name than the hive's"
describe alpha two '{ services.waggle-agent.node = "queen"; }'
waggle apply --on alpha
check "it is deployed under the name that it has" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" two
check "and is called queen" is_called alpha node queen
check "its secret is in place" has_secret alpha two
waggle keys --on alpha
check "and its bundle can be opened" equal "$status" 0
node_reboot alpha
fleet_wait alpha
node_run alpha rm /var/lib/kept/one
node_run alpha systemctl restart waggle-secrets
check "also by the unit that does so at boot" has_secret alpha two
waggle apply --on alpha
check "there is nothing more to do" equal "$(outcome alpha)" unchanged
waggle rollback --on alpha
check "a rollback goes back to the name before" equal "$(word alpha)" one
check "alpha is called as in the hive again" is_called alpha node alpha
waggle apply --on alpha
check "and forth again" equal "$(word alpha)" two

section "a node gets another name in the hive"
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
edit_fleet '.nodes.drone = .nodes.alpha | del(.nodes.alpha)'
sed -i 's/"queen"/"drone"/; s/"two"/"three"/' "$run/hive/changes/drone.nix"
waggle apply --on drone
check "without its former name it is refused" equal "$status" 5
check "which says what gives the name" says 'services\.waggle-agent\.node'
check "and how to go on" shows '--on drone --rename OLD-NODE'
waggle apply --rename queen
check "a former name of several nodes is a usage error" equal "$status" 2
waggle apply --on drone --rename queen
check "with it, it is deployed" equal "$status" 0
check "and runs the new system" equal "$(word alpha)" three
waggle status --on drone
check "from then on it goes by its new name" equal "$status" 0

section "the hive gets another name"
sed -i 's/name = "test"/name = "production"/' "$run/hive/hive.nix"
waggle apply
check "without its former name it is refused" equal "$status" 5
check "which says what gives the name" says 'meta\.name'
waggle apply --rename-hive test
check "with it all are deployed" equal "$status" 0
check "beta belongs to the new one" is_called beta hive production
waggle status
check "from then on they go by it" equal "$status" 0

section "an agent of a hive that Colmena has deployed, which does not tell the module meta.name"
describe alpha foreign '{ services.waggle-agent.hive = "hive"; }'
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
waggle apply --on drone --rename-hive production
check "it belongs to the default hive" is_called alpha hive hive
describe alpha ours
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
waggle apply --on drone
check "the first deployment finds that out" equal "$status" 0
check "and moves it into the hive" is_called alpha hive production

section "another port, and other addresses"
describe beta four '{ services.waggle-agent.port = 9300; deployment.agent.port = [ 9300 9244 ]; }'
waggle apply --on beta
check "the port moves" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" four
describe beta five '{ services.waggle-agent.port = 9300; }'
waggle apply --on beta
check "afterwards the new one is enough" equal "$(word beta)" five
old=$(node_address beta) new=10.83.250.2
node_run beta ip addr add $new/24 dev uplink
ip route add 10.83.250.0/24 via "$old"
edit_fleet ".nodes.beta.address = [ \"$new\", \"$old\" ]"
describe beta six "{ services.waggle-agent = { port = 9300; listen = [ \"$new\" ]; }; }"
waggle apply --on beta
check "the address moves" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" six
edit_fleet ".nodes.beta.address = \"$old\""
waggle status --on beta
check "at the old one nobody answers" equal "$status" 8
edit_fleet ".nodes.beta.address = [ \"$old\", \"$new\" ]"
waggle apply --on beta
check "of several addresses the one that answers counts" equal "$(outcome beta)" unchanged
