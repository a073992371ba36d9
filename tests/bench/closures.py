"""Synthetic closures for benchmarks: store paths with the real contents of this machine's /usr."""

import os
import random
import stat
import subprocess
import sys
from pathlib import Path

from fleet import laptop

STORE = Path("/nix/store")
ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # of Nix's hashes
LARGEST_FILE = 16_000_000
# The sizes of store paths vary by some orders of magnitude: this is a log-normal distribution whose mean is three times
# its median.
SIGMA = 1.5


def use_store_in_memory():
    """From now on, the laptop's store is empty, and ends with this run.

    The cached store would keep the closure; and a disk's first touch would be measured instead of the transfer.
    """
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "waggle-store", "/nix"], check=True)
    subprocess.run(["nix-store", "--init"], check=True)


def touch_memory(megabytes):
    """Touches memory that the run is going to need: on a virtual machine, the first touch of a page is slow."""
    file = laptop.RUN / "touched"
    zeros = bytes(1_000_000)
    try:
        with open(file, "wb") as out:
            for _ in range(megabytes):
                out.write(zeros)
    finally:
        file.unlink(missing_ok=True)


class ClosureMaker:
    """Fills store paths with neighbouring files of /usr, as those of a package are; no file is used twice, unless all are."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._files = list(_files_of_usr())
        self._used = set()
        if not self._files:
            sys.exit("closures: /usr has no files")

    def make(self, name, count, size):
        """A closure of `count` store paths with `size` bytes in their files; its root."""
        shares = [self._random.lognormvariate(0, SIGMA) for _ in range(count - 1)]
        paths, registrations, unreferenced = [], [], set()
        for number, share in enumerate(shares):
            path = self._new_path(f"{name}-{number:04}")
            references = self._random.sample(paths, min(len(paths), self._random.randint(1, 8)))
            self._fill(path, int(size * share / sum(shares)))
            registrations.append(_registration(path, references))
            unreferenced -= set(references)
            unreferenced.add(path)
            paths.append(path)
        root = self._new_path(name)
        registrations.append(_registration(root, sorted(unreferenced)))
        # It also computes the hashes, and gives the files the modes and times of a store.
        subprocess.run(["nix-store", "--register-validity"], input="".join(registrations), text=True, check=True)
        return str(root)

    def _new_path(self, name):
        path = STORE / f"{''.join(self._random.choices(ALPHABET, k=32))}-{name}"
        path.mkdir()
        return path

    def _fill(self, path, size):
        index = self._random.randrange(len(self._files))
        while size > 0:
            if len(self._used) == len(self._files):
                self._used.clear()
            index = (index + 1) % len(self._files)
            if index in self._used:
                continue
            self._used.add(index)
            try:
                size -= _copy_beginning(self._files[index], path, size)
            except FileNotFoundError:
                continue  # a package manager has removed it meanwhile


def _files_of_usr():
    for folder, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue  # a package manager has removed it meanwhile
            if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= LARGEST_FILE:
                yield file


def _copy_beginning(file, path, size):
    """Copies a file of /usr, or as much of it as `size` allows, to below the path; the number of bytes."""
    with open(file, "rb") as source:
        content = source.read(size)
        mode = os.fstat(source.fileno()).st_mode
    target = path / file.relative_to("/usr")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(mode & 0o777)
    return len(content)


def _registration(path, references):
    """What nix-store --register-validity reads; the references are also in a file, as a scan of the path would find."""
    (path / "references").write_text("".join(f"{reference}\n" for reference in references))
    return "\n".join([str(path), "", str(len(references)), *map(str, references)]) + "\n"


# --- what closures consist of ---


def requisites(path):
    return set(_query("--requisites", path))


def nar_bytes(paths):
    return sum(map(int, _query("--size", *sorted(paths))))


def _query(*arguments):
    command = ["nix-store", "--query", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
