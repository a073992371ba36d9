"""Who is an operator: the committed configuration's list, across rollbacks and older generations; systems that would
lock every operator out; `waggle-agent adopt` at the console; a state file that is corrupt, newer or lost."""

import shlex

import pytest
from fleet import AGENT, Exit
from fleet.keys import fingerprint
from fleet.systems import system

NODES = ["alpha"]

STATE_FILE = "/var/lib/waggle-agent/state.json"
NO_UNITS = "{ lib, ... }: { systemd.services = lib.mkForce { }; }"


@pytest.fixture(scope="module")
def colleague(fleet):
    """The key of a second operator."""
    return fleet.make_key("colleague")


@pytest.fixture
def describe(fleet):
    """Describes a system with a word that tells systems apart, and these operators."""

    def describe(word, *operators):
        fleet.configure("alpha", system(word))
        if operators:
            fleet.settings["operators"] = [fleet.public_key(key) for key in operators]
            fleet.write_settings()

    return describe


def is_accepted(fleet, key):
    run = fleet.status(on="alpha", identity=key)
    return run.exit_code == Exit.OK and run.outcome["alpha"] == "ok"


def is_refused(fleet, key):
    """Whether the node refuses this key because it is no operator's."""
    run = fleet.status(on="alpha", identity=key)
    return run.exit_code == Exit.REFUSED and run.nodes["alpha"]["code"] == "unknown-operator"


def test_an_operator_is_added_and_removed(fleet, alpha, colleague, describe, subtest):
    describe("both", fleet.operator, colleague)
    with subtest("a second operator is deployed"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the node accepts the second operator"):
        assert is_accepted(fleet, colleague)
    describe("one", fleet.operator)
    run = fleet.apply(identity=colleague)
    with subtest("an operator cannot remove their own key, because they could not confirm it"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the refusal is about the confirmation"):
        assert run.nodes["alpha"]["code"] == "no-confirmer"
        assert "could confirm this deployment" in run.nodes["alpha"]["message"]
    with subtest("nothing was activated"):
        assert alpha.word() == "both"
    with subtest("the first operator removes the second"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the node no longer accepts the second operator"):
        assert is_refused(fleet, colleague)


def test_older_generations_bring_no_removed_operator_back(fleet, alpha, colleague, subtest):
    older = alpha.realpath("/nix/var/nix/profiles/system-2-link")
    alpha.succeed(f"echo {older} > /boot/loader/oneshot")
    alpha.reboot()
    fleet.wait_for_agents(alpha)
    with subtest("an older generation was booted"):
        assert alpha.system() == older
        assert alpha.word() == "both"
    with subtest("the removed operator stays removed"):
        assert is_refused(fleet, colleague)
    with subtest("the node still accepts the other operator"):
        assert is_accepted(fleet, fleet.operator)
    alpha.reboot()
    fleet.wait_for_agents(alpha)
    run = fleet.waggle("rollback", on=alpha)
    with subtest("waggle rollback succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the older system"):
        assert alpha.system() == older
    with subtest("the output says who stays removed"):
        assert run.shows(
            f"{fingerprint(fleet.public_key(colleague))} was removed by a later configuration and stays removed"
        )
    with subtest("the node does not accept the removed operator"):
        assert is_refused(fleet, colleague)


def test_systems_that_would_lock_every_operator_out(fleet, alpha, colleague, describe, subtest):
    older = alpha.system()
    describe("locked", colleague)
    run = fleet.apply()
    with subtest("a system that the operator could not confirm is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "no-confirmer"
    describe("without", fleet.operator)
    fleet.configure(alpha, NO_UNITS)
    run = fleet.apply()
    with subtest("a system without the agent's unit is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "no-agent"
    with subtest("the refusal says that waggle-agent.service is missing"):
        assert "no waggle-agent.service" in run.nodes["alpha"]["message"]
    with subtest("nothing was activated"):
        assert alpha.system() == older


def test_all_keys_lost_the_console(fleet, alpha, colleague, describe, subtest):
    (alpha.root / "root/new.pub").write_text(fleet.public_key(colleague) + "\n")
    adopted = alpha.succeed(f"{AGENT} adopt /root/new.pub")
    with subtest("adopt prints the new operator"):
        assert any(
            line.startswith(f"operator {fingerprint(fleet.public_key(colleague))}") for line in adopted.splitlines()
        )
    fleet.wait_for_agents(alpha)
    with subtest("the node accepts the new key"):
        assert is_accepted(fleet, colleague)
    with subtest("the node does not accept the lost key"):
        assert is_refused(fleet, fleet.operator)
    describe("again", colleague, fleet.operator)
    with subtest("a configuration that names both keys is deployed"):
        assert fleet.apply(identity=colleague).exit_code == Exit.OK
    with subtest("the node accepts the key that the configuration adds"):
        assert is_accepted(fleet, fleet.operator)
    with subtest("waggle-agent status succeeds at the console"):
        alpha.succeed(f"{AGENT} status")
    with subtest("waggle-agent status lists both operators"):
        operators = [
            line.split()[1] for line in alpha.succeed(f"{AGENT} status").splitlines() if line.startswith("operator ")
        ]
        assert sorted(operators) == sorted(
            [fingerprint(fleet.public_key(colleague)), fingerprint(fleet.public_key(fleet.operator))]
        )


def test_a_state_file_that_is_corrupt_newer_or_lost(fleet, alpha, describe, subtest):
    for number, text in enumerate(["{", '{"v":999,"lastAdmitted":null,"deployment":null}'], 1):
        alpha.succeed(f"printf %s {shlex.quote(text)} > {STATE_FILE}")
        describe(f"reset {number}")
        run = fleet.apply()
        with subtest("the deployment is refused"):
            assert run.exit_code == Exit.REFUSED
            assert run.nodes["alpha"]["code"] == "corrupt-state"
        with subtest("the refusal says to reset the state"):
            assert "waggle apply --reset-state" in run.nodes["alpha"]["message"]
        with subtest("the deployment succeeds with --reset-state"):
            assert fleet.apply("--reset-state").exit_code == Exit.OK
        with subtest("alpha runs the new system"):
            assert alpha.word() == f"reset {number}"
        with subtest("the previous state file is kept as state.json.corrupt"):
            assert alpha.read(f"{STATE_FILE}.corrupt") == text
    alpha.succeed(f"rm {STATE_FILE}")
    describe("lost")
    with subtest("without a state file, the deployment succeeds, as on a fresh node"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "lost"
