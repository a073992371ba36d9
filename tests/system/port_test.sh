#!/usr/bin/env bash
# No other process gets the agent's port while the agent restarts: in deployments, rollbacks, emergency mode, after a
# kill, at boot. Also deployments that change the port and the addresses, and deployments from an agent without a
# socket unit.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"
# shellcheck source=SCRIPTDIR/port_taker.sh
source "$here/port_taker.sh"

socket_is_active() { [[ $(node_run "$1" systemctl is-active waggle-agent.socket) == active ]]; }
listens() { # NODE ADDRESS-OR-%INTERFACE: as ss(8) names it
    node_run "$1" ss -Htln "sport = :$agent_port" | awk '{ print $4 }' | grep -qF -- "$2:$agent_port"
}
is_left_alone() { check "no other process has had the port of $1" no port_was_taken "$1"; }

fleet_start alpha beta
port_taker_install alpha beta
port_taker_start alpha beta
check "the socket unit holds the port" socket_is_active alpha

section "deployments and rollbacks"
good alpha one
good beta one
waggle apply
check "a deployment restarts the agent" equal "$status" 0
good alpha two
bad_exits beta two
waggle apply
check "alpha keeps the good system" equal "$(word alpha)" two
check "a system whose agent does not start is rolled back" equal "$(word beta)" one
good alpha three
bad_mount beta three
waggle apply
check "alpha keeps the good system" equal "$(word alpha)" three
check "a system that ends in emergency mode is rolled back" equal "$(word beta)" one
is_left_alone alpha
is_left_alone beta

section "kills of the agent, and a reboot"
for _ in 1 2 3 4 5; do
    node_run alpha systemctl kill --signal=KILL waggle-agent.service
    wait_until 20 "the agent of alpha runs again" node_run alpha systemctl -q is-active waggle-agent.service
done
node_reboot alpha
fleet_wait alpha
check "the port taker runs" port_is_wanted alpha
waggle status --on alpha
check "waggle status succeeds" equal "$status" 0
is_left_alone alpha

section "other addresses"
describe beta four "{ services.waggle-agent.listen = [ \"127.0.0.1\" \"$(node_address beta)\" \"2001:db8::7\" ]; }"
confirm_timeout=60 describe alpha four '{ services.waggle-agent.listen = [ "uplink" ]; }'
sed -i 's/confirmTimeout = 5/confirmTimeout = 60/' "$run/hive/changes/beta.nix"
waggle apply
check "both nodes are deployed" equal "$status" 0
check "beta listens on its address" listens beta "$(node_address beta)"
check "beta listens on an address that it does not have yet" listens beta '[2001:db8::7]'
check "alpha listens on its interface" listens alpha '%uplink'
waggle status
check "waggle status succeeds on both nodes" equal "$status" 0
confirm_timeout=60 describe alpha five '{ services.waggle-agent.listen = [ "uplink" ]; }'
waggle apply --on alpha
check "a node whose agent listens on an interface is deployed" equal "$status" 0
is_left_alone alpha
good alpha six
good beta six
waggle apply
check "both nodes are deployed again" equal "$status" 0
check "alpha listens on every address" listens alpha '*'
check "the socket unit of alpha holds the port" socket_is_active alpha

section "from an agent without a socket unit, and back to it"
port_taker_stop beta
confirm_timeout=60 describe beta old '{ systemd.sockets.waggle-agent.enable = false; }'
waggle apply --on beta
check "an agent without a socket unit is deployed" equal "$status" 0
check "no socket unit holds the port of beta" no socket_is_active beta
port_taker_start beta
node_run beta systemctl kill --signal=KILL waggle-agent.service
check "the port taker gets the port of an agent without a socket unit" wait_until 20 "the port taker has the port of beta" port_was_taken beta
port_taker_stop beta
fleet_wait beta
good beta new
waggle apply --on beta
check "an agent with a socket unit takes over" equal "$status" 0
check "the socket unit of beta holds the port" socket_is_active beta
check "no unit has failed" equal "$(node_run beta systemctl list-units --state=failed --no-legend --plain 'waggle-*')" ""
confirm_timeout=60 describe beta old '{ systemd.sockets.waggle-agent.enable = false; }'
waggle apply --on beta
bad_exits beta new
waggle apply --on beta
check "a system that fails is rolled back" equal "$(word beta)" old
check "no socket unit holds the port of beta after the rollback" no socket_is_active beta
check "the port taker is still stopped" no node_run beta systemctl is-active -q port-taker
waggle status --on beta
check "waggle status succeeds on beta" equal "$status" 0
