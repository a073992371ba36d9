#!/usr/bin/env bash
# Disks that are full or cannot be written: the error is clear, the old system stays intact, and the next deployment
# succeeds once there is room.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=SCRIPTDIR/laptop.sh
source "$here/laptop.sh"
laptop_enter "$@"
# shellcheck source=SCRIPTDIR/fleet.sh
source "$here/fleet.sh"
# shellcheck source=SCRIPTDIR/rollback_cases.sh
source "$here/rollback_cases.sh"

fleet_start alpha beta

# A system with a file of MB megabytes that the node's store does not have yet.
heavy() { # NODE WORD MB
    confirm_timeout=60 describe "$1" "$2" "{ environment.etc.ballast.source = pkgs.runCommand \"ballast-$2\" { } \"head -c ${3}000000 /dev/urandom > \\\$out\"; }"
}
state_of() { grep -o '"state": "[a-z-]*",' "$run/nodes/$1/root/var/lib/waggle-agent/state.json" | head -n 1 | cut -d'"' -f4; }
boot_loader_names() { [[ $(cat "$run/nodes/$1/root/boot/loader/default") == "$2" ]]; }

# Moves the node's store to a memory file system of this size.
small=$run/small
give_small_store() { # NODE SIZE
    node_poweroff "$1"
    mkdir "$small"
    mount -t tmpfs -o "size=$2" small "$small"
    cp -a "$run/nodes/$1/root/nix/." "$small/"
    mount --bind "$small" "$run/nodes/$1/root/nix"
    node_boot "$1"
    fleet_wait "$1"
}
free_megabytes() { echo $(($(df --output=avail -k "$small" | tail -n 1) / 1000)); }
bytes_since() { (($(bytes_to "$1") - $2 > $3)); }

section "the store fills up during the transfer"
good alpha good
waggle apply --on alpha
check "a good system is kept" equal "$status" 0
give_small_store alpha $((160 + $(du -sm "$run/waggle-agent" | cut -f1)))m
heavy alpha heavy 30
toplevel alpha >/dev/null 2>&1
before=$(node_system alpha) sent=$(bytes_to alpha)
slow_down alpha
waggle_in_background apply --on alpha
wait_until 60 "2 MB are sent" bytes_since alpha "$sent" 2000000
head -c 1000000000 /dev/zero >"$small/filled" 2>/dev/null || true
waggle_wait
speed_up alpha
check "the exit code says failed before activation" equal "$status" 7
check "the error gives the reason and a remedy" says 'the node.s /nix is full: .*nix-collect-garbage.*no space left'
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
check "alpha still boots the previous system" equal "$(node_profile alpha)" "$before"
rm "$small/filled"
waggle apply --on alpha
check "the deployment succeeds once there is room" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" heavy
check "alpha's store is sound" store_is_sound alpha

section "too little room for the missing paths"
before=$(node_system alpha)
heavy alpha larger $(($(free_megabytes) - 40))
sent=$(bytes_to alpha)
waggle apply --on alpha
check "the exit code says failed before activation" equal "$status" 7
check "the error says how much is free and how much is missing" says '/nix/store has [0-9]+ MiB free, but [0-9]+ MiB are missing'
check "no path is sent" at_most $(($(bytes_to alpha) - sent)) 2000000
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
good alpha good
waggle apply --on alpha
check "a smaller deployment succeeds" equal "$status" 0

section "the store is full during an activation and its rollback"
# The activation fills the disk that has the store and fails; the rollback needs no room there.
describe alpha filling '{ system.activationScripts.fill = "head -c 1000000000 /dev/zero > /nix/filled; echo it is full >&2; exit 1"; }'
waggle apply --on alpha
check_came_back alpha 'activation script|snippet|exit code'
check "the disk is full" at_most "$(df --output=avail -k "$small" | tail -n 1)" 100
rm "$small/filled"
good alpha better
waggle apply --on alpha
check "the next deployment succeeds once there is room" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" better

