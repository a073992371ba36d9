"""Secrets that return to what they were: `waggle-agent rollback` at the console, a system that is rolled back, and a
power cut in the middle of a write."""

import base64
import os
import subprocess

import pytest
from fleet import Exit, wait_until
from fleet.machine import FILES
from fleet.secrets import Secrets, check_secrecy, starts

NODES = ["alpha"]


@pytest.fixture(scope="module")
def secrets(fleet, alpha):
    secrets = Secrets(fleet)
    secrets.describe(alpha)
    fleet.deploy(alpha)
    return secrets


def test_at_the_console_rollback_to_the_previous_secrets(fleet, alpha, secrets, subtest):
    previous = secrets.renew("one")
    fleet.waggle("upload-keys", on=alpha)
    with subtest("the new secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    before = starts(alpha, "uses-one")
    with subtest("waggle-agent rollback succeeds"):
        code, said = alpha.agent("rollback")
        assert code == 0, said
    secrets.write("one", previous)
    with subtest("the previous secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    with subtest("the unit of the restored secret is restarted"):
        wait_until("uses-one is restarted", lambda: starts(alpha, "uses-one") == before + 1, 20)
    run = fleet.waggle("history", on=alpha)
    with subtest("the history records the rollback"):
        newest = run.nodes["alpha"]["history"][0]
        assert (newest["goal"], newest["code"]) == ("upload-keys", "taken-back")
        assert "rolled back at the node's console" in newest["message"]
    code, said = alpha.agent("rollback")
    with subtest("a second rollback fails"):
        assert code == 1
    with subtest("the error says that there is nothing to roll back"):
        assert "which is committed, are not in force: there is nothing to roll back" in said


def test_at_the_console_rollback_to_the_previous_system_and_its_secrets(fleet, alpha, secrets, subtest):
    before = alpha.system()
    previous = secrets.renew("one")
    secrets.describe(alpha, module='{ environment.etc.word.text = "another system"; }')
    fleet.deploy(alpha)
    with subtest("the new system's secrets are in place"):
        assert alpha.word() == "another system"
        assert secrets.wrong_on(alpha) == []
    with subtest("waggle-agent rollback succeeds"):
        code, said = alpha.agent("rollback")
        assert code == 0, said
    secrets.write("one", previous)
    with subtest("alpha runs the previous system"):
        assert alpha.system() == before
    with subtest("the previous system's secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    fleet.wait_for_agents(alpha)
    secrets.describe(alpha)
    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("the next upload leaves alpha unchanged"):
        assert run.outcome["alpha"] == "unchanged"


def test_a_deployment_that_is_rolled_back_also_rolls_back_its_secrets(fleet, alpha, secrets, subtest):
    previous = secrets.renew("one")
    secrets.describe(
        alpha,
        module="""{ systemd.services.broken = {
            wantedBy = [ "multi-user.target" ];
            serviceConfig.Type = "oneshot";
            script = "exit 3";
        }; }""",
    )
    run = fleet.apply(on=alpha)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.nodes["alpha"]["code"] == "units-failed"
    secrets.write("one", previous)
    with subtest("the previous secrets are in place"):
        assert secrets.wrong_on(alpha) == []
    secrets.describe(alpha)


BIG = [f"big{number}" for number in range(1, 8)]


def renew_big(secrets):
    """Gives seven large secrets a new content of a million bytes each, and returns it."""
    contents = {name: base64.b64encode(os.urandom(750_000)).decode() for name in BIG}
    for name, content in contents.items():
        secrets.write(name, content)
    return contents


def test_a_power_cut_in_the_middle_of_a_write(fleet, alpha, secrets, subtest):
    """The deployment's fourth new file stays half written until the power is cut."""
    folder = alpha.root / "var/lib/kept/big"
    half = folder / ".big4.waggle-new"

    def wrong_files(contents):
        return [name for name in BIG if (folder / name).read_text() != contents[name]]

    def is_half_written():
        try:
            about = half.stat()
        except FileNotFoundError:
            return False
        return (about.st_size, about.st_uid, about.st_gid, about.st_mode & 0o7777) == (500_000, 0, 0, 0o600)

    library = alpha.root / "root/half-write.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, FILES / "half-write.c"], check=True)
    previous = renew_big(secrets)
    secrets.describe(
        alpha, " ".join(f'{name} = {{ {secrets.key_file(name)} destDir = "/var/lib/kept/big"; }};' for name in BIG)
    )
    with subtest("seven large secrets are deployed"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("the large secrets are in place"):
        assert wrong_files(previous) == []

    following = renew_big(secrets)
    # ASAN_OPTIONS: an agent that was built with sanitizers otherwise requires that their library is loaded first.
    alpha.succeed(
        """
        mkdir /etc/systemd/system/waggle-activation.service.d
        cat >/etc/systemd/system/waggle-activation.service.d/half.conf
        systemctl daemon-reload
        """,
        stdin="[Service]\nEnvironment=LD_PRELOAD=/root/half-write.so ASAN_OPTIONS=verify_asan_link_order=0\n",
    )
    run = fleet.start_waggle("upload-keys", on=alpha)
    wait_until("the fourth secret is half written", is_half_written, 60)
    alpha.crash()
    with subtest("the fourth secret is still half written after the power cut"):
        assert is_half_written()
    fleet.start(alpha)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
    with subtest("each file has its whole previous content"):
        assert wrong_files(previous) == []
    with subtest("the half-written file is gone"):
        assert sorted(file.name for file in folder.iterdir()) == BIG

    run = fleet.waggle("upload-keys", on=alpha)
    with subtest("the next upload succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("the new secrets are in place"):
        assert wrong_files(following) == []
    secrets.describe(alpha)
    with subtest("a deployment that removes the large secrets succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("the files of the large secrets are gone"):
        assert not folder.exists() or list(folder.iterdir()) == []


def test_all_of_this_leaves_no_secret_elsewhere(secrets, subtest):
    check_secrecy(subtest, secrets)
