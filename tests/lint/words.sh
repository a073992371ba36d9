#!/usr/bin/env bash
# Words and idioms that CONTRIBUTING.md asks to avoid, in code, comments, messages and documentation (tests have check titles
# and inputs of their own). Each has a plainer or a standard term; docs/reference/glossary.md has ours.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# "pattern → what to write"; patterns are extended regular expressions for whole words, in any case.
rules=(
    'anew → again'
    '(system|agent|secrets|unit|units|one) of before → the previous …'
    '(is|are|was|were) (said|told) → logs, reports, prints, returns'
    '(let|lets) go of → release, delete'
    '(take|takes|taking) up again → resume'
    '(call|calls|called) off → cancel'
    '(hand|hands) off → leave unmodified'
    '(held|hold) against → compare with, verify against'
    'whoever → the caller, another process, the operator'
    'by whomever → by any process'
    'last word → (say what decides)'
    'stranger → a peer that is not an operator'
    '(goes|go|going|went) back to the (system|agent|generation) → rolls back'
    'way back → rollback'
    'come of it → (say what happens)'
)

findings=0
for rule in "${rules[@]}"; do
    pattern=${rule%% → *}
    # The wire name "taken-back", and prose such as "takes up space", match none of these.
    while IFS= read -r hit; do
        echo "words: $hit" >&2
        echo "       write instead: ${rule#* → }" >&2
        findings=1
    done < <(git grep -nIEiw -e "$pattern" -- agent shared trigger docs nixos-module cmake dev '*.md' ':!docs/reference/glossary.md' || true)
done
exit $findings
