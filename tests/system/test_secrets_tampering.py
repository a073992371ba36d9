"""Bundles of secrets that were modified or replaced on their node, and a node whose host key is replaced."""

import pytest
from fleet import Exit, wait_until
from fleet.secrets import Secrets, check_secrecy

NODES = ["alpha", "beta"]
OLD_KEY = '{ type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; }'
NEW_KEY = '{ type = "ed25519"; path = "/etc/ssh/new_key"; }'


@pytest.fixture(scope="module")
def secrets(fleet):
    secrets = Secrets(fleet)
    for node in fleet:
        secrets.describe(node)
    fleet.deploy()
    return secrets


@pytest.fixture
def check_refused(fleet, alpha, secrets, subtest):
    """Checks that alpha refuses the file of its bundle, and says so."""

    def check_refused(what):
        file, deployment = secrets.bundle(alpha), secrets.bundle_id(alpha)[:12]
        problem = f"{file} is not the bundle of deployment {deployment}: it was changed or replaced on this node; "
        code, said = alpha.agent("install-secrets")
        with subtest(f"{what}: install-secrets fails"):
            assert code == 1
        with subtest(f"{what}: the error names the deployment"):
            assert problem in said
        with subtest(f"{what}: the secrets in place stay"):
            assert secrets.wrong_on(alpha) == []
        run = fleet.waggle("keys", on=alpha)
        with subtest(f"{what}: waggle keys reports it to the operator"):
            assert run.exit_code == Exit.UNITS_FAILED
            assert run.nodes["alpha"]["message"].startswith(problem)
            assert run.nodes["alpha"]["secrets"] == []

    return check_refused


def bundle_on_disk(secrets, node):
    return node.root / secrets.bundle(node).lstrip("/")


def add_known_key(fleet, node):
    """Adds the node's new host key to the operator's known_hosts."""
    kind, key = node.read("/etc/ssh/new_key.pub").split()[:2]
    with open(fleet.known_hosts, "a") as file:
        file.write(f"{node.address} {kind} {key}\n")


def test_a_bundle_that_was_modified_or_of_another_node_or_an_older_one(
    fleet, alpha, beta, secrets, check_refused, subtest
):
    older = bundle_on_disk(secrets, alpha).read_bytes()
    secrets.renew("one")
    run = fleet.waggle("upload-keys", on=alpha)
    assert run.exit_code == Exit.OK, run.text
    bundle = bundle_on_disk(secrets, alpha)
    good = bundle.read_bytes()
    assert good != older

    changed = bytearray(good)
    changed[400] ^= 1
    bundle.write_bytes(changed)
    check_refused("a changed one")
    bundle.write_bytes(bundle_on_disk(secrets, beta).read_bytes())
    check_refused("that of another node")
    bundle.write_bytes(older)
    check_refused("an older one")

    before = alpha.boot_id()
    alpha.begin_reboot()
    wait_until(
        "alpha has rebooted, with units that wait",
        lambda: alpha.has_rebooted(before) and fleet.agent_listens(alpha),
        60,
    )
    with subtest("after a reboot, the secret on the disk stays"):
        assert secrets.is_at(alpha, "disk", "/var/lib/kept/keys/disk")
    with subtest("the unit logs the reason"):  # which is flushed to the disk about now
        reason = f"is not the bundle of deployment {secrets.bundle_id(alpha)[:12]}: it was changed or replaced"
        wait_until("the journal has the reason", lambda: reason in alpha.journal("-b -u waggle-secrets"), 20)
    with subtest("a unit that needs another secret waits"):
        assert not alpha.is_active("uses-one")
        assert not alpha.exists("/run/keys/one")

    alpha.succeed("systemctl --no-block start late-key")
    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("waggle upload-keys succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("all secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    with subtest("waggle-secrets is active again"):
        alpha.wait_for_unit("waggle-secrets", timeout=20)
    for unit in ("uses-one", "uses-two", "reads-disk"):
        with subtest(f"{unit}, which waited, starts"):
            alpha.wait_for_unit(unit, timeout=30)
    with subtest("a unit that waits for a file system still waits"):
        assert alpha.get_unit_property("late-key", "ActiveState") == "activating"


def test_the_host_key_is_replaced_bundles_for_the_old_key_can_still_be_opened(fleet, alpha, secrets, subtest):
    alpha.succeed("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new_key")
    add_known_key(fleet, alpha)
    secrets.describe(alpha, module=f"{{ services.openssh.hostKeys = [ {NEW_KEY} {OLD_KEY} ]; }}")
    with subtest("the deployment that brings the new key succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    alpha.reboot()
    with subtest("after a reboot, all secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    fleet.wait_for_agents(alpha)
    with subtest("the next upload succeeds with the new key"):
        assert fleet.waggle("upload-keys", on=alpha).exit_code == Exit.OK


def test_the_host_key_is_replaced_and_the_old_one_is_gone(fleet, alpha, secrets, subtest):
    secrets.describe(alpha, module=f"{{ services.openssh.hostKeys = [ {NEW_KEY} ]; }}")
    with subtest("the deployment that drops the old key succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    alpha.succeed(
        """
        rm /etc/ssh/new_key*
        ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/new_key
        systemctl restart waggle-agent
        """
    )
    fleet.wait_for_agents(alpha)
    before = secrets.bundle(alpha)
    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("waggle refuses a node that shows an unknown key"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "wrong-host-key"
    with subtest("the error says that nothing was signed or sent"):
        assert "nothing was signed or sent" in run.nodes["alpha"]["message"]
        assert secrets.bundle(alpha) == before
    with subtest("the error names the command to run"):
        assert "`waggle upload-keys --on alpha`" in run.nodes["alpha"]["message"]

    add_known_key(fleet, alpha)
    run = fleet.waggle("keys", on=alpha)
    with subtest("once the new key is known, waggle keys gives exit code 4"):
        assert run.exit_code == Exit.UNITS_FAILED
    with subtest("waggle keys gives the reason and the command that fixes it"):
        reason = "sealed for other keys, or damaged; `waggle upload-keys` sends them again"
        assert reason in run.nodes["alpha"]["message"]
        assert f"the secrets of deployment {secrets.bundle_id(alpha)[:12]}: " in run.nodes["alpha"]["message"]
    with subtest("the secrets in place stay"):
        assert secrets.wrong_on(alpha) == []
    with subtest("waggle upload-keys succeeds"):
        assert fleet.waggle("upload-keys", on=alpha).exit_code == Exit.OK
    alpha.succeed("systemctl start late.mount")
    wait_until("the secret on /late is there", lambda: alpha.exists("/late/keys/late"), 20)
    with subtest("waggle keys succeeds"):
        assert fleet.waggle("keys", on=alpha).exit_code == Exit.OK


def test_all_of_this_leaves_no_secret_elsewhere(secrets, subtest):
    check_secrecy(subtest, secrets)
