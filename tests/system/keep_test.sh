#!/usr/bin/env bash
# What a node keeps and what it releases: generations, GC roots, the running specialisation, and systems that another
# machine has deployed.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"

fleet_start alpha

keeping_two() { confirm_timeout=60 describe alpha "$1" '{ services.waggle-agent.keep = 2; }'; }
generations() { node_run alpha sh -c 'cd /nix/var/nix/profiles && ls -d system-*-link | tr -dc "0-9\n" | sort -n | tr "\n" " "'; }
roots=$run/nodes/alpha/root/var/lib/waggle-agent/gcroots
root_of() { find "$roots" -lname "$1" ! -name '*-previous' | head -n 1; }

section "generations"
booted=$(node_system alpha)
for word in one two three four; do
    keeping_two "$word"
    waggle apply
    check "$word is kept" equal "$status" 0
done
check "two generations are left, and the one that was booted" equal "$(generations)" "1 4 5 "
check "the oldest generation is the booted system" equal "$(node_run alpha readlink -f /nix/var/nix/profiles/system-1-link)" "$booted"

section "a system that was pushed and never activated"
keeping_two pushed
pushed=$(toplevel alpha 2>/dev/null)
waggle apply push
check "waggle apply push succeeds" equal "$status" 0
check "a GC root keeps the pushed system" differ "$(root_of "$pushed")" ""
keeping_two five
waggle apply
check "another system is deployed" equal "$status" 0
check "the GC root is still there" differ "$(root_of "$pushed")" ""
touch -h -d '15 days ago' "$(root_of "$pushed")"
keeping_two six
waggle apply
check "the next system is deployed" equal "$status" 0
is_let_go() { [[ -z $(root_of "$pushed") ]]; }
wait_until 20 "the GC root is deleted after 14 days" is_let_go
check "the running system has a GC root" differ "$(root_of "$(node_system alpha)")" ""
node_run alpha nix-store --gc >/dev/null 2>&1
check "the garbage collector deletes the pushed system" no node_run alpha test -e "$pushed"
check "the running system stays" node_run alpha test -x "$(node_system alpha)/bin/switch-to-configuration"
# shellcheck disable=SC2016  # expands on the node
check "the systems of all generations stay" node_run alpha sh -c 'for link in /nix/var/nix/profiles/system-*-link; do [ -e "$link/bin/switch-to-configuration" ] || exit 1; done'
check "the store is sound" store_is_sound alpha

section "a node that already runs the system"
before=$(node_run alpha systemctl show -P ExecMainStartTimestampMonotonic waggle-agent)
waggle apply
check "waggle apply succeeds" equal "$status" 0
check "the outcome is unchanged" equal "$(outcome alpha)" unchanged
check "the agent was not restarted" equal "$(node_run alpha systemctl show -P ExecMainStartTimestampMonotonic waggle-agent)" "$before"

section "specialisations"
loud() { node_run alpha cat /etc/loud 2>/dev/null || echo "the system itself, $(word alpha)"; }
special() { # WORD [MODULE TEXT]
    confirm_timeout=60 describe alpha "$1" "{ specialisation.loud.configuration.environment.etc.loud.text = \"$1!\"; ${2:-} }"
}
special seven 'deployment.specialisation = "loud";'
waggle apply
check "a specialisation is activated" equal "$status" 0
check "alpha runs the specialisation" equal "$(loud)" 'seven!'
check "the profile is the whole system" equal "$(node_profile alpha)" "$(toplevel alpha 2>/dev/null)"
special eight
waggle apply
check "a switch succeeds" equal "$status" 0
check "the running specialisation is kept" equal "$(loud)" 'eight!'
waggle apply
check "a second deployment leaves alpha unchanged" equal "$(outcome alpha)" unchanged
special nine 'deployment.specialisation = "silent";'
waggle apply
check "a specialisation that does not exist is refused before the activation" equal "$status" 7
check "the error names the specialisations that exist" says 'only loud'
special nine 'systemd.services.broken = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; };'
waggle apply
check "a system with a failing unit is rolled back" equal "$(outcome alpha)" rolled-back
check "alpha runs the previous specialisation" equal "$(loud)" 'eight!'
special ten 'deployment.specialisation = "";'
waggle apply
check "an empty deployment.specialisation selects the system itself" equal "$(loud)" "the system itself, ten"

section "a system that another machine has deployed"
confirm_timeout=60 describe alpha eleven '{ deployment.replaceUnknownProfiles = false; }'
waggle apply
check "a system that this machine has built is replaced" equal "$status" 0
foreign=$(node_run alpha sh -c 'mkdir -p /tmp/f/bin && cp /run/current-system/bin/switch-to-configuration /tmp/f/bin/ && nix-store --add /tmp/f')
node_run alpha nix-env --profile /nix/var/nix/profiles/system --set "$foreign"
confirm_timeout=60 describe alpha twelve '{ deployment.replaceUnknownProfiles = false; }'
waggle apply
check "a system that this machine has not built is not replaced" equal "$status" 5
check "the error suggests --force-replace-unknown-profiles" says '--force-replace-unknown-profiles'
check "nothing was activated" equal "$(word alpha)" eleven
waggle apply --force-replace-unknown-profiles
check "with the flag, the system is replaced" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" twelve
