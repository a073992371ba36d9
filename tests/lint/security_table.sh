#!/usr/bin/env bash
# Every test that the table of docs/security.md names exists: as a test of ctest ("system_way") or of GoogleTest ("Suite.Test",
# "Suite.*"). $WAGGLE_BUILD_DIR is where ctest knows them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# "Suite.Test" of "program:Suite.Test", "Prefix/Suite.Test/Row"; and the names of scripts.
known=$(ctest --test-dir "${WAGGLE_BUILD_DIR:?}" -N | sed -nE 's/^ *Test +#[0-9]+: //p' |
    sed -E 's/^[a-z_]+:([A-Za-z0-9]+\/)?([A-Za-z0-9]+\.[A-Za-z0-9]+).*/\2/' | sort -u)

# What is in backticks in the table's last column; in parentheses, or with a slash, it is no test's name.
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
