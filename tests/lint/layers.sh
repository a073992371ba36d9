#!/usr/bin/env bash
# Checks which folder may include which: docs/explanation/architecture.md has the drawing. Arrows point down only, and
# no files include each other in a cycle. Only shared/net includes Asio and Beast, only the trigger libgit2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Prints the folders that files of a folder may include in addition to their own.
allowed() {
    case $1 in
    shared/base) echo ;;
    shared/ssh | shared/nix | shared/cli) echo shared/base ;;
    shared/age) echo shared/base shared/ssh ;;
    shared/protocol) echo shared/base shared/ssh shared/age shared/nix ;;
    shared/net) echo shared/base shared/ssh shared/age shared/nix shared/protocol ;;
    agent/state) echo shared ;;
    agent/node) echo shared agent/state ;;
    agent/units | agent/secrets) echo shared agent/state agent/node ;;
    # These are two processes: the daemon writes nothing but its state; the activation changes the system, in units of
    # its own.
    agent/daemon | agent/activation) echo shared agent/state agent/node agent/units agent/secrets ;;
    agent/console) echo shared agent/state agent/node agent/activation ;;
    agent) echo shared agent ;;
    trigger/base | trigger/report) echo shared ;;
    trigger/hive) echo shared trigger/base ;;
    trigger/secrets) echo shared trigger/hive ;;
    trigger/eval) echo shared trigger/base trigger/hive trigger/secrets ;;
    trigger/connect) echo shared trigger/base trigger/hive ;;
    trigger/build) echo shared trigger/connect trigger/hive trigger/report ;;
    trigger/deploy) echo shared trigger/base trigger/build trigger/connect trigger/hive trigger/report trigger/secrets ;;
    trigger/command | trigger) echo shared trigger ;;
    tests*) echo shared agent trigger tests ;;
    *) return 1 ;;
    esac
}

# Library headers that only one folder may include, as "pattern folder".
reserved=(
    'boost/(asio|beast) shared/net'
    'git2 trigger'
)

findings=0
finding() {
    echo "layers: $1" >&2
    findings=1
}

# Prints every include of our own files, as "file:line:included".
includes() {
    grep -rnoP --include='*.[ch]pp' '^\s*#\s*include\s*"\K[^"]+' "$@"
}

declare -A allowed_in
while IFS=: read -r file line include; do
    folder=${file%/*}
    others=${allowed_in[$folder]-} # a process for each of thousands of lines would take half a minute
    if [[ -z $others ]]; then
        others=$(allowed "$folder") || { finding "$folder: this folder has no rule"; continue; }
        allowed_in[$folder]=${others:= }
    fi
    [[ $include =~ ^("${folder}"|${others// /|})/ ]] || finding "$file:$line: $folder must not include \"$include\""
done < <(includes shared agent trigger tests)

# A unit is a file with its header: "agent/cli" is agent/cli.hpp and agent/cli.cpp.
cycle=$(includes shared agent trigger | sed -E 's/\.[ch]pp:[0-9]+:/ /; s/\.[ch]pp$//' | awk '$1 != $2' | tsort 2>&1 >/dev/null) ||
    finding "files include each other in a cycle: $(sed -nE 's/^tsort: ((shared|agent|trigger)\/)/\1/p' <<<"$cycle" | paste -sd ' ')"

for rule in "${reserved[@]}"; do
    read -r pattern owner <<<"$rule"
    while IFS=: read -r file line include; do
        [[ $file == "$owner"/* ]] || finding "$file:$line: only $owner includes <$include>"
    done < <(grep -rnoP --include='*.[ch]pp' "^\s*#\s*include\s*[<\"]\K($pattern)[^>\"]*" shared agent trigger tests || true)
done

# Only new versions of fmt insist on it, and files that are compiled together see each other's includes.
while read -r file; do
    finding "$file: fmt::join needs #include <fmt/ranges.h>"
done < <(grep -rl --include='*.[ch]pp' 'fmt::join' shared agent trigger tests | xargs grep -L '<fmt/ranges.h>' || true)

exit $findings
