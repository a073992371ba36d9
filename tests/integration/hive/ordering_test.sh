#!/usr/bin/env bash
# systemd finds no ordering cycle in the units of machines whose secrets, users and disks depend on each other.
set -euo pipefail
# shellcheck source=SCRIPTDIR/nix.sh
source "$(dirname "$0")/nix.sh"
nix_enter "$@"
command -v systemd-analyze >/dev/null || { echo "SKIP  systemd-analyze is not installed"; exit 77; }

keys='{ deployment.keys.plain.text = "x"; deployment.keys.web = { text = "y"; destDir = "/var/lib/web"; }; }'
needed='{ deployment.keys.hash = { text = "x"; neededForUsers = true; }; }'
late_state='{ fileSystems."/srv/late" = { device = "/dev/sdb"; fsType = "ext4"; }; services.waggle-agent.stateDir = "/srv/late/waggle"; }'
early_state='{ fileSystems."/persist" = { device = "/dev/sdb"; fsType = "ext4"; neededForBoot = true; }; services.waggle-agent.stateDir = "/persist/waggle"; }'
late_secret='{ fileSystems."/srv/da-ta" = { device = "/dev/sdc"; fsType = "xfs"; }; deployment.keys.there = { text = "x"; destDir = "/srv/da-ta/k"; }; }'
remote_secret='{ fileSystems."/mnt/far" = { device = "server:/x"; fsType = "nfs"; }; deployment.keys.far = { text = "x"; destDir = "/mnt/far/k"; }; }'

# Evaluates machines in one process, which takes half the time of one process for each: machine N is that of the Nth
# argument.
machines() { # IMPORTS…
    local number=0 imports
    {
        echo '{'
        for imports in "$@"; do
            number=$((number + 1))
            cat <<NIX
  m$number = { pkgs, lib, ... }: {
    imports = [ $imports $machine ];
    services.openssh.enable = true;
    services.waggle-agent = { enable = true; package = pkgs.hello; operators = [ "$key op" ]; };
  };
NIX
        done
        echo '}'
    } | hive
    # shellcheck disable=SC2016  # Nix
    ask 'builtins.mapAttrs (_: node: let inherit (node) config pkgs; inherit (pkgs) lib; in {
        units = lib.mapAttrs (_: unit: { inherit (unit) text wantedBy requiredBy; aliases = unit.aliases or [ ]; })
            (lib.filterAttrs (_: unit: unit.enable && unit.text or null != null) config.systemd.units);
        mounts = map (fs: { inherit (fs) mountPoint device fsType; })
            (builtins.filter (fs: fs.mountPoint != "/" && !fs.neededForBoot) (builtins.attrValues config.fileSystems));
    }) hive.configurations'
    check "the machines evaluate" succeeds
    printf '%s' "$out" >"$work/machines.json"
}

# Writes the units of the machine to the directory units; the units that systemd ships are those of the host. Mounts
# that exist before systemd starts are left out, because no job for them is ever queued.
write_units() { # NUMBER
    local folder=$work/units
    rm -rf "$folder"
    jq ".m$1" "$work/machines.json" | "$source_dir/tests/integration/hive/write_units.py" "$folder" "$work/fstab"
    SYSTEMD_FSTAB=$work/fstab /usr/lib/systemd/system-generators/systemd-fstab-generator "$folder" "$folder" "$folder"
}

# systemd-analyze also reports that the programs in the store do not exist, so only cycles are searched for.
cycles() {
    SYSTEMD_UNIT_PATH=$work/units:/usr/lib/systemd/system SYSTEMD_LOG_LEVEL=info \
        systemd-analyze verify --man=no multi-user.target "$@" >"$work/verify" 2>&1 || true
    grep -i 'ordering cycle\|to break the cycle\|breaking' "$work/verify"
}
has_cycle() { cycles "$@" >/dev/null; }
has_no_cycle() { ! cycles "$@"; }
knows() { # SET NAME
    hive <<<'{ a = { }; }'
    ask ".configurations.a.options.$1 ? $2"
    answers true
}

section "a cycle is detected"
machines '{ systemd.services.late = { wantedBy = [ "multi-user.target" ]; after = [ "multi-user.target" ]; before = [ "sysinit.target" ]; script = "true"; }; }'
write_units 1
check "systemd-analyze reports the cycle of a service that waits for itself" has_cycle
check "the report names the unit of the cycle" grep -q 'late.service' "$work/verify"

ordered() { # NUMBER NAME
    write_units "$1"
    check "$2: there is no ordering cycle" has_no_cycle
}
refused() { # NUMBER NAME SENTENCE
    ask ".nodes [ \"m$1\" ]"
    check "$2: the system is refused" fails "Failed assertions:" "$3"
}

makers=('')
for maker in services.userborn systemd.sysusers; do
    if knows "${maker%.*}" "${maker#*.}"; then makers+=("$maker"); else echo "SKIP  this nixpkgs has no $maker"; fi
done
for maker in "${makers[@]}"; do
    by="users by ${maker:-a snippet}"
    with='{ }'
    [[ -z $maker ]] || with="{ $maker.enable = true; }"
    section "$by"
    # NixOS supports sysusers only with immutable users.
    [[ $maker != systemd.sysusers || -z ${WAGGLE_TEST_NIXPKGS:-} ]] ||
        with="{ $maker.enable = true; boot.initrd.systemd.enable = true; system.etc.overlay = { enable = true; mutable = false; }; users.mutableUsers = false; users.users.root.initialHashedPassword = \"x\"; }"
    machines "$with $keys" "$with $keys $needed" "$with $keys $late_state" "$with $keys $needed $early_state" \
        "$with $keys $late_state $late_secret $remote_secret" "$with $needed $late_state"
    ordered 1 "$by, secrets"
    ordered 2 "$by, secrets that users need"
    ordered 3 "$by, the state on a disk that comes late"
    ordered 4 "$by, secrets that users need, the state on a disk that is needed for boot"
    ordered 5 "$by, everything on late disks"
    refused 6 "$by, secrets that users need, the state on a disk that comes late" 'set fileSystems."/srv/late".neededForBoot = true'
    [[ -n $maker ]] || continue
    write_units 6
    check "the refused machine would have a cycle" has_cycle
done

section "networkd, and file systems that are not there in time"
networkd='{ }'
! knows networking useNetworkd || networkd='{ networking.useNetworkd = true; networking.useDHCP = false; }'
machines "$keys $late_secret $networkd" \
    '{ fileSystems."/mnt/far" = { device = "server:/x"; fsType = "nfs"; }; services.waggle-agent.stateDir = "/mnt/far/waggle"; }' \
    "$needed $late_secret { deployment.keys.there.neededForUsers = true; }"
[[ $networkd == '{ }' ]] || ordered 1 "networkd"
refused 2 "the state on the network" "a file system of the network"
refused 3 "a secret that users need, on a disk that comes late" 'its path is /srv/da-ta/k/there, on /srv/da-ta'
