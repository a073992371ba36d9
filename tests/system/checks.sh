# shellcheck shell=bash
# The checks of system tests. Each `check` prints a line; the first one that fails ends the test and prints the last
# waggle's output and the nodes' journals.

# shellcheck source=SCRIPTDIR/nodes.sh
[[ -v node_boot_deadline ]] || source "$(dirname "${BASH_SOURCE[0]}")/nodes.sh"

# Reports a failed command whose exit code the test does not check, and which therefore ends the test.
unexpected_end() { # EXIT-CODE COMMAND
    local code=$1 command=$2 i
    ((BASH_SUBSHELL == 0)) || return 0 # the caller decides
    trap - ERR
    printf 'FAIL  this ended with %s: %s\n' "$code" "$command"
    for ((i = 1; i < ${#FUNCNAME[@]}; ++i)); do
        printf '      %s line %s\n' "${BASH_SOURCE[i]}" "${BASH_LINENO[i - 1]}"
    done
    fail_with_logs "this ended with $code: $command"
}
set -o errtrace
trap 'unexpected_end "$?" "$BASH_COMMAND"' ERR

current_section=
section() { current_section=$*; printf '\n== %s\n' "$*"; }

# check "what must hold" COMMAND…
check() {
    local what=$1; shift
    if "$@"; then
        printf 'ok    %s\n' "$what"
    else
        printf 'FAIL  %s\n      not true: %s\n' "$what" "$*"
        fail_with_logs "$what: not true: $*"
    fi
}

equal() { [[ $1 == "$2" ]] || { printf '      got %q\n      not %q\n' "$1" "$2"; return 1; }; }
differ() { [[ $1 != "$2" ]] || { printf '      both are %q\n' "$1"; return 1; }; }
at_most() { (($1 <= $2)) || { echo "      $1 is more than $2"; return 1; }; }
at_least() { (($1 >= $2)) || { echo "      $1 is less than $2"; return 1; }; }
no() { ! "$@"; }

# Repeats the failure at the end, because tools that shorten long output leave out its middle.
fail_with_logs() { # FAILURE
    local name
    if [[ -s ${out:-} ]]; then
        echo "--- the last waggle (exit ${status:-?}):"
        tail -n 60 "$out"
    fi
    for name in "${node_names[@]}"; do
        echo "--- journal of $name:"
        node_journal "$name" -n 25 -u waggle-agent -u waggle-activation -u nix-daemon 2>&1 || tail -n 5 "$run/nodes/$name/console"
    done
    printf -- '--- FAIL in "%s": %s\n' "$current_section" "$1"
    exit 1
}
