#!/usr/bin/env bash
# A hive on three booted nodes: the first and the second deployment, the status, and what each goal leaves behind, also
# after a reboot.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta gamma

# 4 MB of incompressible data, the same in every system that has it, and a word that tells systems apart.
describe() { # NODE WORD
    change "$1" <<NIX
{ pkgs, ... }: {
  environment.etc.ballast.source = pkgs.runCommand "ballast" { } "head -c 4000000 /dev/urandom > \$out";
  environment.etc.word.text = "$2";
  systemd.services.web = { wantedBy = [ "multi-user.target" ]; script = "echo serving $2; exec sleep infinity"; };
}
NIX
}

section "the first deployment, to all three at once"
for name in alpha beta gamma; do describe "$name" one; done
first=$(toplevel alpha 2>/dev/null)
before=$(bytes_to alpha)
waggle apply
check "waggle apply succeeds" equal "$status" 0
for name in alpha beta gamma; do
    check "$name: the table says ok" equal "$(outcome "$name")" ok
    check "$name has the new file" equal "$(word "$name")" one
    check "$name runs the new service" node_run "$name" systemctl is-active -q web
    check "$name boots the new system from now on" equal "$(node_profile "$name")" "$(node_system "$name")"
done
check "alpha runs the system that the hive describes" equal "$(node_system alpha)" "$first"
check "the ballast is sent" at_least $(($(bytes_to alpha) - before)) 4000000
check "the store of alpha is sound" store_is_sound alpha

section "the second deployment sends only what changed"
describe alpha two
second=$(toplevel alpha 2>/dev/null)
before=$(bytes_to alpha) before_beta=$(bytes_to beta)
waggle apply
check "waggle apply succeeds" equal "$status" 0
check "alpha has the new word" equal "$(word alpha)" two
check "alpha's service was restarted" node_run alpha sh -c 'journalctl -q -b -u web | grep -q "serving two"'
check "the ballast is not sent again" at_most $(($(bytes_to alpha) - before)) 400000
check "the table says that beta is unchanged" equal "$(outcome beta)" unchanged
check "almost nothing is sent to beta" at_most $(($(bytes_to beta) - before_beta)) 100000

section "status"
waggle status
check "waggle status succeeds" equal "$status" 0
for name in alpha beta gamma; do check "the status lists $name" says "$name"; done
check "the status shows alpha's current system" says "$(basename "$second" | cut -c1-12)"

section "only the nodes that --on selects"
for name in alpha beta gamma; do describe "$name" three; done
waggle apply --on 'be*'
check "waggle apply --on succeeds" equal "$status" 0
check "beta has the new word" equal "$(word beta)" three
check "gamma is unchanged" equal "$(word gamma)" one
waggle apply --on nobody
check "a node that is not in the hive is a usage error" equal "$status" 2

section "goal push: the closure and nothing else"
system=$(toplevel gamma 2>/dev/null)
waggle apply push --on gamma
check "waggle apply push succeeds" equal "$status" 0
check "gamma has the closure" node_run gamma nix-store --store daemon --check-validity "$system"
check "gamma still runs the previous system" equal "$(word gamma)" one

section "goal dry-activate: prints what would happen"
waggle apply dry-activate --on gamma
check "waggle apply dry-activate succeeds" equal "$status" 0
check "waggle shows the output of switch-to-configuration" says 'would (re)?(start|stop|activate)'
check "the output has a heading for gamma" grep -qx 'gamma:' "$out"
check "gamma still runs the previous system" equal "$(word gamma)" one

section "the status shows failed units"
node_run gamma systemd-run -q --unit=ill false
is_ill() { [[ $(node_run gamma systemctl is-failed ill) == failed ]]; }
wait_until 20 "a unit has failed" is_ill
waggle status --on gamma,beta
check "waggle status succeeds" equal "$status" 0
check "the status names gamma's failed unit below the table" grep -qzP '\n\ngamma:\n    failed units: ill.service\n' "$out"
node_run gamma systemctl reset-failed ill

section "--install-bootloader, with a system that already runs"
waggle apply --on beta
check "without the flag, beta is unchanged" equal "$(outcome beta)" unchanged
waggle apply --install-bootloader --on beta
check "with the flag, the outcome is ok" equal "$(outcome beta)" ok
check "the boot loader is installed" says 'installing the stand-in boot loader'
waggle apply test --install-bootloader --on beta
check "with goal test, the flag is a usage error" equal "$status" 2

section "goal test: until the next boot"
old=$(node_profile gamma)
waggle apply test --on gamma
check "waggle apply test succeeds" equal "$status" 0
check "gamma runs the new system" equal "$(node_system gamma)" "$system"
check "the profile is unchanged" equal "$(node_profile gamma)" "$old"
node_reboot gamma
check "after a reboot the old system is back" equal "$(node_system gamma)" "$old"
check "gamma has the old system's files" equal "$(word gamma)" one
fleet_wait gamma

section "goal boot: from the next boot on"
waggle apply boot --on gamma
check "waggle apply boot succeeds" equal "$status" 0
check "gamma still runs the old system" equal "$(word gamma)" one
check "the profile is the old system until the new one is committed" equal "$(node_profile gamma)" "$old"
node_reboot gamma
check "after a reboot gamma runs the new system" equal "$(node_system gamma)" "$system"
check "gamma has the new system's files" equal "$(word gamma)" three
fleet_wait gamma
is_default() { [[ $(node_profile "$1") == "$(node_system "$1")" ]]; }
check "gamma boots the new system from now on" wait_until 30 "gamma commits the new system" is_default gamma

section "goal switch survives a power cut"
waggle apply --on alpha
check "waggle apply succeeds" equal "$status" 0
node_kill alpha
node_boot alpha
check "alpha boots the new system" equal "$(word alpha)" three
check "alpha runs the new system's service" node_run alpha systemctl is-active -q web
fleet_wait alpha
waggle apply
check "the next deployment leaves alpha unchanged" equal "$(outcome alpha)" unchanged

section "over IPv6, to an agent that listens on a named interface"
if node_run beta ip -6 addr show dev uplink | grep -q fd83:2::2; then
    jq '.nodes.beta.address = "fd83:2::2"' "$run/hive/fleet.json" >"$run/fleet.json"
    mv "$run/fleet.json" "$run/hive/fleet.json"
    echo "fd83:2::2 $(node_host_key beta)" >>"$run/known_hosts"
    change beta <<<'{ environment.etc.word.text = "four"; services.waggle-agent.listen = [ "uplink" ]; }'
    waggle apply --on beta
    check "waggle apply succeeds" equal "$status" 0
    check "beta has the new word" equal "$(word beta)" four
    wait_until 20 "the agent no longer listens on all addresses" no node_run beta sh -c 'ss -tln | grep -q "[*]:9244"'
    waggle status --on beta
    check "waggle status succeeds over IPv6" equal "$status" 0
    check "the agent also listens on IPv4" agent_listens beta
    check "the agent does not listen on the loopback interface" no node_run beta bash -c ': </dev/tcp/127.0.0.1/9244' 2>/dev/null
else
    echo "SKIP  this machine has no IPv6"
fi
