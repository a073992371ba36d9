#!/usr/bin/env bash
# Deployments that change a node's name, hive, port or address: they succeed, also with the node's secrets, and the
# deployments after them reach the node.
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
check "both nodes are deployed" equal "$status" 0

section "the configuration gives a node a name other than the hive's"
describe alpha two '{ services.waggle-agent.node = "queen"; }'
waggle apply --on alpha
check "the node is deployed under its current name" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" two
check "alpha is called queen" is_called alpha node queen
check "alpha's secret is in place" has_secret alpha two
waggle keys --on alpha
check "waggle keys succeeds on alpha" equal "$status" 0
node_reboot alpha
fleet_wait alpha
node_run alpha rm /var/lib/kept/one
node_run alpha systemctl restart waggle-secrets
check "the secrets' boot unit restores the secret" has_secret alpha two
waggle apply --on alpha
check "the next deployment leaves alpha unchanged" equal "$(outcome alpha)" unchanged
waggle rollback --on alpha
check "a rollback restores the previous system" equal "$(word alpha)" one
check "alpha is called alpha again" is_called alpha node alpha
waggle apply --on alpha
check "the next deployment brings the new system back" equal "$(word alpha)" two

section "a node gets another name in the hive"
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
edit_fleet '.nodes.drone = .nodes.alpha | del(.nodes.alpha)'
sed -i 's/"queen"/"drone"/; s/"two"/"three"/' "$run/hive/changes/drone.nix"
waggle apply --on drone
check "without the node's former name, the deployment is refused" equal "$status" 5
check "the refusal names the option that sets the name" says 'services\.waggle-agent\.node'
check "the refusal shows the flags to use" shows '--on drone --rename OLD-NODE'
waggle apply --rename queen
check "--rename for several nodes is a usage error" equal "$status" 2
waggle apply --on drone --rename queen
check "with the former name, the deployment succeeds" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" three
waggle status --on drone
check "waggle status succeeds under the new name" equal "$status" 0

section "the hive gets another name"
sed -i 's/name = "test"/name = "production"/' "$run/hive/hive.nix"
waggle apply
check "without the hive's former name, the deployment is refused" equal "$status" 5
check "the refusal names the option that sets the name" says 'meta\.name'
waggle apply --rename-hive test
check "with the hive's former name, the deployment succeeds" equal "$status" 0
check "beta belongs to the renamed hive" is_called beta hive production
waggle status
check "waggle status succeeds under the hive's new name" equal "$status" 0

section "an agent that Colmena has deployed, which does not pass meta.name to the module"
describe alpha foreign '{ services.waggle-agent.hive = "hive"; }'
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
waggle apply --on drone --rename-hive production
check "alpha belongs to the default hive" is_called alpha hive hive
describe alpha ours
mv "$run/hive/changes/alpha.nix" "$run/hive/changes/drone.nix"
waggle apply --on drone
check "the first deployment succeeds" equal "$status" 0
check "the deployment moves alpha into the hive" is_called alpha hive production

section "another port, and other addresses"
describe beta four '{ services.waggle-agent.port = 9300; deployment.agent.port = [ 9300 9244 ]; }'
waggle apply --on beta
check "a deployment that changes the port succeeds" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" four
describe beta five '{ services.waggle-agent.port = 9300; }'
waggle apply --on beta
check "the next deployment needs only the new port" equal "$(word beta)" five
old=$(node_address beta) new=10.83.250.2
node_run beta ip addr add $new/24 dev uplink
ip route add 10.83.250.0/24 via "$old"
edit_fleet ".nodes.beta.address = [ \"$new\", \"$old\" ]"
describe beta six "{ services.waggle-agent = { port = 9300; listen = [ \"$new\" ]; }; }"
waggle apply --on beta
check "a deployment that changes the address succeeds" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" six
edit_fleet ".nodes.beta.address = \"$old\""
waggle status --on beta
check "no agent answers at the old address" equal "$status" 8
edit_fleet ".nodes.beta.address = [ \"$old\", \"$new\" ]"
waggle apply --on beta
check "of several addresses, waggle uses the one that answers" equal "$(outcome beta)" unchanged
