#!/bin/sh
# What NixOS's program of this name does, for a Debian node: same arguments, same words, same exit codes
# (1 refused or not possible, 2 a snippet failed, 4 units failed, 100 nothing was activated).
# shellcheck disable=SC2046,SC2086  # lists of units are words
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
system=$(dirname "$(dirname "$(readlink -f "$0")")")
action=${1:-}
units=$system/etc/systemd/system
installed=/etc/systemd/system

case $action in check | switch | boot | test | dry-activate) ;; *)
    echo "Usage: $0 [check|switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac

mkdir -p /run/nixos
exec 9> /run/nixos/switch-to-configuration.lock
flock -n 9 || { echo "Could not acquire lock" >&2; exit 1; }

if [ "${NIXOS_NO_CHECK:-0}" != 1 ]; then
    while read -r name file; do
        sh "$file" "$system" "$action" || { echo "Pre-switch check '$name' failed" >&2; exit 1; }
    done < "$system/pre-switch-checks"
fi
[ "$action" != check ] || exit 0

if [ "$action" = switch ] || [ "$action" = boot ]; then
    echo "updating the stand-in boot loader..."
    default=$(readlink -f /nix/var/nix/profiles/system)
    [ -d "$default" ] || { echo "no system profile: there is nothing to boot by default" >&2; exit 1; }
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
    echo "Warning: the new NixOS configuration has an 'init' that is incompatible with the current configuration." >&2
    echo "The new configuration won't take effect until you reboot the system." >&2
    exit 100
fi

# The value of a switch such as X-RestartIfChanged in a unit file.
flag() { # FILE KEY DEFAULT
    value=$(sed -n "s/^$2=//p" "$1" | tail -n 1)
    echo "${value:-$3}"
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
    if [ ! -e "$units/$unit" ]; then
        [ "$(flag "$installed/$unit" X-StopOnRemoval true)" = false ] || stop="$stop $unit"
        continue
    fi
    case $unit in *.target) continue ;; esac
    # In another file with the same content nothing has changed.
    cmp -s "$installed/$unit" "$units/$unit" && continue
    socket=${unit%.service}.socket
    if [ "$(flag "$units/$unit" X-ReloadIfChanged false)" = true ]; then
        reload="$reload $unit"
    elif [ "$(flag "$units/$unit" X-RestartIfChanged true)" = false ]; then
        skip="$skip $unit"
    elif [ "${unit%.service}" != "$unit" ] && [ -e "$units/$socket" ]; then
        stop="$stop $unit $socket"
        start="$start $socket"
    elif [ "$(flag "$units/$unit" X-StopIfChanged true)" = false ]; then
        restart="$restart $unit"
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
"$system/activate" || result=2
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

# A service that systemd is about to start again after a failure has failed, whatever its state says.
now=$(states $(echo "$known" | grep -v '@\.'))
failed=$(echo "$now" | awk '$2 == "failed" || $3 == "auto-restart" { print $1 }')
started=''
for unit in $(echo "$now" | awk '$2 == "active" || $2 == "activating" { print $1 }'); do
    listed "$unit" "$active_before $start $failed" || started="$started $unit"
done
for unit in $(failed_units); do
    listed "$unit" "$failed_before $failed" || failed="$failed $unit"
done
say "the following new units were started" $started
if [ -n "$failed" ]; then
    say "warning: the following units failed" $failed >&2
    systemctl status --no-pager --full $failed >&2
    result=4
fi
exit $result
