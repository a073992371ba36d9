"""For a minute, 64 addresses open 500 connections again and again and never send a hello: the agent stays small, and a
deployment succeeds meanwhile. The same from the operator's own address. Then a flood of TLS handshakes, on a node with
one core."""

import os
import re
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fleet import AGENT_PORT, Exit, laptop, wait_until

NODES = ["alpha"]

FLOOD_SECONDS = int(os.environ.get("WAGGLE_FLOOD_SECONDS", "60"))
SOURCES = 64
PER_SOURCE = 8  # if one address opens more, the agent closes its oldest
RSS_LIMIT_KIB = 20 * 1024


def describe(fleet, node, word):
    fleet.configure(node, f'{{ environment.etc.word.text = "{word}"; }}')


def ip(command):
    subprocess.run(["ip", *command.split()], check=True)


class Worker(threading.Thread):
    """A thread that works until its block ends, or its time."""

    def __init__(self, seconds=None):
        super().__init__()
        self._over = threading.Event()
        self._end = time.monotonic() + seconds if seconds else None

    def goes_on(self):
        return not self._over.is_set() and (self._end is None or time.monotonic() < self._end)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


def connect(node, source=None):
    """A connection to the agent on which nobody ever says anything; None if it cannot be opened."""
    try:
        return socket.create_connection((node.address, AGENT_PORT), 20, source and (source, 0))
    except OSError:
        return None


class Flood(Worker):
    """Opens silent connections from all sources, closes them, and begins again; `rounds` has how many each time."""

    def __init__(self, node, sources):
        super().__init__(FLOOD_SECONDS)
        self._node = node
        self._sources = sources
        self.rounds = []

    def run(self):
        while self.goes_on():
            connections = [connect(self._node, source) for source in self._sources for _ in range(PER_SOURCE)]
            opened = [connection for connection in connections if connection]
            self.rounds.append(len(opened))
            for connection in opened:
                connection.close()


class Crowd(Worker):
    """Opens twice as many silent connections as one address may have, and replaces each one in turn."""

    def __init__(self, node):
        super().__init__()
        self._node = node
        self.opened = 0

    def run(self):
        connections = [None] * (2 * PER_SOURCE)
        while self.goes_on():
            place = self.opened % len(connections)
            if connections[place]:
                connections[place].close()
            connections[place] = connect(self._node)
            self.opened += 1
            time.sleep(0.05)
        for connection in filter(None, connections):
            connection.close()


class MemoryWatch(Worker):
    """Asks the node's kernel what the most memory is that an agent's process has had so far."""

    def __init__(self, node):
        super().__init__()
        self._node = node
        self.greatest_kib = 0

    def run(self):
        while self.goes_on():
            process = self._node.execute("systemctl show -P MainPID waggle-agent")[1]
            status = self._node.read(f"/proc/{process}/status") or ""
            peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
            if peak:
                self.greatest_kib = max(self.greatest_kib, int(peak[1]))
            time.sleep(0.2)


@pytest.fixture(scope="module")
def sources(alpha):
    """More addresses of the laptop, from which it can connect to alpha."""
    addresses = [f"10.84.0.{number}" for number in range(1, SOURCES + 1)]
    for address in addresses:
        ip(f"addr add {address}/32 dev node{alpha.index}")
    return addresses


@contextmanager
def operator_connects_from(node, source):
    """The kernel takes the source of a new connection from the route, if it is not told."""
    route = f"route replace {node.address}/32 dev node{node.index}"
    ip(f"{route} src {source}")
    try:
        yield
    finally:
        ip(route)


@contextmanager
def handshakes_from_everywhere(node):
    """A flood that is routed through the laptop and uses 64 addresses in turn; yields how to ask for its handshakes."""
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    first, last = 2, 1 + SOURCES
    ip("netns add flooder")
    try:
        ip("link add to-flooder type veth peer name uplink netns flooder")
        ip("addr add 10.85.0.1/24 dev to-flooder")
        ip("link set to-flooder up")
        ip("-n flooder link set uplink up")
        for number in range(first, last + 1):
            ip(f"-n flooder addr add 10.85.0.{number}/24 dev uplink")
        ip("-n flooder route add default via 10.85.0.1")
        forwarding.write_text("1")
        rules = f"""table ip everywhere {{
            chain post {{ type nat hook postrouting priority 100; snat to 10.85.0.{first}-10.85.0.{last} random; }}
        }}"""
        inside = ["ip", "netns", "exec", "flooder"]
        subprocess.run([*inside, "nft", "-f", "-"], input=rules, text=True, check=True)
        output = laptop.RUN / "handshakes"
        with open(output, "w") as file:
            peer = laptop.BUILD / "tests/hostile/hostile_peer"
            process = subprocess.Popen([*inside, peer, "handshakes", node.address, str(AGENT_PORT)], stdout=file)

        def made():
            assert process.poll() is None, "the flood of handshakes has ended"
            complete_lines = output.read_text().split("\n")[:-1]
            return int(complete_lines[-1]) if complete_lines else 0

        try:
            yield made
        finally:
            process.kill()
            process.wait()
    finally:
        forwarding.write_text(before)
        ip("netns delete flooder")


