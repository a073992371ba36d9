# shellcheck shell=bash
# Booted test nodes. Source laptop.sh, call laptop_enter, then source this file.
#
#   node_create NAME INDEX        an unbooted node: address 10.83.INDEX.2, own machine id, SSH host key, /nix
#   node_install_system NAME TOPLEVEL   copies the closure there and makes the node boot it
#   node_boot NAME…               starts all of them, returns when each is up
#   node_run NAME COMMAND…        runs it as root on the node
#   node_reboot NAME              reboots it, waits until it is up;  node_wait_reboot NAME BOOT_ID: only waits
#   node_kill NAME                a power cut (the host's page cache survives it, so a missing fsync does not show)
#   node_poweroff NAME
#   node_cut_network, node_heal_network NAME
#   node_host_key NAME, node_known_hosts NAME, node_address NAME, node_boot_id NAME, node_system NAME
#   node_journal NAME [journalctl arguments]
#   nodes_destroy                 removes everything; safe at any moment, call it from a trap on EXIT
#
# A node is an overlay in memory on the cached root, which systemd-nspawn boots in its own network namespace and cgroup.
# A unit of the tests plays the boot loader, see node_write_boot_loader.

: "${run:?source laptop.sh and call laptop_enter first}" "${run_id:?}"

node_boot_deadline=60  # seconds; a boot takes about one
node_names=()
node_root=$WAGGLE_NODE_ROOT

# wait_until SECONDS "what" COMMAND…: polls until the command succeeds; after that time, it prints what and fails.
wait_until() {
    local seconds=$1 what=$2 end; shift 2
    end=$((${EPOCHREALTIME/[.,]/} + seconds * 1000000))
    until "$@"; do
        if ((${EPOCHREALTIME/[.,]/} > end)); then
            echo "gave up after $seconds s waiting until $what" >&2
            return 1
        fi
        # Sleeps without starting a process: tests poll for much of their time, while others work.
        read -rt 0.1 -u "$silence" || true
    done
}
exec {silence}<> <(:) # never has anything to read

# --- what a node is made of ---

