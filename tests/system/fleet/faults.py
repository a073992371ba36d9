"""Planned faults: one step of one write to a persistent file of a node goes wrong, see shared/base/fault.hpp."""

import os
import shutil
from typing import NamedTuple


class Step(NamedTuple):
    """A moment of a write, and what goes wrong then: a plan in the format of fault.cpp."""

    command: str
    pattern: str
    label: str
    moment: str
    action: str


class Change(NamedTuple):
    """A folder's entry that was made, replaced or removed; saved/SAVED is what it was, "-" is none."""

    command: str
    entry: str
    label: str
    saved: str


class Faults:
    """The faults of a node. From allow() on, its agent writes a journal of what it writes and syncs."""

    def __init__(self, node):
        self.node = node
        self.folder = node.root / "var/lib/waggle-fault"
        self._journal = self.folder / "journal"

    def allow(self):
        """Call it once, when the node is up. It restarts the agent."""
        (self.folder / "saved").mkdir(parents=True)
        # Opens the daemon's sandbox for it.
        dropin = self.node.root / "usr/lib/systemd/system/waggle-agent.service.d/faults.conf"
        dropin.write_text("[Service]\nReadWritePaths=/var/lib/waggle-fault\n")
        self.node.succeed("systemctl daemon-reload && systemctl restart waggle-agent.service")

    def plan(self, *steps):
        """Plans no step, one, or two, of which the second one is for later; begins a new journal."""
        for name in ("journal", "hit", "plan", "next"):
            (self.folder / name).unlink(missing_ok=True)
        for saved in (self.folder / "saved").iterdir():
            saved.unlink()
        # The plan comes last, and complete.
        for name, step in reversed(list(zip(("plan", "next"), steps))):
            new = self.folder / f"{name}.new"
            new.write_text(" ".join(step) + "\n")
            new.rename(self.folder / name)

    def is_hit(self):
        """Whether the step was reached, and also the later one."""
        # In this order, because the fault point renames `plan` to `hit`, and then `next` to `plan`.
        hit, later, plan = (self.folder / name for name in ("hit", "next", "plan"))
        return hit.exists() and not later.exists() and not plan.exists()

    def cut_power(self):
        """Cuts the power, undoes what was not synced, and boots the node."""
        self.node.crash()
        self.lose_unsynced()
        self.node.start()

    def changes(self):
        """The changes since the plan that a power cut has not undone."""
        return [Change(*line[1:]) for line in self._lines() if line[0] == "change"]

    def states(self):
        """The states written since the plan that are on the disk, as text."""
        return " ".join(
            change.label for change in self.changes() if change.entry.endswith("/state.json") and change.label != "-"
        )

    def lose_unsynced(self):
        """Does the worst that a disk may do to a node whose power is off.

        It undoes every change of a folder's entry since the folder's last sync, and empties every file whose content
        was not synced. The journal's lines are:

        change COMMAND ENTRY LABEL SAVED    see Change
        content FILE, synced FILE           its content is in memory only; its content is on the disk
        moved FROM TO                       renamed
        folder FOLDER                       its entries are on the disk
        tree PATH, disk FOLDER              a store path that the Nix daemon was given: Nix has synced its database, but
                                            the path's files may be empty until the file system is synced
        """
        changes, on_disk = [], set()  # the latter has indices of the former
        files, trees = set(), set()  # whose content is not on the disk
        for what, *words in self._lines():
            if what == "change":
                changes.append(Change(*words))
            elif what == "content":
                files.add(words[0])
            elif what == "synced":
                files.discard(words[0])
            elif what == "moved":
                if words[0] in files:
                    files.remove(words[0])
                    files.add(words[1])
            elif what == "folder":
                on_disk |= {index for index, change in enumerate(changes) if os.path.dirname(change.entry) == words[0]}
            elif what == "tree":
                trees.add(words[0])
            elif what == "disk":
                trees.clear()
            else:
                raise AssertionError(f"the journal of {self.node} has an unknown line: {what} {words}")

        for index, change in reversed(list(enumerate(changes))):
            if index not in on_disk and change.saved != "folder":
                files.discard(change.entry)
                self._restore(change)
        for path in trees:
            for folder, _, names in os.walk(self._outside(path)):
                for name in names:
                    _empty(os.path.join(folder, name))
            _empty(self._outside(path))
        for path in files:
            _empty(self._outside(path))
        if self._journal.exists():
            kept = [change for index, change in enumerate(changes) if index in on_disk]
            self._journal.write_text("".join("\t".join(("change", *change)) + "\n" for change in kept))

    def _restore(self, change):
        entry = self._outside(change.entry)
        if os.path.isdir(entry) and not os.path.islink(entry):
            shutil.rmtree(entry)
        elif os.path.lexists(entry):
            os.unlink(entry)
        if change.saved != "-":
            shutil.copy2(self.folder / "saved" / change.saved, entry, follow_symlinks=False)

    def _outside(self, path):
        return f"{self.node.root}{path}"

    def _lines(self):
        try:
            return [line.split("\t") for line in self._journal.read_text().splitlines()]
        except FileNotFoundError:
            return []


def _empty(path):
    if os.path.isfile(path) and not os.path.islink(path):
        os.truncate(path, 0)
