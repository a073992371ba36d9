#!/usr/bin/env bash
# Connections to a node by ssh's rules: names and aliases from its configuration, a closed port reached by `ssh -W`
# through a real sshd, also behind a jump host; keys in an ssh-agent; waggle whoami.
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

# An SSH server in the node's network namespace: the nodes themselves have none.
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
close_port() { # NODE: to the outside; the node still reaches itself
    ip netns exec "waggle-$1" nft -f - <<RULES
table inet waggle_closed {
    chain input { type filter hook input priority 0; iifname "uplink" tcp dport $agent_port reject with tcp reset; }
}
RULES
}
start_sshd alpha
start_sshd beta

section "a name and an alias from ssh's configuration"
jq '.nodes.alpha.address = "attic"' "$run/hive/fleet.json" >"$run/fleet.json" && mv "$run/fleet.json" "$run/hive/fleet.json"
printf 'Host attic\n  HostName %s\n  HostKeyAlias Queen\n' "$(node_address alpha)" | cat - "$run/base_config" >"$SSH_CONFIG_FILE"
echo "queen $(node_host_key alpha)" >"$run/aliases"
describe alpha one
known_hosts=$run/aliases waggle apply --on alpha
check "waggle finds the node and knows its host key" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" one
waggle status --on alpha
check "without the alias in known_hosts, the host key is unknown" equal "$status" 5
check "the error prints the whole line to add, with the alias" shows "queen $(node_host_key alpha)"
{ echo "queen $(node_host_key alpha)"; echo "@revoked * $(node_host_key alpha)"; } >"$run/revoked"
known_hosts=$run/revoked waggle status --on alpha
check "a revoked key is refused" equal "$status" 5
check "the error mentions @revoked" says '@revoked'
jq --arg key "$(node_host_key alpha)" '.nodes.alpha.hostKey = $key' "$run/hive/fleet.json" >"$run/fleet.json"
mv "$run/fleet.json" "$run/hive/fleet.json"
known_hosts=$run/revoked waggle status --on alpha
check "a revoked key is refused even if the hive pins it" equal "$status" 5
fleet_write alpha beta
cp "$run/base_config" "$SSH_CONFIG_FILE"

section "a closed port"
close_port alpha
waggle status --on alpha
check "the node is unreachable" equal "$status" 8
describe alpha two
waggle apply --on alpha --via ssh
check "--via ssh reaches the node" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" two
sed "s|^$(node_address alpha) .*|$(node_address alpha) $(cut -d' ' -f1-2 "$run/login.pub")|" "$run/known_hosts" >"$run/wrong_hosts"
known_hosts=$run/wrong_hosts waggle status --on alpha --via ssh
check "--via ssh also checks the pin" equal "$status" 5
check "the error is about the host key" says 'host key'
: >"$run/authorized"
waggle status --on alpha --via ssh
check "without a login, the node is unreachable" equal "$status" 8
check "the error shows ssh's own message" says 'permission denied'
cp "$run/login.pub" "$run/authorized"

for reason in AllowTcpForwarding "the agent"; do
    if [[ $reason == AllowTcpForwarding ]]; then restrict='AllowTcpForwarding no'; else restrict=; node_run alpha systemctl stop waggle-agent.socket waggle-agent; fi
    restart_sshd alpha "$restrict"
    waggle status --on alpha --via ssh
    check "the node is unreachable because of $reason" equal "$status" 8
    if [[ $reason == AllowTcpForwarding ]]; then
        check "the error names AllowTcpForwarding" says 'ssh leads to no agent: administratively prohibited.*AllowTcpForwarding'
    else
        check "the error says to check the agent's unit" says 'ssh leads to no agent: connect failed.*systemctl status waggle-agent'
        node_run alpha systemctl start waggle-agent.socket waggle-agent
    fi
done

section "behind a jump host"
# The laptop can reach alpha only through beta.
printf 'Host %s\n  ProxyJump %s\n' "$(node_address alpha)" "$(node_address beta)" | cat - "$run/base_config" >"$SSH_CONFIG_FILE"
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns exec waggle-alpha nft add rule inet waggle_closed input ip saddr "10.83.$(cat "$run/nodes/alpha/index").1" tcp dport 22 reject
describe alpha three
waggle apply --on alpha --via ssh
check "waggle uses the jump host from ssh's configuration" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" three
cp "$run/base_config" "$SSH_CONFIG_FILE"

section "a key in an ssh-agent"
eval "$(ssh-agent -a "$run/agent")" >/dev/null
ssh-add -q "$run/operator" "$run/login"
cp "$run/operator.pub" "$run/mine.pub"
identity=$run/mine.pub waggle whoami --on beta
check "the public key selects the key in the ssh-agent" equal "$status" 0
check "whoami says that the key is in the ssh-agent" says 'ssh-agent \(operator@laptop\)'
check "whoami says that beta admits the key" says '^beta +yes'
check "whoami does not warn about a forwarded agent" no says 'forwarded'
SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' identity=$run/mine.pub waggle apply --on beta
check "a deployment with this key succeeds" equal "$status" 0
check "waggle warns about an agent that looks forwarded" says 'forwarded'
identity=$run/login.pub waggle whoami --on beta
check "a key that is no operator's is refused" equal "$status" 5
check "the table says no for beta" says '^beta +no'
kill "$SSH_AGENT_PID"
