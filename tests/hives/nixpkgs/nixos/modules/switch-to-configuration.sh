#!/bin/sh
# What NixOS's program of this name does, for a Debian node: same arguments, same words, same contract. It
#   - takes the lock without waiting, and exits with errno where it is taken (11, EAGAIN);
#   - calls each pre-switch check with the new system and the action, before anything else;
#   - needs the D-Bus system bus for everything but `check` and `boot`, and does nothing without it;
#   - writes to standard error;
#   - exits with 1 (refused, or not possible), 2 (a snippet failed), 3 (systemd was not reloaded), 4 (units failed),
#     100 (the system can only be booted: nothing was activated), or with what errno happens to be.
# shellcheck disable=SC2046,SC2086  # lists of units are words
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec >&2 </dev/null
system=$(dirname "$(dirname "$(readlink -f "$0")")")
action=${1:-}
units=$system/etc/systemd/system
installed=/etc/systemd/system
eagain=11

case $action in check | switch | boot | test | dry-activate) ;; *)
    echo "Usage: $0 [check|switch|boot|test|dry-activate]"
    exit 1
    ;;
esac
export NIXOS_ACTION="$action"

# How NixOS's program ends where it has found no better word: with errno, which something long past may have left there.
die() { exit "$(cat "$system/leftover-errno")"; }

mkdir -p /run/nixos
exec 9>> /run/nixos/switch-to-configuration.lock
flock --nonblock --conflict-exit-code $eagain 9 || { code=$?; echo "Could not acquire lock"; exit $code; }

# No child inherits the lock: a daemon that a hook or snippet leaves behind must not hold it.
if [ "${NIXOS_NO_CHECK:-0}" != 1 ]; then
    while read -r name file <&3; do
        sh "$file" "$system" "$action" 3<&- 9>&- || { echo "Pre-switch check '$name' failed"; die; }
    done 3< "$system/pre-switch-checks"
fi
[ "$action" != check ] || exit 0

if [ "$action" = switch ] || [ "$action" = boot ]; then
    echo "updating the stand-in boot loader..."
    [ "${NIXOS_INSTALL_BOOTLOADER:-0}" != 1 ] || echo "installing the stand-in boot loader"
    default=$(readlink -f /nix/var/nix/profiles/system)
    [ -d "$default" ] || { echo "no system profile: there is nothing to boot by default"; exit 1; }
    mkdir -p /boot/loader /boot/kernels || exit 1
    for part in kernel initrd; do
        file=$(readlink -f "$default/$part") name=/boot/kernels/$(basename "$(readlink -f "$default/$part")")
        [ -e "$name" ] || { cp "$file" "$name.tmp" && mv "$name.tmp" "$name"; } || { rm -f "$name.tmp"; exit 1; }
    done
    echo "$default" > /boot/loader/default.tmp || exit 1
    sync -f /boot/loader/default.tmp
    mv /boot/loader/default.tmp /boot/loader/default || exit 1
    sync -f /boot/loader/default
fi
[ "${NIXOS_NO_SYNC:-0}" = 1 ] || sync -f /nix/store
[ "$action" != boot ] || exit 0

if [ -e /run/current-system/init-interface-version ] &&
    ! cmp -s /run/current-system/init-interface-version "$system/init-interface-version"; then
    echo "Warning: the new NixOS configuration has an 'init' that is incompatible with the current configuration."
    echo "The new configuration won't take effect until you reboot the system."
    exit 100
fi

# NixOS's program asks systemd over the system bus; it has no other way.
need_bus() {
    busctl --system --timeout=5 call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping >/dev/null 2>&1 ||
        { echo "Failed to open dbus connection"; exit 1; }
}
need_bus

