#!/usr/bin/env bash
# commit_subjects.sh [MESSAGE_FILE]: checks the subject of every commit since the rule was introduced, or of the message
# in the file (so that git can call it as a commit-msg hook): "area: imperative summary", at most 72 characters.
set -euo pipefail
export LC_ALL=C.UTF-8

rule_exists_since=2026-11-23
max_characters=72

findings=0
check() { # SUBJECT WHERE
    local problem=''
    if ((${#1} > max_characters)); then
        problem="has ${#1} characters, but $max_characters are the limit"
    elif [[ ! $1 =~ ^[a-z0-9-]+(,\ [a-z0-9-]+)*:\ [^A-Z\ ].*[^.]$ ]]; then
        problem='is not of the form "area: imperative summary" (lower case, no full stop)'
    fi
    [[ -n $problem ]] || return 0
    printf 'commit subject: %s: "%s" %s\n' "$2" "$1" "$problem" >&2
    findings=1
}

if (($#)); then
    subject=$(sed '/^#/d' "$1" | sed -n '/./{p;q}')
    # Skip subjects that git itself writes: merges, reverts, and commits that a later rebase squashes.
    [[ $subject =~ ^(Merge|Revert|fixup!|squash!|amend!)\  ]] || check "$subject" "this commit"
else
    cd "$(dirname "${BASH_SOURCE[0]}")/../.."
    while read -r commit subject; do
        check "$subject" "$commit"
    done < <(git log --no-merges --since="$rule_exists_since" --format='%h %s' 2>/dev/null)
fi
exit $findings
