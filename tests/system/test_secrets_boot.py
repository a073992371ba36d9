"""Secrets at the boot of their nodes: without network, of an older generation, and of a system that was deployed with
`waggle apply boot`."""

import pytest
from fleet import Exit, wait_until
from fleet.secrets import Secrets, check_secrecy, owner_and_mode

NODES = ["alpha", "beta"]


@pytest.fixture(scope="module")
def secrets(fleet):
    secrets = Secrets(fleet)
    for node in fleet:
        secrets.describe(node)
    fleet.deploy()
    return secrets


def active_since(node, unit):
    """In microseconds since the laptop's boot; 0 if it was never active."""
    return int(node.get_unit_property(unit, "ActiveEnterTimestampMonotonic"))


def test_a_reboot_without_network_after_a_folder_was_deleted_and_an_owner_changed(fleet, alpha, beta, secrets, subtest):
    alpha.succeed("rm -r /var/lib/kept")
    beta.succeed("chown web /var/lib/kept/keys/disk")
    beta.succeed("chmod 644 /var/lib/kept/keys/disk")
    alpha.succeed("touch /var/lib/far-is-away")
    for node in fleet:
        node.block()
    before = alpha.boot_id()
    alpha.begin_reboot()
    beta.reboot()
    wait_until(
        "alpha has rebooted, and waits for its network mount",
        lambda: alpha.has_rebooted(before) and alpha.is_active("uses-one"),
        60,
    )
    for node in fleet:
        with subtest(f"{node}: all secrets are in place"):
            assert secrets.wrong_on(node) == []
        with subtest(f"{node}: the user has the password from its secret"):
            assert secrets.password_works(node)
        for unit in ("uses-one", "uses-two", "reads-two", "reads-disk", "waggle-secrets"):
            with subtest(f"{node}: {unit} is active"):
                node.require_unit_state(unit)
        with subtest(f"{node}: the secret on the disk has its owner and mode again"):
            assert owner_and_mode(node, "/var/lib/kept/keys/disk") == "root:root 600"
    with subtest("waggle-secrets was active before sysinit.target"):
        assert 0 < active_since(alpha, "waggle-secrets") <= active_since(alpha, "sysinit.target")

    with subtest("alpha: no secret is written while the file system's server does not answer"):
        assert not alpha.exists("/far/keys")
    for unit in ("far-key", "uses-far"):
        with subtest(f"{unit} waits for the file system"):
            assert not alpha.is_active(unit)
    alpha.succeed("rm /var/lib/far-is-away")
    alpha.wait_until_up()
    with subtest("the secret on /far is there once /far is mounted"):
        assert secrets.is_at(alpha, "far", "/far/keys/far")
    for unit in ("waggle-secrets-far", "far-key", "uses-far"):
        with subtest(f"{unit} is active"):
            alpha.require_unit_state(unit)
    for node in fleet:
        with subtest(f"{node}: systemd found no ordering cycle"):
            assert node.journal("-b -g 'ordering cycle'") == ""

    with subtest("no secret is written to /late while /late is not mounted"):
        assert not alpha.exists("/late/keys")
    alpha.succeed("systemctl start late.mount")
    with subtest("the secret on /late is there once /late is mounted"):
        wait_until("the secret on /late is there", lambda: secrets.is_at(alpha, "late", "/late/keys/late"), 20)
    for node in fleet:
        node.unblock()
    fleet.wait_for_agents()


def test_an_older_generation_keeps_the_newest_secrets(fleet, alpha, secrets, subtest):
    secrets.renew("one")
    with subtest("the newest secrets are deployed"):
        assert fleet.waggle("upload-keys", on=alpha).exit_code == Exit.OK
    first = alpha.realpath("/nix/var/nix/profiles/system-1-link")
    assert first != alpha.profile()
    alpha.succeed(f"echo {first} >/boot/loader/oneshot")
    alpha.reboot()
    with subtest("alpha boots its first generation"):
        assert alpha.system() == first
    with subtest("the first generation has the newest secrets"):
        assert secrets.wrong_on(alpha) == []
    alpha.reboot()
    with subtest("the newest generation also has the newest secrets"):
        assert alpha.system() == alpha.profile() != first
        assert secrets.wrong_on(alpha) == []
    fleet.wait_for_agents(alpha)


def test_apply_boot_secrets_change_at_the_boot_of_their_system_and_roll_back_with_it(fleet, alpha, secrets, subtest):
    previous = secrets.renew("one")
    following = secrets.read("one")
    secrets.describe(alpha, module='{ environment.etc.word.text = "booted"; }')
    with subtest("waggle apply boot succeeds"):
        assert fleet.apply("boot", on=alpha).exit_code == Exit.OK
    secrets.write("one", previous)
    with subtest("before the boot, the secrets are unchanged"):
        assert secrets.wrong_on(alpha) == []
    alpha.reboot()
    secrets.write("one", following)
    with subtest("after the boot, the new secrets are in place"):
        assert alpha.word() == "booted"
        assert secrets.wrong_on(alpha) == []
    wait_until(
        "alpha commits the system",
        lambda: alpha.profile() == alpha.system() and fleet.deployment_state(alpha) == "committed",
        30,
    )
    alpha.reboot()
    with subtest("after another boot, the new secrets are still in place"):
        assert secrets.wrong_on(alpha) == []
    fleet.wait_for_agents(alpha)

    previous = secrets.renew("one")
    secrets.describe(
        alpha,
        module="""{
            environment.etc.word.text = "ill";
            deployment.healthChecks.cmd = [ { cmd = [ "/bin/false" ]; period = 1; deadline = 1; } ];
        }""",
    )
    fleet.apply("boot", on=alpha)
    alpha.begin_reboot()
    wait_until("alpha has rolled back", lambda: fleet.deployment_state(alpha) == "rolled-back", 120)
    secrets.write("one", previous)
    alpha.wait_until_up()
    with subtest("after the rollback, the previous secrets are in place"):
        assert alpha.word() == "booted"
        assert secrets.wrong_on(alpha) == []
    fleet.wait_for_agents(alpha)
    secrets.describe(alpha)
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK


def test_all_of_this_leaves_no_secret_elsewhere(secrets, subtest):
    check_secrecy(subtest, secrets)
