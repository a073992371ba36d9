#!/usr/bin/env bash
# For a minute, 64 addresses open 500 connections again and again and never send a hello: the agent stays small, and a
# deployment succeeds meanwhile. The same from the operator's own address. Then a flood of TLS handshakes, on a node
# with one core.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"

fleet_start alpha
change alpha <<<'{ environment.etc.word.text = "one"; }'

flood_seconds=${WAGGLE_FLOOD_SECONDS:-60}
sources=64
per_source=8 # if one address opens more, the agent closes its oldest

index=$(cat "$run/nodes/alpha/index")
address=$(node_address alpha)
for ((i = 1; i <= sources; i++)); do
    ip addr add "10.84.0.$i/32" dev "node$index"
done

# The kernel takes the source of a new connection from the route.
flood() {
    local end=$((SECONDS + flood_seconds)) i j fd fds=()
    ulimit -n 4096
    while ((SECONDS < end)); do
        for ((i = 1; i <= sources; i++)); do
            ip route replace "$address/32" dev "node$index" src "10.84.0.$i"
            for ((j = 0; j < per_source; j++)); do
                if { exec {fd}<>"/dev/tcp/$address/$agent_port"; } 2>/dev/null; then fds+=("$fd"); fi
            done
        done
        echo "${#fds[@]}" >>"$run/rounds"
        for fd in "${fds[@]}"; do exec {fd}>&-; done
        fds=()
    done
}

agent_pid() { node_run alpha systemctl show -P MainPID waggle-agent; }
agent_rss_kib() { node_run alpha sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(agent_pid)/status"; }
# Samples the RSS and records the greatest value so far.
watch_rss() {
    local now greatest=0
    while [[ ! -e $run/over ]]; do
        now=$(agent_rss_kib 2>/dev/null) || continue
        if ((now > greatest)); then greatest=$now && echo "$greatest" >"$run/rss"; fi
        sleep 0.2
    done
}

section "a flood of silent connections from everywhere"
flood &
flooder=$!
watch_rss &
watcher=$!
first_round() { [[ -s $run/rounds ]]; }
wait_until 60 "the first 500 connections are open" first_round
check "the first round opened 500 connections" at_least "$(head -n 1 "$run/rounds")" 500
waggle apply --on alpha
check "a deployment succeeds during the flood" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" one
check "the flood is still running" kill -0 "$flooder"
waggle status --on alpha
check "waggle status succeeds during the flood" equal "$status" 0
wait "$flooder" || true
touch "$run/over"
wait "$watcher" || true
echo "$(wc -l <"$run/rounds") rounds of $((sources * per_source)) connections; the agent's RSS was at most $(cat "$run/rss") KiB"
if [[ $sanitized == true ]]; then
    echo "not checked with sanitizers, which take memory of their own: that the agent stays under 20 MiB"
else
    check "the agent stays under 20 MiB" at_most "$(cat "$run/rss")" 20480
fi
waggle status --on alpha
check "waggle status succeeds afterwards" equal "$status" 0

section "silent connections from the operator's own address"
# Opens twice as many connections as one address may have, and replaces each one in turn.
crowd() {
    local i fds=() fd
    for ((i = 0; ; i = (i + 1) % (2 * per_source))); do
        if [[ -n ${fds[i]:-} ]]; then fd=${fds[i]} && exec {fd}>&-; fi
        if { exec {fd}<>"/dev/tcp/$address/$agent_port"; } 2>/dev/null; then fds[i]=$fd; fi
        echo >>"$run/crowd"
        sleep 0.05
    done
}
ip route replace "$address/32" dev "node$index" # the source is the operator's again
crowd &
crowder=$!
many_in_the_crowd() { (($(wc -l 2>/dev/null <"$run/crowd" || echo 0) > 2 * per_source)); }
wait_until 60 "the connections of this address are used up" many_in_the_crowd
waggle status --on alpha
check "waggle status succeeds from the same address" equal "$status" 0
change alpha <<<'{ environment.etc.word.text = "beside"; }'
waggle apply --on alpha
check "a deployment succeeds from the same address" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" beside
check "the crowd is still running" kill -0 "$crowder"
kill "$crowder"
wait "$crowder" || true

section "a flood of handshakes on a node with one core"
taskset -acp 0 "$(node_leader alpha)" >/dev/null # and every process that it starts from now on
node_run alpha systemctl restart nix-daemon.service waggle-agent.service
fleet_wait alpha
# The flood is routed through the laptop, uses 64 addresses in turn, and runs until it is stopped.
ip netns add flooder
ip link add to-flooder type veth peer name uplink netns flooder
ip addr add 10.85.0.1/24 dev to-flooder
ip link set to-flooder up
ip -n flooder link set uplink up
for ((i = 2; i < 2 + sources; i++)); do ip -n flooder addr add "10.85.0.$i/24" dev uplink; done
ip -n flooder route add default via 10.85.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns exec flooder nft -f - <<RULES
table ip everywhere {
    chain post { type nat hook postrouting priority 100; snat to 10.85.0.2-10.85.0.$((1 + sources)) random; }
}
RULES
ip netns exec flooder "$build_dir/tests/hostile/hostile_peer" handshakes "$address" "$agent_port" >"$run/handshakes" &
flooder=$!
handshakes() { tail -n 1 "$run/handshakes" | grep . || echo 0; }
many_handshakes() { (($(handshakes) > 200)); }
wait_until 60 "200 handshakes are done" many_handshakes
before=$(handshakes)
change alpha <<<'{ environment.etc.word.text = "two"; }'
waggle apply --on alpha
check "a deployment succeeds during the flood" equal "$status" 0
check "alpha is deployed" equal "$(word alpha)" two
check "the node's systemd reports running" equal "$(node_run alpha systemctl is-system-running)" running
check "the flood made more handshakes meanwhile" at_least "$(handshakes)" $((before + 1))
kill $flooder
wait $flooder || true
echo "$(handshakes) handshakes; those of the deployment's time: $(($(handshakes) - before))"
waggle status --on alpha
check "waggle status succeeds afterwards" equal "$status" 0