section "/nix cannot be written"
good alpha good
toplevel alpha >/dev/null 2>&1
before=$(node_system alpha)
node_run alpha mount -o remount,ro,bind /nix
waggle apply --on alpha
check "the deployment fails" differ "$status" 0
check "the error gives the reason" says 'read-only|nix daemon'
check "alpha still runs the previous system" equal "$(node_system alpha)" "$before"
node_run alpha mount -o remount,rw,bind /nix
node_run alpha sh -c 'systemctl stop nix-daemon.service; systemctl start nix-daemon.socket'
waggle apply --on alpha
check "the next deployment succeeds once /nix is writable" equal "$status" 0
check "alpha runs the new system" equal "$(word alpha)" good
check "alpha's store is sound" store_is_sound alpha

section "the state directory is full during an activation and its rollback"
good beta good
waggle apply --on beta
node_poweroff beta
var=$run/var
mkdir "$var"
mount -t tmpfs -o size=8m var "$var"
cp -a "$run/nodes/beta/root/var/lib/waggle-agent/." "$var/"
mount --bind "$var" "$run/nodes/beta/root/var/lib/waggle-agent"
node_boot beta
fleet_wait beta
describe beta filling '{ system.activationScripts.fill = "head -c 1000000000 /dev/zero > /var/lib/waggle-agent/filled; exit 1"; }'
waggle_in_background apply --on beta
came_back() { [[ $(word beta) == good && -e $var/filled ]]; }
was_tried() { [[ -e $var/filled ]]; }
wait_until 60 "the disk is full" was_tried
wait_until 60 "beta runs the old system, although the state cannot be written" came_back
check "the state file still says activating" equal "$(state_of beta)" activating
rm "$var/filled"
waggle_wait
check_came_back beta 'cut off|exit code'
good beta better
waggle apply --on beta
check "the next deployment succeeds" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" better

section "a /boot without room for another kernel"
kernel() { # NODE WORD VERSION MB
    confirm_timeout=60 describe "$1" "$2" "{ system.fixture.kernelVersion = \"$3\"; system.fixture.kernelMegabytes = $4; }"
}
node_run beta mount -t tmpfs -o size=8m boot /boot
node_run beta sh -c "mkdir /boot/loader; echo $(node_profile beta) > /boot/loader/default"
before=$(node_system beta)
kernel beta large 6.9.1 9
sent=$(bytes_to beta)
waggle apply --on beta
check "the exit code says failed before activation" equal "$status" 7
check "the error says how much is free in /boot" says '/boot[a-z/]* has [0-9]+ MiB free'
check "nothing is sent" at_most $(($(bytes_to beta) - sent)) 1000000
check "beta still runs the previous system" equal "$(node_system beta)" "$before"
kernel beta small 6.9.2 3
waggle apply --on beta
check "a system whose kernel fits is kept" equal "$status" 0
check "the kernel is in /boot" node_run beta sh -c 'ls /boot/kernels/*linux-6.9.2*'

section "a /boot that is full at the commit"
before=$(node_system beta)
node_run beta sh -c 'head -c 100000000 /dev/zero > /boot/filled 2>/dev/null || true'
confirm_timeout=60 describe beta menu '{ system.fixture.kernelVersion = "6.9.2"; system.fixture.kernelMegabytes = 3; }'
waggle apply --on beta
check "the exit code says rolled back" equal "$status" 6
check "the error names switch-to-configuration boot" says 'switch-to-configuration boot'
check "the error says what to do about the boot menu" says 'when the cause is fixed'
check "beta runs the old system" equal "$(node_system beta)" "$before"
check "beta's profile is the old system" equal "$(node_profile beta)" "$before"
wait_until 30 "no unit of the deployment is left on beta" no_unit_is_left beta
node_run beta rm /boot/filled
waggle apply --on beta
check "the deployment succeeds once there is room" equal "$status" 0
check "beta runs the new system" equal "$(word beta)" menu
