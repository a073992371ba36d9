#!/usr/bin/env bash
# Checks that every test named in the table of docs/explanation/security.md exists in $WAGGLE_BUILD_DIR, as a test of
# ctest ("system_way") or of GoogleTest ("Suite.Test", "Suite.*").
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Takes the names of scripts, and "Suite.Test" from "Prefix/Suite.Test/Row".
known=$({
    # From ctest's files: a ctest that is started here would overwrite the log of the run that this test is part of.
    find "${WAGGLE_BUILD_DIR:?}" -name CTestTestfile.cmake -exec sed -nE 's/^add_test\((\[=+\[)?([^] ]+).*/\2/p' {} +
    find "$WAGGLE_BUILD_DIR/tests" -name '*_test' -type f -executable -exec {} --gtest_list_tests \; |
        sed -E 's/ *#.*//' | awk '/^[^ ]/ { suite = $1 } /^ / { print suite $1 }' | sed -E 's|^[^./]*/||; s|/[^.]*$||'
} | sort -u)

# The words in backticks in the table's last column. In parentheses, or with a slash, a word is not a test's name.
named=$(sed -n '/^## Attack, defence, test/,$p' docs/explanation/security.md | sed -nE 's/^\|.*\|(.*)\|$/\1/p' |
    sed 's/([^)]*)//g' | grep -oE '`[^`/]+`' | tr -d '`' | sort -u)

findings=0
while read -r name; do
    if [[ $name == *.\* ]]; then
        grep -qF -- "${name%\*}" <<<"$known" && continue
    else
        grep -qxF -- "$name" <<<"$known" && continue
    fi
    echo "docs/explanation/security.md names the test $name, which does not exist" >&2
    findings=1
done <<<"$named"
count=$(wc -l <<<"$named")
((count > 40)) || { echo "docs/explanation/security.md: only $count tests found in the table" >&2; findings=1; }
echo "$count tests named"
exit $findings
