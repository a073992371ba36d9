# shellcheck shell=bash
# An unprivileged process on a node that takes the agent's port as soon as it is free. Source fleet.sh first.
#
#   port_taker_install NODE…   makes it run on the node, before any other service, from the next boot on
#   port_taker_start NODE…     starts it now
#   port_taker_stop NODE…      stops it until port_taker_start: a switch or a rollback does not start it again
#   port_was_taken NODE        succeeds if it has ever had the port

# shellcheck source=SCRIPTDIR/fleet.sh
[[ -v agent_port ]] || source "$(dirname "${BASH_SOURCE[0]}")/fleet.sh"

port_taker_install() {
    local name root
    for name in "$@"; do
        root=$run/nodes/$name/root
        # Perl is part of Debian's smallest system.
        cat >"$root/usr/lib/waggle-test/take-port" <<'PERL'
use strict; use warnings; use Socket qw(:all);
my $port = shift;
while (1) {
    for my $address ([AF_INET, pack_sockaddr_in($port, INADDR_ANY)], [AF_INET6, pack_sockaddr_in6($port, IN6ADDR_ANY)],
                     [AF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)]) {
        socket(my $socket, $address->[0], SOCK_STREAM, 0) or next;
        setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, pack("l", 1));
        next unless bind($socket, $address->[1]) && listen($socket, 10);
        open(my $file, ">>", "/var/lib/port-taker/taken") or die $!;
        print $file "taken\n";
        close $file;
        select(undef, undef, undef, 5);
    }
    select(undef, undef, undef, 0.01);
}
PERL
        cat >"$root/usr/lib/systemd/system/port-taker.service" <<UNIT
[Unit]
Description=Takes the agent's port when it is free
DefaultDependencies=no
After=sockets.target
Before=shutdown.target
Conflicts=shutdown.target
[Service]
User=nobody
Restart=always
StateDirectory=port-taker
ExecStart=/usr/bin/perl /usr/lib/waggle-test/take-port $agent_port
UNIT
        mkdir -p "$root/usr/lib/systemd/system/basic.target.wants"
        ln -sfn ../port-taker.service "$root/usr/lib/systemd/system/basic.target.wants/"
    done
}

port_taker_start() {
    local name
    for name in "$@"; do
        node_run "$name" systemctl unmask --runtime port-taker
        node_run "$name" systemctl daemon-reload
        node_run "$name" systemctl start port-taker
        wait_until 20 "the port taker runs on $name" port_is_wanted "$name"
    done
}

port_taker_stop() {
    local name
    for name in "$@"; do node_run "$name" systemctl mask --runtime --now port-taker; done
}

# It runs, and has not failed: it tries to open sockets all the time.
port_is_wanted() { [[ $(node_run "$1" systemctl show --property=NRestarts,SubState --value port-taker | xargs) == "0 running" ]]; }
port_was_taken() { [[ -s $run/nodes/$1/root/var/lib/port-taker/taken ]]; }
