"""Who may deploy, and to which node: a key that is no operator's, a node that is not the pinned one, a node without a
pin."""

import subprocess

import pytest
from fleet import AGENT_PORT, Exit, laptop, wait_until
from fleet.keys import fingerprint

NODES = ["alpha", "beta"]


@pytest.fixture(scope="module")
def stranger(fleet):
    """A key that is no operator's."""
    return fleet.make_key("stranger")


@pytest.fixture(scope="module")
def before(fleet, alpha):
    """What alpha has before any deployment. The hive describes another system: each deployment would change it."""
    describe_word(fleet)
    return snapshot(alpha)


def describe_word(fleet):
    fleet.configure("alpha", '{ environment.etc.word.text = "one"; }')


def snapshot(node):
    """Everything on a node that a refused deployment could have changed."""
    return node.succeed(
        """
        readlink /nix/var/nix/profiles/system /run/current-system
        ls /nix/store
        cd /var/lib/waggle-agent && find . -type f -exec sha256sum {} + | sort
        """
    )


def set_node(fleet, name, **settings):
    """Sets what the hive says about a node."""
    fleet.settings["nodes"][name] |= settings
    fleet.write_settings()


def replace_in_hive(fleet, old, new):
    file = fleet.hive / "hive.nix"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_an_operator_that_the_node_does_not_know(fleet, alpha, stranger, before, subtest):
    run = fleet.apply(on=alpha, identity=stranger)
    with subtest("the exit code says refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the outcome is refused"):
        assert run.outcome["alpha"] == "refused"
    with subtest("the refusal is about the operator"):
        assert run.nodes["alpha"]["code"] == "unknown-operator"
        assert "is not an operator of this node" in run.nodes["alpha"]["message"]
    with subtest("nothing on the node changed"):
        assert snapshot(alpha) == before
    run = fleet.status(on=alpha, identity=stranger)
    with subtest("waggle status also fails"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "unknown-operator"


def test_a_node_whose_host_key_is_not_the_pinned_one(fleet, alpha, stranger, before, subtest):
    wrong_hosts = fleet.run / "wrong_hosts"
    wrong_key = " ".join(fleet.public_key(stranger).split()[:2])
    wrong_hosts.write_text(fleet.known_hosts.read_text().replace(alpha.host_key(), wrong_key))
    run = fleet.apply(on=alpha, known_hosts=wrong_hosts)
    with subtest("waggle apply fails"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the error is about the host key"):
        assert run.nodes["alpha"]["code"] == "wrong-host-key"
        assert f"shows the host key {fingerprint(alpha.host_key())}, but" in run.nodes["alpha"]["message"]
    with subtest("nothing on the node changed"):
        assert snapshot(alpha) == before


def test_another_nodes_address_the_key_is_known_but_not_for_this_node(fleet, alpha, beta, subtest):
    set_node(fleet, "alpha", address=beta.address)
    before = snapshot(beta)
    run = fleet.apply(on=alpha)
    with subtest("a deployment for another node fails"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "other-node"
        assert "this node is beta, not alpha" in run.nodes["alpha"]["message"]
    with subtest("nothing on beta changed"):
        assert snapshot(beta) == before
    fleet.reset_settings()


def test_a_node_that_relays_the_operators_proof_to_another(fleet, alpha, beta, subtest):
    before = snapshot(beta)
    # An attacker controls alpha and has its key: connections to it end at beta.
    program = laptop.BUILD / "tests/hostile/hostile_peer"
    key = alpha.root / "etc/ssh/ssh_host_ed25519_key"
    relayed = fleet.run / "relayed"
    with open(relayed, "w") as file:
        relay = subprocess.Popen([program, "relay", key, beta.address, str(AGENT_PORT), beta.host_key()], stdout=file)
    try:
        wait_until("the relay listens", lambda: relayed.read_text().endswith("\n"), 20)
        fleet.configure(alpha, f"{{ deployment.agent.port = {int(relayed.read_text())}; }}")
        set_node(fleet, "alpha", address="127.0.0.1", hostKey=alpha.host_key())
        run = fleet.apply(on=alpha)
        with subtest("the operator is refused"):
            assert run.exit_code == Exit.REFUSED
        relay.wait(20)
    finally:
        relay.kill()
        relay.wait()
    with subtest("beta refuses it because of the session"):
        assert '"code":"other-session"' in relayed.read_text()
        assert run.nodes["alpha"]["code"] == "other-session"
    with subtest("nothing on beta changed"):
        assert snapshot(beta) == before
    describe_word(fleet)
    fleet.reset_settings()


def test_a_hive_that_the_node_does_not_belong_to(fleet, alpha, before, subtest):
    replace_in_hive(fleet, 'name = "test"', 'name = "other"')
    run = fleet.apply(on=alpha)
    with subtest("the exit code says refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the refusal names the hive"):
        assert run.nodes["alpha"]["code"] == "other-hive"
        assert "this node belongs to the hive test, not other" in run.nodes["alpha"]["message"]
    with subtest("nothing on the node changed"):
        assert snapshot(alpha) == before
    replace_in_hive(fleet, 'name = "other"', 'name = "test"')


def test_no_pin_at_all(fleet, alpha, before, subtest):
    no_hosts = fleet.run / "no_hosts"
    no_hosts.write_text("")
    run = fleet.apply(on=alpha, known_hosts=no_hosts)
    with subtest("waggle apply fails"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "no-pin"
    with subtest("the error prints the line to add, with an address"):
        assert f"add this line:\n    {alpha.known_hosts_line()}" in run.nodes["alpha"]["message"]
    with subtest("nothing on the node changed"):
        assert snapshot(alpha) == before


def test_a_pin_in_the_hive_itself(fleet, alpha, subtest):
    set_node(fleet, "alpha", hostKey=alpha.host_key())
    run = fleet.apply(on=alpha, known_hosts=fleet.run / "no_hosts")
    with subtest("the pin in the hive is enough to deploy"):
        assert run.exit_code == Exit.OK
    with subtest("alpha is deployed"):
        assert alpha.word() == "one"
    fleet.reset_settings()


def test_a_deployment_that_changes_the_operators(fleet, beta, stranger, subtest):
    fleet.settings["operators"] = [fleet.public_key(stranger)]
    fleet.write_settings()
    # A key that is no operator of the new system cannot confirm it: a handover needs a deployment without confirmation.
    run = fleet.apply("--no-rollback", on=beta)
    with subtest("the current operator can hand over"):
        assert run.exit_code == Exit.OK
    with subtest("the node accepts the new operator"):
        assert fleet.status(on=beta, identity=stranger).exit_code == Exit.OK
    run = fleet.status(on=beta)
    with subtest("the node no longer accepts the old operator"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["beta"]["code"] == "unknown-operator"
