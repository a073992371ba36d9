#!/usr/bin/env bash
# Which failures roll a deployment back, and which do not; what the report shows of them; another process's switch; a
# state file that cannot be read.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

describe() { # NODE WORD [MODULE]
    change "$1" <<NIX
{ pkgs, lib, ... }: { environment.etc.word.text = "$2"; imports = [ ( ${3:-{ \}} ) ]; }
NIX
}
service() { # NAME "MORE": wanted by multi-user.target
    echo "systemd.services.$1 = { wantedBy = [ \"multi-user.target\" ]; $2 };"
}
fails='serviceConfig.Type = "oneshot"; script = "exit 3";'

fleet_start alpha beta gamma
describe alpha one; describe beta one; describe gamma one
waggle apply
check "three nodes are deployed" equal "$status" 0

section "failures that the switch did not cause"
describe alpha two "{ $(service container 'script = "/usr/bin/systemd-run -q --unit=healthcheck /bin/false; exec sleep infinity";') }"
describe beta two "{ $(service periodic 'script = "echo done"; serviceConfig = { Restart = "always"; RestartSec = 60; };') }"
describe gamma two "{ $(service backup-db "$fails") deployment.rollback.ignoreUnits = [ \"backup-*\" ]; }"
waggle apply
check "failures that the switch did not cause roll nothing back" equal "$status" 0
check "alpha, where a transient unit failed, runs the new system" equal "$(word alpha)" two
check "the output says that the transient unit is not the deployment's" says 'alpha .*healthcheck.service, which is not this deployment'
check "beta, where a unit with Restart=always exited with success, runs the new system" equal "$(word beta)" two
check "gamma, where an ignored unit failed, runs the new system" equal "$(word gamma)" two

section "a unit that failed before, and one that the deployment does not touch"
describe alpha three
node_run beta systemd-run -q --unit=job --on-active=0 /bin/false
describe beta three "{ $(service periodic 'script = "echo done"; serviceConfig = { Restart = "always"; RestartSec = 60; };') }"
describe gamma three "{ $(service backup-db "$fails") deployment.rollback.ignoreUnits = [ ]; }"
waggle apply
check "neither failure rolls anything back" equal "$status" 0
check "gamma, where the unit failed before, runs the new system" equal "$(word gamma)" three

section "failures that the switch caused"
describe alpha four "{ $(service web 'serviceConfig.Type = "oneshot"; script = "echo the certificate has expired >&2; exit 3";') }"
describe beta four "{ $(service late 'script = "sleep 2; exit 3";') }"
keep='deployment.rollback.onFailedUnits = "keep";'
describe gamma four "{ $(service flawed "$fails") $keep }"
waggle apply
check "the exit code says rolled back" equal "$status" 6
check "alpha, where a unit does not start, runs the old system" equal "$(word alpha)" three
sed -n '/^alpha: rolled-back/,/^[a-z]*: /p' "$out" >"$run/report"
check "the report has the unit's own output" grep -q 'certificate has expired' "$run/report"
check "beta, where a unit dies soon after the start, runs the old system" equal "$(word beta)" three
check "gamma, which keeps failed units, has the outcome ok-units-failed" equal "$(outcome gamma)" ok-units-failed
describe gamma five "{ $(service flawed-too "$fails") $keep }"
waggle apply --reboot --on gamma
check "with --reboot, gamma also has the outcome ok-units-failed and exit code 4" equal "$status $(outcome gamma)" "4 ok-units-failed"
check "gamma keeps the new system" equal "$(word gamma)" five

section "another process switches the node"
node_run alpha sh -c 'mkdir -p /run/nixos; systemd-run -q --unit=rebuild sh -c "exec 9>/run/nixos/switch-to-configuration.lock; flock 9; exec sleep 600"'
holds_lock() { ! node_run alpha flock -n /run/nixos/switch-to-configuration.lock true; }
wait_until 20 "another process has the lock" holds_lock
describe alpha five
waggle apply --on alpha
check "a deployment is refused while another process switches the node" equal "$status" 5
check "the refusal names the process that is switching" says 'process [0-9]+ \(sleep\) is switching'
node_run alpha systemctl stop rebuild
boot=$(node_boot_id alpha)
describe alpha six '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot";
  script = "/usr/bin/systemd-run -q --unit=rebuild sh -c \"exec 9>/run/nixos/switch-to-configuration.lock; flock 9; exec sleep 8\"; exit 3"; }; }'
waggle apply --on alpha
check "the exit code says rolled back" equal "$status" 6
check "the rollback reports the process that it waits for" says 'waiting for process [0-9]+ \(sleep\)'
check "alpha was not rebooted" equal "$(node_boot_id alpha)" "$boot"
check "alpha runs the old system" equal "$(word alpha)" three

section "a state file at its limits, and one that cannot be read"
many=$(for i in $(seq 120); do echo "systemd.services.\"$(printf 'x%.0s' {1..170})$i\" = broken;"; done)
describe beta six "let broken = { wantedBy = [ \"multi-user.target\" ]; serviceConfig.ExecStart = \"/bin/false\"; }; in { $many }"
waggle apply --on beta
check "a deployment with 120 failing units with long names is rolled back" equal "$status $(word beta)" "6 three"
check "the output counts the units that it does not name" says 'and 110 more'
# The new agent does not start, so no trigger can confirm; the state file is damaged before the timer expires.
describe beta seven '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; deployment.rollback.confirmTimeout = 10; }'
waggle_in_background apply --on beta
runs_seven() { [[ $(word beta) == seven && $(node_run beta systemctl is-active waggle-confirm.timer) == active ]]; }
wait_until 60 "beta waits for its confirmation" runs_seven
node_run beta sh -c 'head -c 300 /var/lib/waggle-agent/state.json > /var/lib/waggle-agent/s; mv /var/lib/waggle-agent/s /var/lib/waggle-agent/state.json'
waggle_wait
old_runs() { [[ $(word beta) == three ]]; }
check "a node with an unreadable state file rolls back" wait_until 60 "beta runs the old system" old_runs
fleet_wait beta
describe beta eight
waggle apply --on beta
check "the node then refuses deployments" equal "$status" 5
waggle apply --on beta --reset-state
check "with --reset-state, the deployment succeeds" equal "$status $(word beta)" "0 eight"
