#!/usr/bin/env bash
# build_in_root.sh suite SUITE [TARGET…]: compiles everything, or these targets, with compiler and libraries of SUITE.
# build_in_root.sh target PROCESSOR [--test]: compiles all for aarch64 or armhf; --test runs the unit tests in qemu.
#
# The checkout is mounted read-only into a root made for this purpose; objects stay in the cache, so the next run is
# fast. The resulting programs are in $WAGGLE_CACHE/build-NAME/objects/build.
set -euo pipefail

kind=$1 name=$2
shift 2
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}
run_tests=no pkg_config=
case $kind-$name in
suite-*) root=$("$source_dir/tests/system/roots.sh" build "$name") ;;
target-aarch64) triplet=aarch64-linux-gnu emulator=qemu-aarch64-static quiet= ;;
target-armhf) triplet=arm-linux-gnueabihf emulator=qemu-arm-static quiet=-Wno-psabi ;; # silences notes on older g++
*)
    echo "build_in_root.sh: there is no $kind '$name' (the targets are aarch64 and armhf)" >&2
    exit 2
    ;;
esac
if [[ $kind == suite ]]; then
    # Warnings of a newer compiler are shown but not fatal: they may be new, and they never stop a user's build.
    cmake_flags=(-DWAGGLE_WERROR=OFF)
else
    root=$("$source_dir/tests/system/roots.sh" cross "$name")
    cmake_flags=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$name" "-DCMAKE_CXX_COMPILER=$triplet-g++"
        "-DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/$emulator" "-DCMAKE_CXX_FLAGS=$quiet" -DWAGGLE_WERROR=ON)
    pkg_config=/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig
    if [[ ${1:-} == --test ]]; then run_tests=yes && shift; fi
fi
work=$cache/build-$name
mkdir -p "$work"/{objects,upper,overlay-work,merged}
printf '%s\n' "${cmake_flags[@]}" -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-Og -g1 -D_GLIBCXX_ASSERTIONS" \
    -DWAGGLE_FAULTS=ON >"$work/objects/cmake-flags"

# In its own namespaces: however the script ends, nothing stays mounted and no process is left running.
exec unshare --mount --net --pid --fork --kill-child --propagation private \
    bash -euo pipefail -s "$root" "$source_dir" "$work" "$run_tests" "$pkg_config" "$@" <<'INSIDE'
root=$1 source_dir=$2 work=$3 merged=$3/merged run_tests=$4 pkg_config=$5
shift 5

ip link set lo up
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/overlay-work" "$merged"
mkdir -p "$merged"/{source,objects}
mount --bind "$source_dir" "$merged/source"
mount -o remount,bind,ro "$merged/source"
mount --bind "$work/objects" "$merged/objects"
mount -t proc proc "$merged/proc"
mount -t tmpfs -o mode=1777 tmpfs "$merged/dev/shm"
# For a directory on disk, qemu passes 64-bit positions to a 32-bit program, whose readdir(3) then fails.
mount -t tmpfs -o mode=1777 tmpfs "$merged/tmp"
printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$merged/etc/hosts"

chroot "$merged" env -i PATH=/usr/bin:/bin HOME=/objects CCACHE_DIR=/objects/ccache RUN_TESTS="$run_tests" \
    ${pkg_config:+PKG_CONFIG_LIBDIR="$pkg_config"} bash -euo pipefail -c '
    mapfile -t flags </objects/cmake-flags
    cmake -G Ninja -S /source -B /objects/build --log-level=WARNING "${flags[@]}"
    "$(sed -n "s/^CMAKE_CXX_COMPILER:[A-Z]*=//p" /objects/build/CMakeCache.txt)" --version | sed -n 1p
    cmake --build /objects/build ${1:+--target "$@"}
    echo "${*:-everything} compiles"
    [[ $RUN_TESTS == no ]] || {
        WAGGLE_EMULATED=1 ctest --test-dir /objects/build --output-on-failure --no-tests=error -j "$(nproc)" -L "^unit\$"
        bash /source/tests/skipped_tests.sh /objects/build
    }' build "$@"
INSIDE