def test_a_flood_of_silent_connections_from_everywhere(fleet, alpha, sources, subtest):
    describe(fleet, alpha, "one")
    # The operator's address is one of the flood's.
    with operator_connects_from(alpha, sources[0]), MemoryWatch(alpha) as memory:
        with Flood(alpha, sources) as flood:
            wait_until("the first 500 connections are open", lambda: flood.rounds, 60)
            with subtest("the first round opened 500 connections"):
                assert flood.rounds[0] >= 500
            run = fleet.apply(on=alpha)
            with subtest("a deployment succeeds during the flood"):
                assert run.exit_code == Exit.OK
                assert run.outcome["alpha"] == "ok"
            with subtest("alpha is deployed"):
                assert alpha.word() == "one"
            with subtest("waggle status succeeds during the flood"):
                assert fleet.status(on=alpha).exit_code == Exit.OK
            with subtest("the flood is still running"):
                assert flood.is_alive() and flood.goes_on()
            flood.join()
    print(
        f"{len(flood.rounds)} rounds of {SOURCES * PER_SOURCE} connections;"
        f" the agent's RSS was at most {memory.greatest_kib} KiB"
    )
    with subtest("the agent's memory was measured"):
        assert memory.greatest_kib > 1024
    # Sanitizers take memory of their own.
    if not fleet.sanitized:
        with subtest("the agent stays under 20 MiB"):
            assert memory.greatest_kib <= RSS_LIMIT_KIB
    with subtest("waggle status succeeds afterwards"):
        assert fleet.status(on=alpha).exit_code == Exit.OK


def test_silent_connections_from_the_operators_own_address(fleet, alpha, subtest):
    describe(fleet, alpha, "beside")
    with Crowd(alpha) as crowd:
        wait_until("the connections of this address are used up", lambda: crowd.opened > 2 * PER_SOURCE, 60)
        with subtest("waggle status succeeds from the same address"):
            assert fleet.status(on=alpha).exit_code == Exit.OK
        run = fleet.apply(on=alpha)
        with subtest("a deployment succeeds from the same address"):
            assert run.exit_code == Exit.OK
            assert run.outcome["alpha"] == "ok"
        with subtest("alpha is deployed"):
            assert alpha.word() == "beside"
        with subtest("the crowd is still running"):
            before = crowd.opened
            wait_until("the crowd opens more connections", lambda: crowd.opened > before, 20)


def test_a_flood_of_handshakes_on_a_node_with_one_core(fleet, alpha, subtest):
    os.sched_setaffinity(alpha.leader(), {0})  # and every process that it starts from now on
    alpha.succeed("systemctl restart nix-daemon.service waggle-agent.service")
    fleet.wait_for_agents(alpha)
    describe(fleet, alpha, "two")
    with handshakes_from_everywhere(alpha) as handshakes:
        wait_until("200 handshakes are done", lambda: handshakes() > 200, 60)
        before = handshakes()
        run = fleet.apply(on=alpha)
        with subtest("a deployment succeeds during the flood"):
            assert run.exit_code == Exit.OK
            assert run.outcome["alpha"] == "ok"
        with subtest("alpha is deployed"):
            assert alpha.word() == "two"
        with subtest("the node's systemd reports running"):
            assert alpha.execute("systemctl is-system-running")[1] == "running"
        with subtest("the flood made more handshakes meanwhile"):
            assert handshakes() > before
        print(f"{handshakes()} handshakes; those of the deployment's time: {handshakes() - before}")
    with subtest("waggle status succeeds afterwards"):
        assert fleet.status(on=alpha).exit_code == Exit.OK
