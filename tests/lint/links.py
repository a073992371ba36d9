#!/usr/bin/python3
"""Checks that every relative link of a Markdown file leads to a file and a heading of the repository, and that every
path below docs/ or examples/ that any file names exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def without_blocks(text):
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)


def prose(text):
    """The text without code."""
    return re.sub(r"`[^`\n]*`", "", without_blocks(text))


def anchors(file):
    """The anchors that GitHub gives to a file's headings."""
    found, numbers = set(), {}
    for heading in re.findall(r"^#+ +(.*?)$", without_blocks(file.read_text()), re.M):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number = numbers[words] = numbers.get(words, -1) + 1
        found.add(f"{words}-{number}" if number else words)
    return found


def broken_links(file, text):
    for link in re.findall(r"\[[^]]*\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists():
            yield f"the link {link} leads to no file"
        elif anchor and anchor not in anchors(target):
            yield f"the link {link} leads to no heading"


def missing_paths(text):
    for path in re.findall(r"(?<![$\w/.-])((?:docs|examples)/[\w/.-]*\w)", text):
        if not (ROOT / path).exists():
            yield f"{path} does not exist"


def main():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    findings = 0
    for file in (ROOT / name for name in listed):
        try:
            text = file.read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        problems = list(missing_paths(text))
        if file.suffix == ".md":
            problems += broken_links(file, text)
        for problem in problems:
            print(f"{file.relative_to(ROOT)}: {problem}", file=sys.stderr)
        findings += len(problems)
    return findings > 0


if __name__ == "__main__":
    sys.exit(main())
