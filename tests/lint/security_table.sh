#!/usr/bin/env bash
# Checks that every test named in the table of docs/security.md exists, as a test of ctest ("system_way") or of
# GoogleTest ("Suite.Test", "Suite.*"). ctest lists the tests in $WAGGLE_BUILD_DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Takes "Suite.Test" from "program:Suite.Test" and from "Prefix/Suite.Test/Row", and the names of scripts.
known=$(ctest --test-dir "${WAGGLE_BUILD_DIR:?}" -N | sed -nE 's/^ *Test +#[0-9]+: //p' |
    sed -E 's/^[a-z_]+:([A-Za-z0-9]+\/)?([A-Za-z0-9]+\.[A-Za-z0-9]+).*/\2/' | sort -u)

# The words in backticks in the table's last column. In parentheses, or with a slash, a word is not a test's name.
named=$(sed -n '/^## Attack, defence, test/,$p' docs/security.md | sed -nE 's/^\|.*\|(.*)\|$/\1/p' |
    sed 's/([^)]*)//g' | grep -oE '`[^`/]+`' | tr -d '`' | sort -u)

findings=0
while read -r name; do
    if [[ $name == *.\* ]]; then
        grep -qF -- "${name%\*}" <<<"$known" && continue
    else
        grep -qxF -- "$name" <<<"$known" && continue
    fi
    echo "docs/security.md names the test $name, which does not exist" >&2
    findings=1
done <<<"$named"
count=$(wc -l <<<"$named")
((count > 40)) || { echo "docs/security.md: only $count tests found in the table" >&2; findings=1; }
echo "$count tests named"
exit $findings
