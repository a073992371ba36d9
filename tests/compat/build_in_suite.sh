#!/usr/bin/env bash
# build_in_suite.sh SUITE: compiles everything with the compiler and libraries of another Debian.
# The checkout is mounted read-only into that suite's root; objects stay in the cache, so the next run is short.
set -euo pipefail

suite=$1
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}
root=$("$source_dir/tests/system/roots.sh" build "$suite")
work=$cache/build-$suite
mkdir -p "$work"/{objects,upper,overlay-work,merged}

# A mount namespace of its own: when the script ends, however it ends, nothing stays mounted.
exec unshare -m --propagation private bash -euo pipefail -s "$root" "$source_dir" "$work" <<'INSIDE'
root=$1 source_dir=$2 work=$3 merged=$3/merged

mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/overlay-work" "$merged"
mkdir -p "$merged"/{source,objects}
mount --bind "$source_dir" "$merged/source"
mount -o remount,bind,ro "$merged/source"
mount --bind "$work/objects" "$merged/objects"
mount -t proc proc "$merged/proc"

# Warnings of a newer compiler are shown, not fatal: they may be news, and they never stop a user's build.
chroot "$merged" env -i PATH=/usr/bin:/bin HOME=/objects CCACHE_DIR=/objects/ccache bash -euo pipefail -c '
    g++ --version | head -n 1
    cmake -G Ninja -S /source -B /objects/build --log-level=WARNING \
        -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-Og -g1 -D_GLIBCXX_ASSERTIONS" -DWAGGLE_WERROR=OFF
    cmake --build /objects/build
    echo "everything compiles"'
INSIDE
