#!/usr/bin/env bash
# Debian root folders that tests boot or chroot into, made once by mmdebstrap and cached.
#
#   roots.sh node [SUITE]   what a test node boots: bookworm or sid with systemd, Nix and the agent's libraries
#   roots.sh nix SUITE      trixie or sid, with that suite's Nix (for nix-daemon --stdio in a chroot)
#   roots.sh build SUITE    trixie or sid, with what package.nix names, for `./dev build --suite` and the package test
#   roots.sh cross TARGET   bookworm with a cross compiler for aarch64 or armhf, that processor's libraries, and qemu
#
# Prints the root's path. Never write to that folder: put an overlay on it, or a private mount namespace.
# Exits with 69 if the mirror cannot provide sid, which changes every day: callers that need it then skip, and say so.
# The folder's name ends in a hash of its recipe, so a changed package list makes a new root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}
recipe_version=3  # increase it if anything other than a package list changes how a root is made

say() { printf 'roots: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

node_packages=(systemd systemd-sysv dbus iproute2 nftables nix-bin openssh-client)

recipe() { # KIND SUITE: the packages, one per line
    case $1-$2 in
        node-bookworm)
            printf '%s\n' "${node_packages[@]}" libssl3 libstdc++6 libspdlog1.10 libfmt9 libzstd1 zlib1g ;;
        node-sid)
            printf '%s\n' "${node_packages[@]}" libstdc++6
            agent_libraries "$2" ;;
        nix-trixie)
            echo nix-bin ;;
        build-trixie | build-sid)
            echo ccache
            "$here/../package/debian_packages.sh" ;;
        cross-aarch64 | cross-armhf)
            printf '%s\n' ccache qemu-user-static
            # Debian 12's default version of Boost is too old.
            "$here/../package/debian_packages.sh" --for "$(debian_architecture "$2")" |
                sed 's/^libboost-dev:/libboost1.81-dev:/' ;;
        *)
            die "no recipe for '$1 $2' (there are: node bookworm, node sid, nix trixie, nix sid, build trixie, build sid," \
                "cross aarch64, cross armhf)" ;;
    esac
}

suite_of() { # KIND SUITE|TARGET
    if [[ $1 == cross ]]; then echo bookworm; else echo "$2"; fi
}

debian_architecture() { # TARGET
    if [[ $1 == aarch64 ]]; then echo arm64; else echo "$1"; fi
}

# The agent is linked with the libraries of the suite it is built in. Their packages have other names in each suite:
# they are the dependencies of that suite's development packages.
agent_libraries() { # SUITE
    local root
    root=$("$here/roots.sh" build "$1")
    dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Depends}\n' libssl-dev libfmt-dev libspdlog-dev libsystemd-dev libzstd-dev |
        tr ',' '\n' | sed -nE 's/^ *(lib[^ ]*).*/\1/p' | grep -v -- '-dev$' | sort -u
}

# The Debian mirror this machine installs from: the first one whose entry lists component "main" of a suite that
# is not a security or backports one. Both forms of apt's sources are read, deb822 first.
mirror() {
    if [[ -n ${WAGGLE_DEBIAN_MIRROR:-} ]]; then echo "$WAGGLE_DEBIAN_MIRROR"; return; fi
    {
        { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } | awk '
            function flush() {
                if (types ~ /(^| )deb( |$)/ && components ~ /(^| )main( |$)/ && suites !~ /security|backports/ &&
                    uris != "" && (signed ~ /debian-archive/ || uris ~ /\/debian\/?( |$)/) && enabled != "no") {
                    split(uris, uri, " "); print uri[1]
                }
                types = uris = suites = components = signed = enabled = ""
            }
            /^[ \t]*$/ { flush(); next }
            /^#/ { next }
            {
                value = $0; sub(/^[^:]*:[ \t]*/, "", value)
                key = tolower($1)
                if (key == "types:") types = value
                else if (key == "uris:") uris = value
                else if (key == "suites:") suites = value
                else if (key == "components:") components = value
                else if (key == "signed-by:") signed = value
                else if (key == "enabled:") enabled = tolower(value)
            }
            END { flush() }'
        { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | awk '
            $1 == "deb" {
                line = $0; sub(/^deb[ \t]+(\[[^]]*\][ \t]*)?/, "", line); split(line, word, /[ \t]+/)
                if (word[1] ~ /\/debian\/?$/ && line ~ / main( |$)/ && word[2] !~ /security|backports/) print word[1]
            }'
    } | sed -n 1p
}

