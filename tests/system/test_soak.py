"""$SOAK_DEPLOYMENTS deployments (6), one after the other on each of four nodes. During each one, something is killed at
a random moment: the agent, what changes the system, both, or the whole node. Every node ends committed or rolled back,
with a sound store, and nothing is left over.

The names of tests have the seed; with SOAK_SEED=N, the same choices are made again.
"""

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import Exit, comes_true, wait_until

NODES = ["alpha", "beta", "gamma", "delta"]
DEPLOYMENTS = int(os.environ.get("SOAK_DEPLOYMENTS") or 6)
SEED = int(os.environ.get("SOAK_SEED") or random.randrange(1 << 15))

KILL = "systemctl kill --kill-whom=main -s KILL"
UNITS = " ".join(f"waggle-{name}.service" for name in ("activation", "commit", "recovery", "rollback", "confirm"))
KILLS = {
    "agent": lambda node: node.execute(f"{KILL} waggle-agent.service"),
    "unit": lambda node: node.execute(f"for unit in {UNITS}; do {KILL} $unit; done"),
    "all": lambda node: node.execute("pkill -KILL -x waggle-agent"),
    "power": lambda node: (node.crash(), node.start()),
}

# What the trigger reports, where it knows how the deployment ended.
STATE_OF_OUTCOME = {"ok": "committed", "rolled-back": "rolled-back"}


@pytest.fixture(scope="module")
def span():
    """The seconds within which kills come; the first test measures them."""
    return {"seconds": 3.0}


@pytest.fixture
def describe(fleet):
    """Describes a system with a word that tells systems apart, and 2 MB that take a moment to send."""

    def describe(nodes, word):
        for node in nodes:
            fleet.configure(
                node,
                f"""
                {{ pkgs, ... }}: {{
                  environment.etc.word.text = "{word}";
                  environment.etc.ballast.source = pkgs.runCommand "ballast-{word}" {{ }} "head -c 2000000 /dev/urandom > $out";
                  deployment.rollback.confirmTimeout = 15;
                  systemd.services.web = {{
                    wantedBy = [ "multi-user.target" ]; script = "echo {word}; exec sleep infinity"; }};
                }}
                """,
            )

    return describe


def has_received_another(fleet, node, old):
    return fleet.deployment(node).get("id") not in (None, old)


def kill_something(fleet, node, old, seconds, choice):
    """Kills it, that long after the node has received a deployment other than `old`; says what it did."""
    received = comes_true(lambda: has_received_another(fleet, node, old), 60, longest_pause=0.02)
    assert received, f"{node} has not received the deployment"
    time.sleep(seconds)
    fate = f"{choice}, {seconds * 1000:.0f} ms after it was received, while {fleet.deployment_state(node)}"
    KILLS[choice](node)
    return fate


def is_settled(fleet, node):
    return (
        fleet.deployment(node).get("outcome") is not None
        and fleet.is_in_history(node)
        and fleet.agent_listens(node)
        and not fleet.leftovers(node)
    )


def test_one_undisturbed_deployment_to_measure_its_time(fleet, alpha, describe, span, subtest):
    describe(fleet, "round-0")
    old = fleet.deployment(alpha).get("id")
    run = fleet.start_waggle("apply")
    wait_until("alpha has received the deployment", lambda: has_received_another(fleet, alpha, old), 60)
    began = time.monotonic()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    span["seconds"] = (time.monotonic() - began) * 1.25
    print(f"kills come within {span['seconds']:.1f} s")


@pytest.mark.parametrize("seed", [SEED], ids=lambda seed: f"SOAK_SEED={seed}")
def test_deployments(fleet, describe, span, seed, subtest):
    choose = random.Random(seed)
    ends = Counter()
    begun = number = 0
    while begun < DEPLOYMENTS:
        number += 1
        nodes = list(fleet)[: DEPLOYMENTS - begun]
        begun += len(nodes)
        describe(nodes, f"round-{number}")
        with ThreadPoolExecutor(len(nodes)) as pool:
            fates = {}
            for node in nodes:
                old = fleet.deployment(node).get("id")
                seconds, choice = choose.random() * span["seconds"], choose.choice(list(KILLS))
                fates[node] = pool.submit(kill_something, fleet, node, old, seconds, choice)
            run = fleet.apply(on=nodes)
        for node in nodes:
            with subtest(f"round {number}: {node} ends committed or rolled back, and nothing is left over"):
                check_end(fleet, node, fates[node].result(), run.outcome[node.name])
                ends[fleet.deployment_state(node)] += 1
                print(
                    f"{number} {node}: {fates[node].result()}: {fleet.deployment_state(node)} ({run.outcome[node.name]})"
                )
        if ends.total() < begun:
            break  # what follows would only show consequences
    print(*(f"{count} {state}" for state, count in ends.items()), sep="\n")


def check_end(fleet, node, fate, outcome):
    settled = comes_true(lambda: is_settled(fleet, node), 120)
    deployment = fleet.deployment(node)
    assert settled, f"{fate}: left are {fleet.leftovers(node)}; {deployment}"
    about = f"{fate}: {deployment}"
    # The node runs and boots the new system if it is committed, else the previous one.
    assert deployment["state"] in ("committed", "rolled-back"), about
    system = deployment["toplevel" if deployment["state"] == "committed" else "previousSystem"]
    found = {
        "runs": node.system(),
        "boots": node.profile(),
        "the boot loader's entry": (node.root / "boot/loader/default").read_text().strip(),
    }
    assert found == dict.fromkeys(found, system), about
    assert (
        STATE_OF_OUTCOME.get(outcome, deployment["state"]) == deployment["state"]
    ), f"the trigger says {outcome}; {about}"


def test_afterwards(fleet, describe, subtest):
    for node in fleet:
        with subtest(f"the store of {node} is sound"):
            assert node.store_is_sound()
    describe(fleet, "round-last")
    run = fleet.apply()
    with subtest("the next deployment succeeds everywhere"):
        assert run.exit_code == Exit.OK
    for node in fleet:
        with subtest(f"{node} runs the next deployment"):
            assert node.word() == "round-last"
