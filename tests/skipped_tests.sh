#!/usr/bin/env bash
# skipped_tests.sh BUILD_DIR: prints what the tests of the last run skipped, and why. ctest prints nothing of a test that
# passes, and a program with hundreds of tests passes even if some of them are skipped.
set -euo pipefail

# GoogleTest prints "FILE:LINE: Skipped" and the reason on the next line; our scripts print "SKIP  …", pytest
# "SKIPPED [1] FILE:LINE: …".
sed -nE '/^[^ ]+:[0-9]+: Skipped$/ { N; s/^.*\/([^/]+): Skipped\n/skipped: \1: /p }
    s/^SKIP +/skipped: /p; s/^SKIPPED \[[0-9]+\] /skipped: /p' \
    "$1/Testing/Temporary/LastTest.log" | sort | uniq
