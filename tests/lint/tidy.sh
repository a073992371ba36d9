#!/usr/bin/env bash
# tidy.sh BUILD_DIR: runs clang-tidy over all our translation units, as many at a time as there are cores. If a build
# folder compiles several files as one (Unity/unity_0_cxx.cxx, which includes them), they are checked as one, which
# takes a fifth of the time. A unit that passed is not checked again as long as its files, our headers that they
# include, the checks and clang-tidy itself are unchanged: the cache has a stamp named by the hash of all these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export build_dir=$1
export CLANG_TIDY=${CLANG_TIDY:-clang-tidy-19}
export stamps=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}/lint

# Prints our files that each FILE includes, as paths from here.
included_by() { # FILE…
    sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' "$@" | sed "s|^$PWD/||" | sort -u
}

# Prints FILE and all our files that it includes, directly or indirectly. They are included by full path, so a search of
# the text is enough.
with_headers() {
    local -A seen=()
    local new=("$1") name
    while ((${#new[@]})); do
        for name in "${new[@]}"; do seen[$name]=1; done
        mapfile -t new < <(included_by "${new[@]}" | while read -r name; do [[ -n ${seen[$name]:-} || ! -f $name ]] || echo "$name"; done)
    done
    printf '%s\n' "${!seen[@]}" | sort
}

check() {
    local unit=$1 state output
    state=$({
        echo "$tidy_version"
        with_headers "$unit" | xargs sha256sum .clang-tidy cmake/settings.cmake
    } | sha256sum | cut -d' ' -f1)
    [[ ! -e $stamps/$state ]] || return 0
    echo "tidy: $unit" >&2
    # -w: compiling already reports the compiler's own warnings.
    if output=$("$CLANG_TIDY" -p "$build_dir" --quiet --extra-arg=-w "$unit" 2>&1); then
        touch "$stamps/$state"
    else
        grep -v 'warnings generated' <<<"$output"
        return 1
    fi
}
export -f check with_headers included_by

mkdir -p "$stamps"
find "$stamps" -type f -mtime +30 -delete
tidy_version=$("$CLANG_TIDY" --version)
export tidy_version

ours=$(git ls-files --cached --others --exclude-standard -- '*.cpp' | sort)
units=$(jq -r '.[].file' "$build_dir/compile_commands.json" | sed "s|^$PWD/||" | sort -u)
mapfile -t unities < <(grep '/Unity/' <<<"$units")
compiled=$({
    grep -v '/Unity/' <<<"$units" || true
    included_by /dev/null "${unities[@]}"
} | sort -u)
uncompiled=$(comm -23 <(echo "$ours") <(echo "$compiled"))

failed=0
if [[ -n $uncompiled ]]; then
    echo "tidy: in no CMakeLists.txt, so neither compiled nor checked:" "$uncompiled" >&2
    failed=1
fi
# shellcheck disable=SC2016  # $1 is the inner shell's
xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'check "$1"' _ {} <<<"$units" || failed=1
exit $failed