# Whether a setting of a unit file is true, by the words that systemd takes for it.
flag() { # FILE KEY DEFAULT
    value=$(sed -n "s/^$2=//p" "$1" | tail -n 1)
    case ${value:-$3} in 1 | yes | true | on) return 0 ;; *) return 1 ;; esac
}
# What of a unit file counts in a comparison: descriptions do not, and triggers of a reload are compared by themselves.
content() { # FILE [reload]
    if [ "${2:-}" = reload ]; then sed -n '/^X-Reload-Triggers=/p' "$1"; else sed '/^\(X-Reload-Triggers\|Description\|Documentation\|OnFailure\)=/d' "$1"; fi
}
same() { # FILE FILE [reload]
    cmp -s "$1" "$2" || [ "$(content "$1" "${3:-}")" = "$(content "$2" "${3:-}")" ]
}
# "UNIT ACTIVE SUB" of each; one call for all, which is most of this program's time.
states() { [ $# -eq 0 ] || systemctl show --property=Id,ActiveState,SubState --value "$@" | awk -v RS= '{ print $1, $2, $3 }'; }
listed() { for item in $2; do [ "$item" != "$1" ] || return 0; done; return 1; }
say() { # SENTENCE UNIT...
    sentence=$1; shift
    [ $# -eq 0 ] || echo "$sentence: $(echo "$*" | sed 's/ /, /g')"
}
failed_units() { systemctl list-units --plain --no-legend --state=failed | cut -d' ' -f1; }

known=$(cd "$units" 2>/dev/null && find . -maxdepth 1 -name '*.*' ! -name '*.wants' ! -name '*.requires' -printf '%P\n' | sort)
owned=$(sed -n 's|^systemd/system/\([^/]*\)$|\1|p' /etc/waggle-fixture-links 2>/dev/null)
failed_before=$(failed_units)
# Starting a target that is active starts whatever it newly wants.
wanting=$(cd "$units" 2>/dev/null && find . \( -name '*.wants' -o -name '*.requires' \) -printf '%f\n' | sed 's/\.[a-z]*$//' | sort -u)
active_before=$(states $(printf '%s\n' $known $owned $wanting | grep -v '@\.' | sort -u) |
    awk '$2 == "active" || $2 == "activating" || $2 == "reloading" { print $1 }')
targets=''
for target in $wanting; do
    ! listed "$target" "$active_before" || targets="$targets $target"
done

stop='' start='' restart='' reload='' skip=''
for unit in $active_before; do
    listed "$unit" "$known $owned" || continue
    file=$units/$unit
    if [ ! -e "$file" ]; then
        ! flag "$installed/$unit" X-StopOnRemoval true || stop="$stop $unit"
        continue
    fi
    case $unit in
        *.target)
            ! flag "$file" X-StopOnReconfiguration false || { stop="$stop $unit"; start="$start $unit"; }
            continue
            ;;
        *.path | *.slice) continue ;; # daemon-reload is enough
    esac
    # In another file with the same content nothing has changed.
    if same "$installed/$unit" "$file"; then
        same "$installed/$unit" "$file" reload || reload="$reload $unit"
        continue
    fi
    socket=${unit%.service}.socket
    case $unit in
        *.socket) continue ;;
        *.mount) restart="$restart $unit"; continue ;;
        dbus.service | dbus-broker.service)
            ! flag "$file" X-ReloadIfChanged false || reload="$reload $unit"
            continue
            ;;
    esac
    if flag "$file" X-ReloadIfChanged false; then
        reload="$reload $unit"
    elif ! flag "$file" X-RestartIfChanged true || flag "$file" RefuseManualStop false || flag "$file" X-OnlyManualStart false; then
        skip="$skip $unit"
    elif ! flag "$file" X-StopIfChanged true || [ "${unit%.service}" = "$unit" ]; then
        restart="$restart $unit"
    elif [ -e "$units/$socket" ] && listed "$socket" "$active_before"; then
        stop="$stop $unit $socket"
        start="$start $socket"
    else
        stop="$stop $unit"
        start="$start $unit"
    fi
done

if [ "$action" = dry-activate ]; then
    say "would stop the following units" $stop
    say "would NOT restart the following changed units" $skip
    echo "would activate the configuration..."
    say "would reload the following units" $reload
    say "would restart the following units" $restart
    new=''
    for unit in $(cd "$units" && find . -path '*.wants/*' -o -path '*.requires/*' | sed 's|.*/||' | sort -u); do
        listed "$unit" "$active_before $start" || new="$new $unit"
    done
    say "would start the following units" $start $new
    exit 0
fi

result=0
say "stopping the following units" $stop
[ -z "$stop" ] || systemctl stop $stop
say "NOT restarting the following changed units" $skip

echo "activating the configuration..."
"$system/activate" 9>&- || result=2
systemctl daemon-reload || result=3
# What comes before sysinit.target, users where a unit makes them, comes before other units in a switch, too.
[ ! -e "$units/sysinit-reactivation.target" ] || systemctl restart sysinit-reactivation.target || result=4
[ ! -e /etc/tmpfiles.d/00-nixos.conf ] || systemd-tmpfiles --create /etc/tmpfiles.d/00-nixos.conf

say "reloading the following units" $reload
[ -z "$reload" ] || systemctl reload $reload || result=4
say "restarting the following units" $restart
[ -z "$restart" ] || systemctl restart $restart || result=4
say "starting the following units" $start
[ -z "$start$targets" ] || systemctl start $start $targets || result=4

# Jobs and states come over the bus, too: a switch that brings emergency mode does not see its own end.
need_bus
# A service that systemd is about to start again has failed where its last end was a failure.
now=$(states $(echo "$known" | grep -v '@\.'))
failed=$(echo "$now" | awk '$2 == "failed" { print $1 }')
for unit in $(echo "$now" | awk '$3 == "auto-restart" { print $1 }'); do
    [ "$(systemctl show --value --property=ExecMainStatus "$unit")" = 0 ] || failed="$failed $unit"
done
started=''
for unit in $(echo "$now" | awk '$2 == "active" || $2 == "activating" { print $1 }'); do
    listed "$unit" "$active_before $start $failed" || started="$started $unit"
done
for unit in $(failed_units); do
    listed "$unit" "$failed_before $failed" || failed="$failed $unit"
done
say "the following new units were started" $started
if [ -n "$failed" ]; then
    say "warning: the following units failed" $failed
    systemctl status --no-pager --full $failed
    result=4
fi
exit $result
