#!/usr/bin/env bash
# Which failures roll a deployment back, and which do not; what the report shows of them; another process's switch; a record that
# cannot be read.
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

section "failures that are not the switch's"
describe alpha two "{ $(service container 'script = "/usr/bin/systemd-run -q --unit=healthcheck /bin/false; exec sleep infinity";') }"
describe beta two "{ $(service periodic 'script = "echo done"; serviceConfig = { Restart = "always"; RestartSec = 60; };') }"
describe gamma two "{ $(service backup-db "$fails") deployment.rollback.ignoreUnits = [ \"backup-*\" ]; }"
waggle apply
check "are no reason to roll back" equal "$status" 0
check "a transient unit's" equal "$(word alpha)" two
check "which is named" says 'alpha .*healthcheck.service, which is not this deployment'
check "a unit with Restart=always that ended well" equal "$(word beta)" two
check "one that is to be ignored" equal "$(word gamma)" two

section "a unit that failed before, and one that another deployment did not touch"
describe alpha three
node_run beta systemd-run -q --unit=job --on-active=0 /bin/false
describe beta three "{ $(service periodic 'script = "echo done"; serviceConfig = { Restart = "always"; RestartSec = 60; };') }"
describe gamma three "{ $(service backup-db "$fails") deployment.rollback.ignoreUnits = [ ]; }"
waggle apply
check "are no reason, either" equal "$status" 0
check "the unit that failed before" equal "$(word gamma)" three

section "failures that are the switch's"
describe alpha four "{ $(service web 'serviceConfig.Type = "oneshot"; script = "echo the certificate has expired >&2; exit 3";') }"
describe beta four "{ $(service late 'script = "sleep 2; exit 3";') }"
keep='deployment.rollback.onFailedUnits = "keep";'
describe gamma four "{ $(service flawed "$fails") $keep }"
waggle apply
check "roll back" equal "$status" 6
check "a unit that does not start" equal "$(word alpha)" three
sed -n '/^alpha: rolled-back/,/^[a-z]*: /p' "$out" >"$run/report"
check "its own words are in the report" grep -q 'certificate has expired' "$run/report"
check "a unit that dies soon after" equal "$(word beta)" three
check "and a hive that keeps them has its own outcome" equal "$(outcome gamma)" ok-units-failed
describe gamma five "{ $(service flawed-too "$fails") $keep }"
waggle apply --reboot --on gamma
check "which is the same after a reboot" equal "$status $(outcome gamma)" "4 ok-units-failed"
check "and the system is kept" equal "$(word gamma)" five

section "another process's switch"
node_run alpha sh -c 'mkdir -p /run/nixos; systemd-run -q --unit=rebuild sh -c "exec 9>/run/nixos/switch-to-configuration.lock; flock 9; exec sleep 600"'
holds_lock() { ! node_run alpha flock -n /run/nixos/switch-to-configuration.lock true; }
wait_until 20 "another process has the lock" holds_lock
describe alpha five
waggle apply --on alpha
check "a deployment is refused while it runs" equal "$status" 5
check "as busy, with its name" says 'process [0-9]+ \(sleep\) is switching'
node_run alpha systemctl stop rebuild
boot=$(node_boot_id alpha)
describe alpha six '{ systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot";
  script = "/usr/bin/systemd-run -q --unit=rebuild sh -c \"exec 9>/run/nixos/switch-to-configuration.lock; flock 9; exec sleep 8\"; exit 3"; }; }'
waggle apply --on alpha
check "a rollback waits for it" equal "$status" 6
check "and says so" says 'waiting for process [0-9]+ \(sleep\)'
check "without a reboot" equal "$(node_boot_id alpha)" "$boot"
check "and the old system runs" equal "$(word alpha)" three

section "a record at its bounds, and one that cannot be read"
many=$(for i in $(seq 120); do echo "systemd.services.\"$(printf 'x%.0s' {1..170})$i\" = broken;"; done)
describe beta six "let broken = { wantedBy = [ \"multi-user.target\" ]; serviceConfig.ExecStart = \"/bin/false\"; }; in { $many }"
waggle apply --on beta
check "120 units with long names that fail are rolled back" equal "$status $(word beta)" "6 three"
check "and counted" says 'and 110 more'
# Its agent does not start, so nobody confirms; the record is spoiled before the timer says so.
describe beta seven '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; deployment.rollback.confirmTimeout = 10; }'
waggle_in_background apply --on beta
runs_seven() { [[ $(word beta) == seven && $(node_run beta systemctl is-active waggle-confirm.timer) == active ]]; }
wait_until 60 "beta waits for its confirmation" runs_seven
node_run beta sh -c 'head -c 300 /var/lib/waggle-agent/state.json > /var/lib/waggle-agent/s; mv /var/lib/waggle-agent/s /var/lib/waggle-agent/state.json'
waggle_wait
old_runs() { [[ $(word beta) == three ]]; }
check "a node whose record cannot be read rolls back" wait_until 60 "the old system runs" old_runs
fleet_wait beta
describe beta eight
waggle apply --on beta
check "and then admits nothing" equal "$status" 5
waggle apply --on beta --reset-state
check "until its record is reset" equal "$status $(word beta)" "0 eight"
