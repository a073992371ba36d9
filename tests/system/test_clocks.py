"""Wrong clocks, on the laptop or in the node's state file, lock no operator out."""

import json
import re
import subprocess
import time

import pytest
from fleet import AGENT, Exit
from fleet.systems import system

NODES = ["alpha"]

HOUR, DAY = 3600, 86400


@pytest.fixture
def describe(fleet):
    """Describes a system with a word that tells systems apart."""
    return lambda word: fleet.configure("alpha", system(word))


@pytest.fixture(scope="module")
def faketime():
    """The library that shows a program another time."""
    files = subprocess.run(["dpkg", "-L", "libfaketime"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return next(file for file in files if file.endswith("/libfaketime.so.1"))


@pytest.fixture
def apply_with_clock(fleet, faketime):
    """`waggle apply` where the laptop's clock is wrong by `offset`."""

    def apply_with_clock(offset, *arguments):
        environment = {"LD_PRELOAD": faketime, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return fleet.apply(*arguments, environment=environment)

    return apply_with_clock


def remember(fleet, node, ahead):
    """Writes what an agent older than this rule would remember of a deployment from the future, in seconds."""
    at = int(time.time()) + ahead
    state = fleet.state(node)
    state["lastAdmitted"]["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    state["lastAdmitted"]["sequence"] = at * 1000
    (node.root / "var/lib/waggle-agent/state.json").write_text(json.dumps(state))


def reset_clock(node):
    return node.succeed(f"{AGENT} reset-clock")


def test_a_laptop_whose_clock_is_ahead(fleet, alpha, describe, apply_with_clock, subtest):
    describe("one")
    run = fleet.apply()
    with subtest("a deployment with the right clock succeeds"):
        assert run.exit_code == Exit.OK
        assert not run.says("its clock is")
        assert alpha.word() == "one"
    describe("two")
    run = apply_with_clock("+3h")
    with subtest("a deployment with the clock 3 hours ahead is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "bad-time"
        assert alpha.word() == "one"
    with subtest("the refusal says whose clock is ahead, and by how much"):
        message = run.nodes["alpha"]["message"]
        assert re.search("the clock of the machine that signed it is [23] h ahead of the node's", message)
    with subtest("the trigger reports how far the node's clock is behind"):
        assert run.says(r"^alpha \| its clock is [23] h behind this machine's")
    run = apply_with_clock("+3h", "--force")
    with subtest("a deployment with --force is admitted"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "two"
    describe("three")
    run = fleet.apply()
    with subtest("the next deployment with the right clock is admitted"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "three"


def test_a_laptop_whose_clock_is_behind_so_that_the_nodes_seems_to_be_ahead(alpha, describe, apply_with_clock, subtest):
    describe("four")
    run = apply_with_clock("-3h")
    with subtest("a deployment with the clock 3 hours behind succeeds"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "four"
    with subtest("the trigger warns that the node's clock is ahead"):
        assert run.says(r"^alpha \| its clock is [23] h ahead of this machine's")


def test_a_node_that_remembers_a_deployment_from_the_future(fleet, alpha, describe, apply_with_clock, subtest):
    remember(fleet, alpha, 3 * HOUR)
    describe("five")
    run = fleet.apply()
    with subtest("a deployment with the right clock succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "five"
    remember(fleet, alpha, 700 * DAY)
    describe("six")
    run = fleet.apply("--force")
    with subtest("--force deploys to a node that remembers a time 700 days ahead"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "six"
    describe("seven")
    run = apply_with_clock("+3h")
    with subtest("a clock that is ahead is then refused again"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "bad-time"
        assert alpha.word() == "six"
    remember(fleet, alpha, 2000 * DAY)
    run = fleet.apply()
    with subtest("the trigger refuses a node that remembers a time 2000 days ahead"):
        assert run.exit_code == Exit.REFUSED
        assert alpha.word() == "six"
    with subtest("the refusal names the command to run"):
        message = run.nodes["alpha"]["message"]
        assert "years ahead of this machine's clock" in message
        assert "run `waggle-agent reset-clock` at the node's console" in message
    with subtest("reset-clock at the console succeeds"):
        assert "it counts as of now" in reset_clock(alpha)
    with subtest("reset-clock also succeeds when there is nothing to do"):
        assert "nothing that this node has admitted is ahead of its clock" in reset_clock(alpha)
    run = fleet.apply()
    with subtest("a deployment with the right clock then succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "seven"
