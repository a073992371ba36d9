"""Deploys each system that a node must roll back $SOAK_COUNT times (20 if it is not set), on four parallel nodes.

`-k endless` selects one of the cases, which do not depend on each other.
"""

import os
import time
from contextlib import nullcontext

import pytest
from fleet import Exit
from fleet.systems import ROLLBACK_CASES, check_rolled_back, system

NODES = ["alpha", "beta", "gamma", "delta"]
COUNT = int(os.environ.get("SOAK_COUNT", 20))


@pytest.fixture(scope="module", autouse=True)
def good_systems(fleet):
    """What the nodes run before the first test."""
    for node in fleet:
        fleet.configure(node, system("good"))
    fleet.deploy()


def test_a_system_that_works_is_kept(fleet, subtest):
    with subtest("a good system is kept"):
        for node in fleet:
            assert node.word() == "good"
            assert node.profile() == node.system()


@pytest.mark.parametrize("case", list(ROLLBACK_CASES.values()), ids=list(ROLLBACK_CASES))
def test_a_system_that_does_not_work_is_rolled_back_every_time(fleet, case, subtest):
    done, slowest = 0, 0
    while done < COUNT:
        nodes = list(fleet)[: COUNT - done]
        for node in nodes:
            fleet.configure(node, case.system(f"{case.name}-{done}"))
        began = time.monotonic()
        run = fleet.apply(on=nodes)
        assert run.exit_code == Exit.ROLLED_BACK
        slowest = max(slowest, time.monotonic() - began)
        for node in nodes:
            # Without subtests: the first failure ends the test.
            check_rolled_back(nullcontext, fleet, node, run, case.reason, code=case.code)
        done += len(nodes)
    with subtest(f"{case.name}: {done} of {COUNT} rolled back, the slowest waggle took {slowest:.0f} s"):
        assert done == COUNT


def test_the_next_good_system(fleet, subtest):
    for node in fleet:
        fleet.configure(node, system("better"))
    with subtest("the next good system is deployed everywhere"):
        assert fleet.apply().exit_code == Exit.OK
        assert all(node.word() == "better" for node in fleet)
    for node in fleet:
        with subtest(f"the store of {node} is sound"):
            assert node.store_is_sound()