node_create() {
    local name=$1 index=$2 dir=$run/nodes/$1 root
    mkdir -p "$dir"/{upper,work,root}
    root=$dir/root
    node_names+=("$name")
    mount -t overlay -o "lowerdir=$node_root,upperdir=$dir/upper,workdir=$dir/work" "waggle-$name" "$root"
    echo "$index" >"$dir/index"

    echo "$name" >"$root/etc/hostname"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    mkdir -p "$root"/var/log/journal "$root"/var/lib/dbus "$root"/boot/loader "$root"/etc/ssh
    ln -sfn /etc/machine-id "$root/var/lib/dbus/machine-id"
    ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
    node_write_nix "$root"
    node_write_boot_loader "$root"
    node_write_boot_id_fix "$root"
    # Disables what Debian enables and tests do not need.
    rm -rf "$root"/usr/lib/systemd/system/{multi-user.target.wants/{getty.target,systemd-logind.service},timers.target.wants/*}
    # Each reload of systemd starts all generators, and nodes need only this one.
    find "$root/usr/lib/systemd/system-generators" -mindepth 1 ! -name systemd-fstab-generator -delete
    ln -sfn multi-user.target "$root/usr/lib/systemd/system/default.target"
    node_make_network "$name" "$index"
}

# Debian's nix-bin contains no units.
node_write_nix() {
    local root=$1 units=$1/usr/lib/systemd/system
    mkdir -p "$root"/etc/nix "$root"/nix/{store,var/nix/profiles} "$units/sockets.target.wants"
    printf '%s\n' 'sandbox = false' 'substituters =' 'build-users-group =' >"$root/etc/nix/nix.conf"
    cat >"$units/nix-daemon.socket" <<'UNIT'
[Unit]
Description=Nix Daemon Socket
[Socket]
ListenStream=/nix/var/nix/daemon-socket/socket
UNIT
    cat >"$units/nix-daemon.service" <<'UNIT'
[Unit]
Description=Nix Daemon
[Service]
ExecStart=/usr/bin/nix-daemon --daemon
KillMode=process
UNIT
    ln -sfn ../nix-daemon.socket "$units/sockets.target.wants/nix-daemon.socket"
}

# The boot loader and stage 2 of NixOS in one: it chooses the system (a one-shot entry, else the default that
# `switch-to-configuration boot` wrote), lets it put its files and units in place, and has systemd start them.
node_write_boot_loader() {
    local root=$1 units=$1/usr/lib/systemd/system
    mkdir -p "$root/usr/lib/waggle-test" "$units/sysinit.target.wants"
    cat >"$root/usr/lib/waggle-test/boot" <<'SCRIPT'
#!/bin/sh
set -eu
cp /proc/sys/kernel/random/boot_id /run/boot_id # see node_write_boot_id_fix
if [ -e /boot/loader/oneshot ]; then
    system=$(cat /boot/loader/oneshot)
    rm /boot/loader/oneshot
elif [ -e /boot/loader/default ]; then
    system=$(cat /boot/loader/default)
else
    exit 0
fi
# On NixOS, a snippet that fails does not keep a machine from booting either.
"$system/activate" --boot || echo "activate ended with $?"
systemctl daemon-reload
systemctl --no-block start default.target
SCRIPT
    chmod +x "$root/usr/lib/waggle-test/boot"
    cat >"$units/waggle-test-boot.service" <<'UNIT'
[Unit]
Description=Boot loader of a test node
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service
Before=sysinit.target shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/waggle-test/boot
UNIT
    ln -sfn ../waggle-test-boot.service "$units/sysinit.target.wants/waggle-test-boot.service"
}

# systemd-nspawn mounts the node's own boot ID over the kernel's. A unit with its own /proc does not see that mount
# (ProtectProc=, ProtectKernelTunables=, in some versions ProtectControlGroups=): the agent would see the same boot for
# ever, and no line of this boot's journal.
node_write_boot_id_fix() {
    local dropins=$1/usr/lib/systemd/system/waggle-agent.service.d settings
    if [[ $WAGGLE_NODE_SUITE == bookworm ]]; then
        settings=('BindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id')
    else # newer versions of systemd cannot mount that there
        settings=(ProtectProc=default ProtectKernelTunables=false)
    fi
    mkdir -p "$dropins" "$1/usr/lib/systemd/system/service.d"
    printf '%s\n' '[Service]' "${settings[@]}" >"$dropins/boot-id.conf"
    # For the units of secrets, whose names a test chooses. The agent's file has the same name and overrides this one.
    printf '%s\n' '[Service]' ProtectProc=default ProtectKernelTunables=false ProtectControlGroups=false >"$1/usr/lib/systemd/system/service.d/boot-id.conf"
}

node_make_network() {
    local name=$1 index=$2 inside=(ip netns exec "waggle-$1")
    ip netns add "waggle-$name"
    ip link add "node$index" type veth peer name uplink netns "waggle-$name"
    ip addr add "10.83.$index.1/30" dev "node$index"
    ip link set "node$index" up
    "${inside[@]}" ip link set lo up
    "${inside[@]}" ip addr add "10.83.$index.2/30" dev uplink
    "${inside[@]}" ip link set uplink up
    "${inside[@]}" ip route add default via "10.83.$index.1"
    # Not every test machine has IPv6.
    if ip -6 addr add "fd83:$index::1/64" dev "node$index" nodad 2>/dev/null; then
        "${inside[@]}" ip -6 addr add "fd83:$index::2/64" dev uplink nodad
    fi
}

node_install_system() {
    local name=$1 toplevel=$2 dir=$run/nodes/$1
    nix --extra-experimental-features nix-command copy --no-check-sigs --to "local?root=$dir/root" "$toplevel"
    ln -sfn "$toplevel" "$dir/root/nix/var/nix/profiles/system-1-link"
    ln -sfn system-1-link "$dir/root/nix/var/nix/profiles/system"
    echo "$toplevel" >"$dir/root/boot/loader/default"
}

# --- power ---

# Every node's systemd manages its own cgroup tree: in a shared one, stopping a unit on one node waits for the unit of
# the same name on another.
node_cgroups() { # NAME: prints a folder for each hierarchy that systemd uses here
    local name=$1 id controllers path filesystem mount
    while IFS=: read -r id controllers path; do
        if [[ $controllers == name=systemd ]]; then filesystem='cgroup .*name=systemd'
        elif [[ $id == 0 ]]; then filesystem='cgroup2 '
        else continue; fi
        mount=$(awk -v pattern=" - $filesystem" '$0 ~ pattern { print $5; exit }' /proc/self/mountinfo)
        [[ -z $mount ]] || echo "$mount${path%/}/waggle-tests/$run_id.$name"
    done </proc/self/cgroup
}

node_boot() {
    local name
    for name in "$@"; do
        [[ ! -e $run/nodes/$name/power ]] || { echo "node $name is on already" >&2; return 1; }
        : >"$run/nodes/$name/power"
        node_power_loop "$name" </dev/null >>"$run/nodes/$name/console" 2>&1 &
        echo $! >"$run/nodes/$name/loop"
    done
    for name in "$@"; do
        wait_until $node_boot_deadline "node $name is up" node_is_up "$name" ||
            { tail -n 30 "$run/nodes/$name/console" >&2; return 1; }
    done
}

# systemd-nspawn exits with 133 when the node reboots: then the same overlay is started again, with a new /run.
node_power_loop() {
    local name=$1 dir=$run/nodes/$1 folder status=133
    trap - EXIT INT TERM
    node_cgroups "$name" >"$dir/cgroups"
    while read -r folder; do
        # Removes what killed runs left; folders in use cannot be removed. Keeps young ones, because those of a node
        # that is just starting are also empty.
        find "$(dirname "$folder")" -mindepth 1 -depth -type d -mmin +60 -exec rmdir {} + 2>/dev/null || true
    done <"$dir/cgroups"
    while [[ $status == 133 ]]; do
        status=0
        while read -r folder; do
            until mkdir -p "$folder" && echo "$BASHPID" >"$folder/cgroup.procs"; do sleep 0.05; done
            node_empty_cgroup "$folder"
        done <"$dir/cgroups"
        # Units come from the system that boots, never from the one that ran before.
        rm -rf "$dir"/root/etc/systemd/system/*
        # With a name each, or all of them would share (and remove) one folder below /run/systemd/nspawn.
        systemd-nspawn -q -D "$dir/root" --boot --network-namespace-path="/run/netns/waggle-$name" --register=no \
            --keep-unit --machine="$name-$run_id" --capability=CAP_NET_ADMIN --hostname="$name" --timezone=off --resolv-conf=off &
        echo $! >"$dir/nspawn"
        wait $! || status=$?
        # Another run cleaned up between the creation of a folder and its use.
        if [[ $status == 1 ]] && tail -n 2 "$dir/console" | grep -qE '^Failed to .*cgroup'; then status=133; fi
    done
    rm -f "$dir/nspawn" "$dir/power"
}

# systemd-nspawn creates its folders in one hierarchy only where it finds them in the other: what the previous boot
# left, in which processes may still be dying, must be gone from both.
node_empty_cgroup() {
    local tries
    for ((tries = 0; tries < 200; ++tries)); do
        find "$1" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
        [[ -n $(find "$1" -mindepth 1 -type d -print -quit) ]] || return 0
        sleep 0.05
    done
}

node_leader() { # prints the process ID that the node's systemd has here
    local nspawn leader
    { read -r nspawn <"$run/nodes/$1/nspawn" && read -rd ' ' leader <"/proc/$nspawn/task/$nspawn/children"; } 2>/dev/null && echo "$leader"
}

node_is_up() {
    local state
    state=$(node_run "$1" systemctl is-system-running 2>/dev/null) || [[ $state == degraded ]]
}

node_is_off() { [[ ! -e $run/nodes/$1/power ]]; }

node_run() {
    local name=$1 leader; shift
    leader=$(node_leader "$name") || { echo "node $name is off" >&2; return 1; }
    # A node that shuts down stops every process in it, and waits until each one that it killed is reaped. nsenter would
    # stop with its child and never reap it; a shell that is not itself a process of the node (-F) ignores that its
    # child is stopped.
    (exec -c timeout --foreground -k 5 "${node_run_deadline:-120}" nsenter -F -t "$leader" -a \
        sh -c 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8; "$@"; exit $?' sh "$@")
}

node_boot_id() { node_run_deadline=5 node_run "$1" cat /proc/sys/kernel/random/boot_id; }

node_has_rebooted() {
    local id
    id=$(node_boot_id "$1" 2>/dev/null) && [[ $id != "$2" ]] && node_is_up "$1"
}

node_wait_reboot() { wait_until $node_boot_deadline "node $1 has rebooted" node_has_rebooted "$1" "$2"; }

node_reboot() {
    local id; id=$(node_boot_id "$1")
    node_run "$1" systemctl --no-block reboot 2>/dev/null || true  # its reply may be lost
    node_wait_reboot "$1" "$id"
}

node_kill() {
    local leader
    if leader=$(node_leader "$1"); then
        # Stops every process before any is killed: none may see systemd die and write to the disk because of it.
        pgrep --ns "$leader" --nslist pid | xargs -r kill -STOP 2>/dev/null || true
        kill -KILL "$leader" # killing systemd-nspawn instead would leave the node running
    fi
    wait_until 20 "node $1 is off" node_is_off "$1"
}

node_poweroff() {
    node_run "$1" systemctl --no-block poweroff 2>/dev/null || true
    wait_until 60 "node $1 is off" node_is_off "$1"
}

# --- network ---

node_cut_network() {
    ip netns exec "waggle-$1" nft -f - <<'RULES'
table inet waggle_cut {
    chain input { type filter hook input priority 0; policy drop; }
    chain output { type filter hook output priority 0; policy drop; }
}
RULES
}

node_heal_network() { ip netns exec "waggle-$1" nft delete table inet waggle_cut; }

# --- queries ---

node_address() { echo "10.83.$(cat "$run/nodes/$1/index").2"; }
node_host_key() { cut -d' ' -f1-2 "$run/nodes/$1/root/etc/ssh/ssh_host_ed25519_key.pub"; }
node_known_hosts() { echo "$(node_address "$1") $(node_host_key "$1")"; }
node_system() { node_run "$1" readlink -f /run/current-system; }
node_profile() { node_run "$1" readlink -f /nix/var/nix/profiles/system; }
node_journal() { local name=$1; shift; node_run "$name" journalctl --no-pager -q -o short-precise "$@"; }

# --- the end ---

nodes_destroy() {
    local name leader pid folder
    for name in "${node_names[@]}"; do
        if leader=$(node_leader "$name"); then kill -KILL "$leader" 2>/dev/null || true; fi
    done
    for name in "${node_names[@]}"; do
        wait_until 10 "node $name is off" node_is_off "$name" || {
            while read -r pid; do kill -KILL "$pid"; done < <(cat "$run/nodes/$name"/{nspawn,loop}) 2>/dev/null
        }
        wait "$(cat "$run/nodes/$name/loop" 2>/dev/null)" 2>/dev/null || true
        ip netns delete "waggle-$name" 2>/dev/null || true
        while read -r folder; do
            find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
        done 2>/dev/null <"$run/nodes/$name/cgroups" || true
    done
    node_names=()
}
