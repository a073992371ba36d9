# shellcheck shell=bash
# The machine on which a test's trigger runs: the test's script, started again in its own namespaces. Source this file
# and call
#
#     laptop_enter "$@"
#
# before anything else. The nodes run Debian bookworm, or $WAGGLE_NODE_SUITE. Mounts, network, processes and /nix are
# private from then on: nothing on the developer's machine changes, two runs do not see each other, and when this
# process dies, even by SIGKILL, the kernel ends every process, mount and network interface of the run.
#
# Afterwards: $run is a folder in memory that is gone at the end; $run_id differs from every other run's; /nix is a
# folder of the cache that is kept between runs, and Nix works in it without a daemon, sandbox and substituters; HOME is
# an empty folder.

waggle_cache=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}

laptop_enter() {
    if [[ ${WAGGLE_INSIDE_LAPTOP:-} != 1 || $$ != 1 ]]; then
        local tool
        [[ $(id -u) = 0 ]] || { echo "$0: boots containers, which needs root" >&2; exit 1; }
        for tool in unshare systemd-nspawn ip nft nix-store ssh-keygen jq; do
            command -v "$tool" >/dev/null || { echo "$0: '$tool' is not installed: run ./dev setup" >&2; exit 1; }
        done
        # Made now, while there is a network.
        WAGGLE_NODE_SUITE=${WAGGLE_NODE_SUITE:-bookworm}
        WAGGLE_NODE_ROOT=$("$(dirname "${BASH_SOURCE[0]}")/roots.sh" node "$WAGGLE_NODE_SUITE") || exit 1
        export WAGGLE_NODE_ROOT WAGGLE_NODE_SUITE WAGGLE_CACHE=$waggle_cache WAGGLE_INSIDE_LAPTOP=1
        # Ctrl-C reaches the whole process group: unshare must outlive it, so that the script inside can clean up.
        exec env --ignore-signal=INT \
            unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
            env --default-signal=INT bash "$0" "$@"
    fi
    run=$waggle_cache/run  # an empty folder on the outside, so nothing stays behind
    # shellcheck disable=SC2034  # nodes.sh names cgroups by it
    run_id=$(cut -c1-8 /proc/sys/kernel/random/uuid)
    mkdir -p "$run"
    mount -t tmpfs -o mode=755 waggle-run "$run"
    ip link set lo up
    laptop_mount_cgroups
    laptop_prune_store
    mkdir -p /run/netns /nix "$waggle_cache/host-nix/store" "$run/home/.ssh" "$run/nix-conf"
    mount -t tmpfs -o mode=755 waggle-netns /run/netns
    mount --bind "$waggle_cache/host-nix" /nix
    printf '%s\n' 'sandbox = false' 'substituters =' 'build-users-group =' 'experimental-features = nix-command' \
        >"$run/nix-conf/nix.conf"
    export HOME=$run/home NIX_CONF_DIR=$run/nix-conf
    unset NIX_REMOTE NIX_PATH XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME SSH_AUTH_SOCK
    # One after another: of two processes that open a new store at the same time, one can fail.
    flock "$waggle_cache/host-nix.init" nix-store --init
}

# Newer versions of systemd refuse to boot where the hierarchies of cgroup v1 are mounted besides that of v2.
laptop_mount_cgroups() {
    [[ $WAGGLE_NODE_SUITE != bookworm ]] || return 0
    umount -R /sys/fs/cgroup
    mount -t cgroup2 waggle-cgroups /sys/fs/cgroup
}

# Every build of the agent leaves one or two store paths. A store that has grown too large is deleted, unless another
# run is using it: each run holds the lock, shared, until its last process ends.
laptop_prune_store() {
    local size_mib
    mkdir -p "$waggle_cache/host-nix"
    exec {laptop_store_lock}>"$waggle_cache/host-nix.lock"
    size_mib=$(du -sm "$waggle_cache/host-nix" 2>/dev/null | cut -f1) || true
    if flock -xn "$laptop_store_lock" && ((${size_mib:-0} > 4096)); then
        rm -rf "$waggle_cache/host-nix"
    fi
    flock -s "$laptop_store_lock"
}
