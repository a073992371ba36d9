#!/usr/bin/env bash
# Nobody takes the agent's port while the agent is restarted: in deployments, rollbacks, emergency mode, after a kill, at boot. And the
# port and the addresses change with a deployment, also from an agent that had no socket unit.
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
is_left_alone() { check "nobody else has had the port of $1" no port_was_taken "$1"; }

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
check "the good one is kept" equal "$(word alpha)" two
check "one whose agent does not start is rolled back" equal "$(word beta)" one
good alpha three
bad_mount beta three
waggle apply
check "the good one is kept" equal "$(word alpha)" three
check "one that ends in emergency mode is rolled back" equal "$(word beta)" one
is_left_alone alpha
is_left_alone beta

section "kill and boot"
for _ in 1 2 3 4 5; do
    node_run alpha systemctl kill --signal=KILL waggle-agent.service
    wait_until 20 "the agent of alpha runs again" node_run alpha systemctl -q is-active waggle-agent.service
done
node_reboot alpha
fleet_wait alpha
check "the process that wants the port runs" port_is_wanted alpha
waggle status --on alpha
check "an operator gets through" equal "$status" 0
is_left_alone alpha

section "other addresses"
describe beta four "{ services.waggle-agent.listen = [ \"127.0.0.1\" \"$(node_address beta)\" \"2001:db8::7\" ]; }"
confirm_timeout=60 describe alpha four '{ services.waggle-agent.listen = [ "uplink" ]; }'
sed -i 's/confirmTimeout = 5/confirmTimeout = 60/' "$run/hive/changes/beta.nix"
waggle apply
check "both are deployed" equal "$status" 0
check "beta listens on its address" listens beta "$(node_address beta)"
check "and on one that it does not have yet" listens beta '[2001:db8::7]'
check "alpha listens on its interface" listens alpha '%uplink'
waggle status
check "operators get through" equal "$status" 0
confirm_timeout=60 describe alpha five '{ services.waggle-agent.listen = [ "uplink" ]; }'
waggle apply --on alpha
check "an agent that listens on an interface is deployed" equal "$status" 0
is_left_alone alpha
good alpha six
good beta six
waggle apply
check "both are deployed again" equal "$status" 0
check "every address of alpha is listened on" listens alpha '*'
check "by the socket unit" socket_is_active alpha

section "from an agent without a socket unit, and back to it"
port_taker_stop beta
confirm_timeout=60 describe beta old '{ systemd.sockets.waggle-agent.enable = false; }'
waggle apply --on beta
check "an agent without a socket unit is deployed" equal "$status" 0
check "and holds no socket" no socket_is_active beta
port_taker_start beta
node_run beta systemctl kill --signal=KILL waggle-agent.service
check "the process that wants the port gets that of such an agent" wait_until 20 "it has the port" port_was_taken beta
port_taker_stop beta
fleet_wait beta
good beta new
waggle apply --on beta
check "from which one with a socket unit takes over" equal "$status" 0
check "which holds the port" socket_is_active beta
check "no unit has failed" equal "$(node_run beta systemctl list-units --state=failed --no-legend --plain 'waggle-*')" ""
confirm_timeout=60 describe beta old '{ systemd.sockets.waggle-agent.enable = false; }'
waggle apply --on beta
bad_exits beta new
waggle apply --on beta
check "one that fails is rolled back" equal "$(word beta)" old
check "to the agent without a socket unit" no socket_is_active beta
check "the process that wants the port is still stopped" no node_run beta systemctl is-active -q port-taker
waggle status --on beta
check "which operators reach" equal "$status" 0
