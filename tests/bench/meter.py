"""Measures commands that transfer something to nodes: wall time, the CPU time and memory of all processes on both ends,
and the bytes on the wire."""

import os
import select
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fleet import comes_true, laptop

TIMEOUT = 3600  # seconds, for a single command
PROGRAMS = {"waggle", "waggle-agent", "nix-daemon", "nix", "nix-store", "nix-copy-closure", "ssh", "sshd"}
FORKING = {"nix-daemon", "sshd"}  # a child of theirs serves a connection
NAMES = {program[:15]: program for program in PROGRAMS}  # the kernel cuts the names of processes


class Group:
    """A control group for processes that a measurement starts on the laptop: join() is for their preexec_fn."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._processes = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def join(self):
        os.write(self._processes, b"0")

    def remove(self):
        """Ends what still runs in it."""
        os.close(self._processes)
        (self.folder / "cgroup.kill").write_text("1")
        comes_true(self._is_removed, 10)

    def _is_removed(self):
        try:
            self.folder.rmdir()
        except OSError:
            return False  # killed processes need a moment to end
        return True


class Meter:
    """Measures what happens on the laptop in `client`, on the nodes themselves, and in `server`.

    `server` is for what runs on the laptop in a node's place. What still runs in them at the end of the context is killed.
    """

    def __init__(self, nodes):
        self._nodes = list(nodes)
        folder = self._nodes[0].cgroup()
        self.client = Group(folder.with_name(f"{laptop.RUN_ID}.client"))
        self.server = Group(folder.with_name(f"{laptop.RUN_ID}.server"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.remove()
        self.server.remove()

    def measure(self, start):
        """Measures the process that start() starts, which joins `client`; its exit code and the figures.

        peak_mib has the resident memory of each program, on the laptop and on a node: the peak of all its processes
        that ran at the same time on one machine.
        """
        cpu, wire = self._cpu_seconds(), self._wire_bytes()
        memory = Memory(
            [self.client.folder], [self.server.folder, *(node.cgroup() for node in self._nodes)], len(self._nodes)
        )
        with memory.watch():
            began = time.monotonic()
            exit_code = _wait(start())
            wall = time.monotonic() - began
        figures = {
            "wall_s": round(wall, 3),
            "cpu_s": round(self._cpu_seconds() - cpu, 3),
            "wire_bytes": self._wire_bytes() - wire,
            "peak_mib": {
                place: {name: round(kib / 1024, 1) for name, kib in sorted(peaks.items())}
                for place, peaks in memory.peaks.items()
            },
        }
        return exit_code, figures

    def _cpu_seconds(self):
        folders = [self.client.folder, self.server.folder, *(node.cgroup() for node in self._nodes)]
        return sum(_cpu_microseconds(folder) for folder in folders) / 1e6

    def _wire_bytes(self):
        return sum(node.bytes_received() for node in self._nodes)


class Memory:
    """The peaks of resident memory, in KiB, by place ("laptop" and "node") and program."""

    def __init__(self, laptop_groups, node_groups, nodes):
        self.peaks = {"laptop": {}, "node": {}}
        self._groups = [("laptop", group) for group in laptop_groups] + [("node", group) for group in node_groups]
        self._period = 0.1 if nodes == 1 else 0.25
        self._before = set()
        self._over = threading.Event()

    @contextmanager
    def watch(self):
        thread = threading.Thread(target=self._run, name="memory")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _run(self):
        while not self._over.wait(self._period):
            self._look()

    def _look(self):
        # A child that has not started its program yet looks like a second process with its parent's memory. Of the
        # programs whose children go on as what they are, only those processes count that were there before.
        seen = set()
        for place, group in self._groups:
            statuses = dict(_statuses(group))
            sums = {}
            for process, status in statuses.items():
                parent = statuses.get(status.parent)
                if parent and parent.name == status.name and status.name not in FORKING:
                    continue
                seen.add((process, status.name))
                if (process, status.name) in self._before:
                    sums[status.name] = sums.get(status.name, 0) + status.peak_kib
            peaks = self.peaks[place]
            for name, kib in sums.items():
                peaks[NAMES[name]] = max(peaks.get(NAMES[name], 0), kib)
        self._before = seen


def _wait(process):
    """Waits for the end of a process to the millisecond; Popen.wait() with a deadline looks only every 50 ms."""
    descriptor = os.pidfd_open(process.pid)
    try:
        ended, _, _ = select.select([descriptor], [], [], TIMEOUT)
        if not ended:
            sys.exit(f"transfer: gave up after {TIMEOUT} s: {process.args}")
    except BaseException:
        process.kill()
        raise
    finally:
        os.close(descriptor)
        exit_code = process.wait()
    return exit_code


def _cpu_microseconds(group):
    for line in (group / "cpu.stat").read_text().splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value)
    raise AssertionError(f"{group} has no CPU time")


class Status(NamedTuple):
    """What the kernel tells about a process. peak_kib is its largest resident memory so far."""

    name: str
    parent: str
    peak_kib: int


def _statuses(group):
    """The processes of a control group that run one of the programs, with their status."""
    for folder, _, _ in os.walk(group):
        try:
            processes = Path(folder, "cgroup.procs").read_text().split()
        except OSError:
            continue  # the group has just gone
        for process in processes:
            try:
                lines = Path(f"/proc/{process}/status").read_text().splitlines()
            except OSError:
                continue  # the process has just gone
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if fields["Name"] in NAMES and "VmHWM" in fields:
                yield process, Status(fields["Name"], fields["PPid"], int(fields["VmHWM"].split()[0]))


@contextmanager
def own(process):
    """A process that runs in the background: ends it, whatever happens."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