make_root() { # KIND SUITE|TARGET FOLDER
    local kind=$1 variant=$2 target=$3 suite uri packages foreign log
    suite=$(suite_of "$kind" "$variant")
    [[ $(id -u) = 0 ]] || die "making a root needs to run as root (mmdebstrap)"
    command -v mmdebstrap >/dev/null || die "mmdebstrap is not installed: run ./dev setup"
    [[ -r /usr/share/keyrings/debian-archive-keyring.gpg ]] ||
        die "package debian-archive-keyring is not installed: run ./dev setup"
    uri=$(mirror)
    [[ -n $uri ]] || die "no Debian mirror found in /etc/apt (set WAGGLE_DEBIAN_MIRROR to one)"
    packages=$(recipe "$kind" "$variant" | { grep -v : || true; } | paste -sd,)
    mapfile -t foreign < <(recipe "$kind" "$variant" | { grep : || true; })
    log=$target.log
    say "making the $kind root ($variant), about a minute; log: $log"
    # In a mount namespace of its own, so that no /proc stays mounted in a folder that may be deleted.
    # unsafe-io: a root that a power cut spoils is made again. The mirror may be a snapshot, whose dates are past.
    if ! DPKG_FORCE=unsafe-io LC_ALL=C unshare -m --propagation private mmdebstrap --mode=root --variant=minbase \
        --format=directory --include="$packages" --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$target" "$uri" </dev/null >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -rf "$target"
        say "mmdebstrap of $suite failed, see above. If it is a signature, the package debian-archive-keyring is too old for $suite."
        [[ $suite == sid ]] || exit 1
        say "SKIP  whatever needs the $kind root of sid: the mirror cannot provide it today"
        exit 69
    fi
    if ((${#foreign[@]})) && ! add_foreign "$target" "${foreign[@]}" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -rf "$target"
        die "the mirror cannot provide the foreign packages of the $kind root ($variant), see above"
    fi
    rm -rf "$target"/var/cache/apt/archives/*.deb "$target"/var/lib/apt/lists/*
    mkdir -p "$target/nix"  # to mount on: not every Nix makes it when it is installed
    mkdir -p "$target/run/systemd"  # mmdebstrap empties /run, and systemd-analyze needs this folder
    # Booted copies create their own identity.
    rm -f "$target"/etc/machine-id "$target"/var/lib/dbus/machine-id "$target"/etc/ssh/ssh_host_*
    : >"$target/etc/machine-id"
    rm -f "$log"
}

# Installs packages of another architecture. Those for all architectures (headers) have no suffix.
add_foreign() { # FOLDER PACKAGE:ARCHITECTURE…
    # shellcheck disable=SC2016  # expands in the root
    chroot "$1" env DEBIAN_FRONTEND=noninteractive DPKG_FORCE=unsafe-io LC_ALL=C bash -euc '
        dpkg --add-architecture "${1#*:}"
        apt-get -qq update
        packages=()
        for package in "$@"; do
            apt-cache show "$package" >/dev/null 2>&1 || package=${package%:*}
            packages+=("$package")
        done
        apt-get -qq install -y --no-install-recommends "${packages[@]}"' _ "${@:2}" </dev/null
}

main() {
    local kind=${1:-} suite=${2:-} stamp root
    case $kind in
        node) suite=${suite:-bookworm} ;;
        nix | build | cross) [[ -n $suite ]] || die "usage: roots.sh $kind SUITE, or TARGET" ;;
        *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    [[ $kind-$suite != nix-sid ]] || kind=node # a node of sid has that Nix
    local packages; packages=$(recipe "$kind" "$suite")
    stamp=$(printf '%s\n' "$recipe_version" "$packages" | sha256sum | cut -c1-8)
    mkdir -p "$cache/roots"
    root=$cache/roots/$kind-$suite-$stamp
    if [[ ! -d $root ]]; then
        exec 9>"$cache/roots/$kind-$suite.lock"
        flock 9
        if [[ ! -d $root ]]; then
            rm -rf "$cache/roots/.$kind-$suite-"*  # left behind by a run that was killed
            partial=$cache/roots/.$kind-$suite-$stamp.$$
            # shellcheck disable=SC2064  # the path of now
            trap "rm -rf '$partial'" EXIT
            trap 'exit 130' INT TERM
            make_root "$kind" "$suite" "$partial"
            mv -T "$partial" "$root"
            # Deletes roots of older recipes that no run has used for a month.
            find "$cache/roots" -maxdepth 1 -name "$kind-$suite-*" -type d -mtime +30 -exec rm -rf {} +
        fi
        exec 9>&-
    fi
    touch "$root"
    echo "$root"
}

main "$@"
