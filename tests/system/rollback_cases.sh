# shellcheck shell=bash
# Systems that a node must roll back on its own, for tests that deploy them once and for tests that do so often. Source
# fleet.sh first.
#
#   good NODE WORD                a system that works; its /etc/word is WORD
#   bad_CASE NODE WORD            a system that does not work: network, exits, hangs, absent, mount, endless
#   rollback_cases                those names;  ${reason[CASE]}: what the trigger reports
#   check_came_back NODE REASON   after the waggle that deployed one: node and trigger agree that "good" runs again

# shellcheck source=SCRIPTDIR/fleet.sh
[[ -v agent_port ]] || source "$(dirname "${BASH_SOURCE[0]}")/fleet.sh"

# A system whose /etc/word is WORD, with the given module. Good systems have as much time as a busy machine needs; bad
# ones roll back after 5 s.
describe() { # NODE WORD [MODULE TEXT]
    change "$1" <<NIX
{ pkgs, lib, ... }: {
  environment.etc.word.text = "$2";
  deployment.rollback.confirmTimeout = ${confirm_timeout:-5};
  deployment.rollback.activationTimeout = ${activation_timeout:-120};
  imports = [ (
    ${3:-{ \}}
  ) ];
}
NIX
}

good() { confirm_timeout=60 describe "$1" "$2"; }

# shellcheck disable=SC2034  # for those who source this
rollback_cases=(network exits hangs absent mount endless)
# What the trigger reports for each. A mount that fails starts emergency mode, which stops nearly everything: what is
# noticed first differs, but the mount is always named.
# shellcheck disable=SC2034
declare -A reason=(
    [network]='not confirmed'
    [exits]='not confirmed'
    [hangs]='not confirmed'
    [absent]='agent could not be started'
    [mount]='data\.mount'
    [endless]='did not end within 4 s'
)

bad_network() {
    describe "$1" "$2" '{ systemd.services.cut = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = { Type = "oneshot"; RemainAfterExit = true;
          ExecStop = "/usr/sbin/nft delete table inet cut"; };
        script = "/usr/sbin/nft add table inet cut; /usr/sbin/nft add chain inet cut in \"{ type filter hook input priority 0; policy drop; }\"";
      }; }'
}

bad_exits() { describe "$1" "$2" '{ systemd.services.waggle-agent.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'; }

bad_hangs() {
    describe "$1" "$2" '{ systemd.services.waggle-agent.serviceConfig = {
        Type = lib.mkForce "simple"; ExecStart = lib.mkForce "/bin/sleep infinity"; }; }'
}

# A system without the unit is refused before it is activated (operators_test.sh); this one loses it.
bad_absent() { describe "$1" "$2" '{ system.activationScripts.lose = "rm /etc/systemd/system/waggle-agent.service"; }'; }

bad_mount() {
    describe "$1" "$2" '{ systemd.mounts = [ {
        what = "/dev/does-not-exist"; where = "/data"; type = "ext4"; requiredBy = [ "local-fs.target" ]; } ]; }'
}

bad_endless() { activation_timeout=4 describe "$1" "$2" '{ system.activationScripts.hang = "sleep 1000"; }'; }

check_came_back() { # NODE REASON
    check "the exit code says rolled back" equal "$status" 6
    check "$1: the table says rolled-back" equal "$(outcome "$1")" rolled-back
    check "$1: the output gives the reason" says "$2"
    check "$1 runs the old system" equal "$(word "$1")" good
    check "$1 boots the old system" equal "$(node_profile "$1")" "$(node_system "$1")"
    wait_until 30 "no unit of the deployment is left on $1" no_unit_is_left "$1"
    wait_until 30 "the agent of $1 listens again" agent_listens "$1"
}
