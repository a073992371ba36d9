#!/usr/bin/env bash
# The way to a node as ssh knows it: names and aliases of its configuration, a closed port reached by `ssh -W` through a real
# sshd, also behind a jump host; keys in an ssh-agent; waggle whoami.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha beta
describe() { change "$1" <<<"{ environment.etc.word.text = \"$2\"; }"; }

ssh-keygen -q -t ed25519 -N '' -C login -f "$run/login"
cp "$run/login.pub" "$run/authorized"
export SSH_CONFIG_FILE=$run/ssh_config
{
    echo "Host *"
    echo "  UserKnownHostsFile $run/known_hosts"
    echo "  IdentityFile $run/login"
    echo "  IdentitiesOnly yes"
    echo "  User root"
} >"$run/base_config"
cp "$run/base_config" "$SSH_CONFIG_FILE"

# The node's SSH server, in its network: the nodes themselves have none.
declare -A sshd_pid
start_sshd() { # NODE [SETTING]
    mkdir -p /run/sshd
    cat >"$run/sshd-$1" <<CONFIG
ListenAddress $(node_address "$1")
HostKey $run/nodes/$1/root/etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile $run/authorized
StrictModes no
UsePAM no
PidFile none
${2:-}
CONFIG
    ip netns exec "waggle-$1" /usr/sbin/sshd -D -e -f "$run/sshd-$1" 2>"$run/sshd-$1.log" &
    sshd_pid[$1]=$!
    wait_until 20 "sshd of $1 listens" sshd_listens "$1"
}
restart_sshd() { kill "${sshd_pid[$1]}" && wait "${sshd_pid[$1]}" || true; start_sshd "$@"; }
sshd_listens() { (: <>"/dev/tcp/$(node_address "$1")/22") 2>/dev/null; }
close_port() { # NODE: from outside; the node reaches itself
    ip netns exec "waggle-$1" nft -f - <<RULES
table inet waggle_closed {
    chain input { type filter hook input priority 0; iifname "uplink" tcp dport $agent_port reject with tcp reset; }
}
RULES
}
start_sshd alpha
start_sshd beta

section "a name and an alias of ssh's configuration"
jq '.nodes.alpha.address = "attic"' "$run/hive/fleet.json" >"$run/fleet.json" && mv "$run/fleet.json" "$run/hive/fleet.json"
printf 'Host attic\n  HostName %s\n  HostKeyAlias Queen\n' "$(node_address alpha)" | cat - "$run/base_config" >"$SSH_CONFIG_FILE"
echo "queen $(node_host_key alpha)" >"$run/aliases"
describe alpha one
known_hosts=$run/aliases waggle apply --on alpha
check "the node is found and known" equal "$status" 0
check "it is deployed" equal "$(word alpha)" one
waggle status --on alpha
check "without the alias in known_hosts it is unknown" equal "$status" 5
check "the line to add is whole, under the alias" shows "queen $(node_host_key alpha)"
{ echo "queen $(node_host_key alpha)"; echo "@revoked * $(node_host_key alpha)"; } >"$run/revoked"
known_hosts=$run/revoked waggle status --on alpha
check "a revoked key is refused" equal "$status" 5
check "and says so" says '@revoked'
jq --arg key "$(node_host_key alpha)" '.nodes.alpha.hostKey = $key' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=$run/revoked waggle status --on alpha
check "also when the hive names it" equal "$status" 5
fleet_write alpha beta
cp "$run/base_config" "$SSH_CONFIG_FILE"

section "a closed port"
close_port alpha
waggle status --on alpha
check "cannot be reached" equal "$status" 8
describe alpha two
waggle apply --on alpha --via ssh
check "but through ssh" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" two
sed "s|^$(node_address alpha) .*|$(node_address alpha) $(cut -d' ' -f1-2 "$run/login.pub")|" "$run/known_hosts" >"$run/wrong_hosts"
known_hosts=$run/wrong_hosts waggle status --on alpha --via ssh
check "the pin counts there, too" equal "$status" 5
check "and the sentence is about the key" says 'host key'
: >"$run/authorized"
waggle status --on alpha --via ssh
check "without a login there is no way" equal "$status" 8
check "ssh's own words say why" says 'permission denied'
cp "$run/login.pub" "$run/authorized"

for reason in AllowTcpForwarding "the agent"; do
    if [[ $reason == AllowTcpForwarding ]]; then restrict='AllowTcpForwarding no'; else restrict=; node_run alpha systemctl stop waggle-agent.socket waggle-agent; fi
    restart_sshd alpha "$restrict"
    waggle status --on alpha --via ssh
    check "where $reason is in the way, there is none" equal "$status" 8
    if [[ $reason == AllowTcpForwarding ]]; then
        check "that is the reason" says 'ssh leads to no agent: administratively prohibited.*AllowTcpForwarding'
    else
        check "that is the reason" says 'ssh leads to no agent: connect failed.*systemctl status waggle-agent'
        node_run alpha systemctl start waggle-agent.socket waggle-agent
    fi
done

section "behind a jump host"
# Nothing of alpha is open to the laptop but what comes by way of beta.
printf 'Host %s\n  ProxyJump %s\n' "$(node_address alpha)" "$(node_address beta)" | cat - "$run/base_config" >"$SSH_CONFIG_FILE"
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns exec waggle-alpha nft add rule inet waggle_closed input ip saddr "10.83.$(cat "$run/nodes/alpha/index").1" tcp dport 22 reject
describe alpha three
waggle apply --on alpha --via ssh
check "the jump host of ssh's configuration is used" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" three
cp "$run/base_config" "$SSH_CONFIG_FILE"

section "a key in an ssh-agent"
eval "$(ssh-agent -a "$run/agent")" >/dev/null
ssh-add -q "$run/operator" "$run/login"
cp "$run/operator.pub" "$run/mine.pub"
identity=$run/mine.pub waggle whoami --on beta
check "its public key chooses it" equal "$status" 0
check "whoami says where it is" says 'ssh-agent \(operator@laptop\)'
check "and that beta admits it" says '^beta +yes'
check "nothing warns" no says 'forwarded'
SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' identity=$run/mine.pub waggle apply --on beta
check "it deploys" equal "$status" 0
check "an agent that looks forwarded is warned about" says 'forwarded'
identity=$run/login.pub waggle whoami --on beta
check "a key that is no operator's is told apart" equal "$status" 5
check "and the table says no" says '^beta +no'
kill "$SSH_AGENT_PID"
