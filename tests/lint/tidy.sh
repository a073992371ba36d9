#!/usr/bin/env bash
# tidy.sh BUILD_DIR [FOLDER…]: clang-tidy over all our translation units, or those in these folders, as many at a time as there
# are cores.
# A file that passed is not checked again while it, our headers that it includes, the checks and clang-tidy itself stay
# what they are: the cache has a stamp named by the hash of all that.
# Files with Beast in them are checked like the rest; each takes some 20 s.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export build_dir=$1
shift
export CLANG_TIDY=${CLANG_TIDY:-clang-tidy-19}
export stamps=${WAGGLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waggle}/lint

# FILE and every file of ours that it includes, directly or not. Ours are included by full path, so text is enough.
with_headers() {
    local -A seen=()
    local new=("$1") name
    while ((${#new[@]})); do
        for name in "${new[@]}"; do seen[$name]=1; done
        mapfile -t new < <(
            sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' "${new[@]}" | sort -u |
                while read -r name; do [[ -n ${seen[$name]:-} || ! -f $name ]] || echo "$name"; done
        )
    done
    printf '%s\n' "${!seen[@]}" | sort
}

check() {
    local file=$1 state output
    state=$({
        echo "$tidy_version"
        with_headers "$file" | xargs sha256sum .clang-tidy cmake/settings.cmake
    } | sha256sum | cut -d' ' -f1)
    [[ ! -e $stamps/$state ]] || return 0
    echo "tidy: $file" >&2
    # -w: the compiler's own warnings are the compiler's matter, and clang does not know all of g++'s options.
    if output=$("$CLANG_TIDY" -p "$build_dir" --quiet --extra-arg=-w "$file" 2>&1); then
        touch "$stamps/$state"
    else
        grep -v 'warnings generated' <<<"$output"
        return 1
    fi
}
export -f check with_headers

mkdir -p "$stamps"
find "$stamps" -type f -mtime +30 -delete
tidy_version=$("$CLANG_TIDY" --version)
export tidy_version

ours=$(git ls-files --cached --others --exclude-standard -- '*.cpp' | sort)
compiled=$(jq -r '.[].file' "$build_dir/compile_commands.json" | sed "s|^$PWD/||" | sort -u)
uncompiled=$(comm -23 <(echo "$ours") <(echo "$compiled"))

if (($#)); then
    folders=$(IFS='|' && echo "$*")
    compiled=$(grep -E "^($folders)/" <<<"$compiled")
fi

failed=0
if [[ -n $uncompiled ]]; then
    echo "tidy: in no CMakeLists.txt, so neither compiled nor checked:" "$uncompiled" >&2
    failed=1
fi
# shellcheck disable=SC2016  # $1 is the inner shell's
xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'check "$1"' _ {} <<<"$compiled" || failed=1
exit $failed
