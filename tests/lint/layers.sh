#!/usr/bin/env bash
# Who may include whom. Arrows point down only: agent and trigger → shared; inside shared
# protocol → secret → ssh → base, protocol → nix → base; net may use all of shared; only net includes Asio and Beast, only the trigger libgit2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Folder, and the folders that it may include besides itself.
allowed() {
    case $1 in
    shared/base) echo ;;
    shared/ssh | shared/nix) echo shared/base ;;
    shared/secret) echo shared/base shared/ssh ;;
    shared/protocol) echo shared/base shared/ssh shared/secret shared/nix ;;
    shared/net) echo shared/base shared/ssh shared/secret shared/nix shared/protocol ;;
    agent | trigger) echo shared ;;
    tests) echo shared agent trigger tests ;;
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

for folder in shared/* agent trigger tests; do
    [[ -d $folder ]] || continue
    allowed_pattern="^($(echo "$folder $(allowed "$folder")" | sed 's/ *$//; s/ /|/g'))/"
    while IFS=: read -r file line include; do
        [[ $include =~ $allowed_pattern ]] || finding "$file:$line: $folder must not include \"$include\""
    done < <(grep -rnoP --include='*.[ch]pp' '^\s*#\s*include\s*"\K[^"]+' "$folder" || true)
done

for rule in "${reserved[@]}"; do
    read -r pattern owner <<<"$rule"
    while IFS=: read -r file line include; do
        [[ $file == "$owner"/* ]] || finding "$file:$line: only $owner includes <$include>"
    done < <(grep -rnoP --include='*.[ch]pp' "^\s*#\s*include\s*[<\"]\K($pattern)[^>\"]*" shared agent trigger tests || true)
done

exit $findings
