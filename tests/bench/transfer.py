#!/usr/bin/python3
"""How fast a closure gets to a node that lacks it: `waggle apply push` over its session, and the other tools over ssh.

    transfer.py [--json] [--paths N] [--megabytes N] [--no-fleet]      (2,000 paths, 1,000 MB)

The closure has real contents from this machine's /usr. Every transfer goes to a fresh node in memory:

0ms   directly: cp -a and SHA-256 of the files on one machine, nix copy (ssh:// and ssh-ng://), nix-copy-closure without
      and with --gzip, Waggle
20ms  the same tools through a relay with a round trip of 20 ms
2mb   through a relay that also has 2 MB/s, with a tenth of the closure: the tools as Colmena calls them, with
      compression, Waggle
fleet Waggle alone, with a tenth of the closure, to 10 nodes, each behind a relay with 20 ms and 2 MB/s

Of each: wall_s of the whole command (Waggle's includes the evaluation; its phases are those of `waggle apply
--timings`), cpu_s of all processes on both ends, wire_bytes towards the node, peak_mib of each program's resident memory
on the laptop and on a node.

Keys: session_0ms, session_20ms, session_2mb, the wall time of Waggle to that of the fastest other tool; wire_ratio, the
bytes on the wire to those of the NARs, at 2 MB/s; agent_mib and trigger_mib, the worst peaks of waggle-agent in all
transfers and of waggle with 10 nodes.

It needs sshd, and four times the closure's size of free memory. Run it on a quiet machine: `load` is the load average
before.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

source = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(source / "tests/system"))
sys.dont_write_bytecode = True
os.environ.setdefault("WAGGLE_BUILD_DIR", str(source / "build/release"))

from fleet import AGENT_PORT, Fleet, laptop  # noqa: E402

import closures  # noqa: E402
import peers  # noqa: E402
from meter import Meter, own  # noqa: E402

GOALS = {
    "session_0ms": 0.7,
    "session_20ms": 0.25,
    "session_2mb": 0.9,
    "wire_ratio": 0.33,
    "agent_mib": 24,
    "trigger_mib": 64,
}
FLEET_SIZE = 10
SSH_PORT = 22


class Link(NamedTuple):
    """How the laptop reaches a node: through a relay, unless both are 0."""

    round_trip_ms: int = 0
    bytes_per_second: int = 0


DIRECT = Link()
FAR = Link(round_trip_ms=20)
SLOW = Link(round_trip_ms=20, bytes_per_second=2_000_000)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--paths", type=int, default=2000, metavar="N")
    parser.add_argument("--megabytes", type=int, default=1000, metavar="N")
    parser.add_argument("--no-fleet", action="store_true", help="leave out the transfer to 10 nodes")
    return parser.parse_args()


def log(text):
    print(f"transfer: {text}", file=sys.stderr, flush=True)


# --- where closures are copied to ---


class Target:
    """Fresh nodes that lack the closure, behind links of their own, and the systems that contain it."""

    def __init__(self, fleet, meter, closure):
        self.fleet = fleet
        self.meter = meter
        self.nodes = list(fleet)
        self.installed = {node.name: node.profile() for node in fleet}
        for node in fleet:
            fleet.configure(node, f'{{ environment.etc.closure.source = builtins.storePath "{closure}"; }}')
        # Built now: what is measured is the transfer.
        self.toplevels = fleet.toplevels([node.name for node in fleet])

    def host(self, node):
        return self.fleet.settings["nodes"][node.name]["address"]

    def nar_bytes(self):
        """The size of the store paths that the nodes lack, as NARs."""
        return sum(
            closures.nar_bytes(closures.requisites(self.toplevels[name]) - closures.requisites(installed))
            for name, installed in self.installed.items()
        )

    def check(self):
        for node in self.nodes:
            node.succeed(f"nix-store --check-validity $(nix-store -q --requisites {self.toplevels[node.name]})")


@contextmanager
def target(closure, link, count=1):
    with ExitStack() as stack:
        fleet = Fleet([f"node{number:02}" for number in range(1, count + 1)])
        stack.callback(fleet.destroy)
        if link != DIRECT:
            for node in fleet:
                stack.enter_context(relay(fleet, node, link))
            fleet.write_settings()
        fleet.known_hosts.write_text(
            "".join(f"{fleet.settings['nodes'][node.name]['address']} {node.host_key()}\n" for node in fleet)
        )
        meter = stack.enter_context(Meter(fleet))
        yield Target(fleet, meter, closure)


@contextmanager
def relay(fleet, node, link):
    """A relay to a node, at an address of its own: in the hive, that is the node's address."""
    address = f"10.84.{node.index}.2"
    subprocess.run(["ip", "addr", "replace", f"{address}/32", "dev", "lo"], check=True)
    command = [sys.executable, source / "tests/bench/relay.py", "--listen", address, "--to", node.address]
    command += ["--delay-ms", str(link.round_trip_ms / 2), "--rate", str(link.bytes_per_second)]
    command += [str(AGENT_PORT), str(SSH_PORT)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with own(process), process.stdout:
        if process.stdout.readline() != "listening\n":
            sys.exit(f"transfer: the relay to {node} did not start")
        fleet.settings["nodes"][node.name]["address"] = address
        yield


# --- what is measured ---


def measure_peer(name, closure, link):
    with target(closure, link) as to, peers.ssh_server(to.fleet, to.nodes[0], to.meter.server) as ssh_options:
        node = to.nodes[0]
        output = to.fleet.run / f"{name}.out"
        start = lambda: peers.start(name, to.host(node), to.toplevels[node.name], ssh_options, output, to.meter.client)
        exit_code, figures = to.meter.measure(start)
        if exit_code != 0:
            sys.exit(f"{output.read_text(errors='replace')}transfer: {name} failed")
        to.check()
        return figures


def measure_waggle(closure, link, count=1):
    """Its figures, and the size of the NARs that the nodes lacked."""
    with target(closure, link, count) as to:
        nar_bytes = to.nar_bytes()
        timings = to.fleet.run / "timings"
        run = None

        def start():
            nonlocal run
            run = to.fleet.start_waggle(
                "apply", "push", "--timings", timings, json=False, preexec_fn=to.meter.client.join
            )
            return run.process

        exit_code, figures = to.meter.measure(start)
        if exit_code != 0:
            sys.exit(f"{run.text}transfer: waggle apply push failed")
        to.check()
        phases = json.loads(timings.read_text())
        return (
            figures | {phase: round(phases[phase], 3) for phase in ("evaluate_s", "build_s", "connect_s", "fetch_s")},
            nar_bytes,
        )


def measure_floors(closure):
    """What any tool has to do at least: write the files, and hash them."""
    paths = sorted(closures.requisites(closure))
    copy = laptop.RUN / "copy"
    copy.mkdir()
    try:
        return {
            "cp": measure_here(["cp", "-a", "-t", copy, *paths]),
            "sha256": measure_here([sys.executable, "-c", HASH_FILES, *paths]),
        }
    finally:
        subprocess.run(["rm", "-rf", copy])


HASH_FILES = """
import hashlib, os, sys
for path in sys.argv[1:]:
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                hashlib.file_digest(file, "sha256")
"""


def measure_here(command):
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": round(after.elapsed - before.elapsed, 3), "cpu_s": round(cpu, 3)}


def measure_tools(condition, names, closure, link):
    """The figures of the peers and of Waggle, and the size of the NARs."""
    figures = {}
    for name in names:
        figures[name] = measure_peer(name, closure, link)
        log(f"{condition} {name}: {figures[name]['wall_s']} s")
    figures["waggle"], nar_bytes = measure_waggle(closure, link)
    log(f"{condition} waggle: {figures['waggle']['wall_s']} s")
    return figures, nar_bytes


def benchmark(arguments):
    load = os.getloadavg()[0]
    if load > 0.5:
        log(f"the machine is not quiet: its load is {load:.1f}")
    closures.touch_memory(3 * arguments.megabytes)
    closures.use_store_in_memory()
    began = time.monotonic()
    maker = closures.ClosureMaker(seed=14)
    large = maker.make("large", arguments.paths, arguments.megabytes * 1_000_000)
    small = maker.make("small", max(2, arguments.paths // 10), arguments.megabytes * 100_000)
    log(f"the closures were made in {time.monotonic() - began:.1f} s")

    result = {"load": round(load, 2), "paths": arguments.paths, "0ms": measure_floors(large)}
    figures, result["nar_bytes"] = measure_tools("0ms", peers.ALL, large, DIRECT)
    result["0ms"] |= figures
    result["20ms"], _ = measure_tools("20ms", peers.ALL, large, FAR)
    result["2mb"], result["small_nar_bytes"] = measure_tools("2mb", peers.COMPRESSING, small, SLOW)
    if not arguments.no_fleet:
        result["fleet"] = {}
        result["fleet"]["waggle"], _ = measure_waggle(small, SLOW, FLEET_SIZE)
        log(f"fleet waggle: {result['fleet']['waggle']['wall_s']} s")
    return result | summary(result)


def summary(result):
    """The keys that have goals."""
    keys = {}
    for condition, names in ("0ms", peers.ALL), ("20ms", peers.ALL), ("2mb", peers.COMPRESSING):
        tools = result[condition]
        keys[f"session_{condition}"] = round(
            tools["waggle"]["wall_s"] / min(tools[name]["wall_s"] for name in names), 3
        )
    keys["wire_ratio"] = round(result["2mb"]["waggle"]["wire_bytes"] / result["small_nar_bytes"], 3)
    waggles = [tools["waggle"] for tools in result.values() if isinstance(tools, dict)]
    keys["agent_mib"] = max(figures["peak_mib"]["node"].get("waggle-agent", 0) for figures in waggles)
    if "fleet" in result:
        keys["trigger_mib"] = result["fleet"]["waggle"]["peak_mib"]["laptop"].get("waggle", 0)
    return keys


# --- what is printed ---


def table(result):
    yield f"{result['paths']} paths, {result['nar_bytes'] / 1e6:.0f} MB; small: {result['small_nar_bytes'] / 1e6:.0f} MB"
    yield f"{'link':6}{'tool':23}{'wall s':>9}{'CPU s':>9}{'wire MB':>9}  peak MiB"
    for condition, tools in result.items():
        if not isinstance(tools, dict):
            continue
        for name, figures in tools.items():
            wire = f"{figures['wire_bytes'] / 1e6:.1f}" if "wire_bytes" in figures else ""
            peaks = [
                f"{place}: " + ", ".join(f"{program} {mib:g}" for program, mib in programs.items())
                for place, programs in figures.get("peak_mib", {}).items()
            ]
            line = f"{condition:6}{name:23}{figures['wall_s']:9.2f}{figures['cpu_s']:9.2f}{wire:>9}  {'; '.join(peaks)}"
            yield line.rstrip()
    for key, goal in GOALS.items():
        if key in result:
            yield f"{key}: {result[key]:g} (goal: at most {goal:g})"


def main():
    arguments = parse_arguments()
    laptop.enter()
    # Standard output has only the result.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = benchmark(arguments)
    if arguments.json:
        print(json.dumps(result, separators=(",", ":")), file=output)
    else:
        print("\n".join(table(result)), file=output)


if __name__ == "__main__":
    main()
