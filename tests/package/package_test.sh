#!/usr/bin/env bash
# Builds package.nix as Nix's build sandbox would: with the newest compiler and libraries (Debian sid is close to
# nixos-unstable), with only the inputs that package.nix names, from only the files that its filter keeps, as an
# unprivileged user without network, home and /usr/bin/env. Then checks the two outputs.
#
# The outputs stay in $WAGGLE_CACHE/package/outputs, because test nodes of that suite run the agent there.
set -euo pipefail

suite=sid
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}
root=$("$here/../system/roots.sh" build $suite)
work=$cache/package
rm -rf "$work/build" "$work/outputs" "$work/upper" "$work/overlay-work" "$work/merged"
mkdir -p "$work"/{ccache,build,outputs,upper,overlay-work,merged}

# The sources that Nix would build, and the attributes that describe the build.
store=$(mktemp -d)
trap 'chmod -R u+w "$store"; rm -rf "$store"' EXIT
describe() { # EXPRESSION [nix-instantiate arguments]
    nix-instantiate --store "$store" --eval --strict --json -E "let package = import $here/describe.nix; in $1" "${@:2}"
}
source=$(describe 'toString package.src' --read-write-mode | jq -r .)
cp -r "$store$source" "$work/build/source"
chmod -R u+w "$work/build/source"
describe '{ inherit (package) outputs cmakeFlags checkPhase postInstall; }' >"$work/build/attributes.json"
jq -r '.cmakeFlags[]' "$work/build/attributes.json" >"$work/build/cmake-flags"
jq -r .checkPhase "$work/build/attributes.json" >"$work/build/check-phase"
jq -r .postInstall "$work/build/attributes.json" >"$work/build/post-install"
cp "$here/phases.sh" "$work/build/"

chown -R 1000:100 "$work"/{ccache,build,outputs}

# In its own namespaces: however the script ends, nothing stays mounted and no process is left running.
unshare --mount --net --pid --ipc --uts --fork --kill-child --propagation private \
    bash -euo pipefail -s "$root" "$work" <<'INSIDE'
root=$1 work=$2 merged=$2/merged
ip link set lo up
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/overlay-work" "$merged"
mkdir -p "$merged"/{build,ccache,nix/store,usr/local/bin}
mount --bind "$work/build" "$merged/build"
mount --bind "$work/ccache" "$merged/ccache"
mount --bind "$work/outputs" "$merged/nix/store"
mount -t proc proc "$merged/proc"
mount -t tmpfs -o mode=1777 tmpfs "$merged/dev/shm"
printf '%s\n' 'root:x:0:0:Nix build user:/build:/noshell' 'nixbld:x:1000:100:Nix build user:/build:/noshell' \
    'nobody:x:65534:65534:Nobody:/:/noshell' >"$merged/etc/passwd"
printf '%s\n' 'root:x:0:' 'nixbld:!:100:' 'nogroup:x:65534:' >"$merged/etc/group"
printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$merged/etc/hosts"
mv "$merged/usr/bin/env" "$merged/usr/local/bin/env" # stdenv has the program, but not at that path
chroot --userspec=1000:100 "$merged" /usr/local/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/homeless-shelter TMPDIR=/tmp \
    CCACHE_DIR=/ccache CCACHE_MAXSIZE=2G NIX_BUILD_CORES="$(nproc)" bash -euo pipefail /build/phases.sh
INSIDE
