"""Where the bytes of secrets are: a search of all files, of the journal, of command lines and environments, of waggle's
output and of the operator's store. Each part of the search must find a control word, which shows that it looks there."""

import subprocess
import uuid

import pytest
from fleet import Exit, wait_until
from fleet.secrets import PLACES, STATE, Secrets, files_with, laptop_files_with, words_in_journal, words_in_output

NODES = ["alpha"]


@pytest.fixture(scope="module")
def secrets(fleet, alpha):
    secrets = Secrets(fleet)
    secrets.describe(alpha)
    fleet.deploy(alpha)
    return secrets


@pytest.fixture(scope="module")
def control():
    """The control word."""
    return f"control-{uuid.uuid4()}"


def test_a_deployment_that_changes_a_secret_and_the_system(fleet, alpha, secrets, control, subtest):
    """While it runs, all command lines and environments are sampled; the control word is in one of each."""
    (alpha.root / "usr/lib/waggle-test/sample").write_text(
        """#!/bin/sh
        until [ -e /run/sampled ]; do
            cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ
        done 2>/dev/null | tr '\\0' '\\n' | awk '!seen[$0]++' >/run/samples
        """
    )
    alpha.succeed(f"systemd-run -q --unit=control --setenv=CONTROL={control} sh -c 'sleep 600; : {control}'")
    alpha.succeed("systemd-run -q --unit=sample sh /usr/lib/waggle-test/sample")
    secrets.renew("two")
    secrets.describe(alpha, module='{ environment.etc.word.text = "another system"; }')
    run = fleet.apply(on=alpha)
    with subtest("a deployment that changes a secret and the system succeeds"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "another system"
    with subtest("the trigger's output has names of secrets"):
        assert run.shows("secret two written")
    # What people read has no more than what programs read.
    secrets.renew("two")
    run = fleet.waggle("upload-keys", on=alpha, json=False)
    with subtest("the trigger's output for people has names of secrets"):
        assert run.exit_code == Exit.OK
        assert run.shows("secret two written")
    alpha.succeed("touch /run/sampled")
    alpha.wait_for_unit_state("sample", "inactive", timeout=20)
    alpha.succeed("systemctl start late.mount")
    wait_until("the secret on /late is there", lambda: secrets.is_at(alpha, "late", "/late/keys/late"), 20)


def test_secrets_are_in_their_files_on_the_node_and_nowhere_else(alpha, secrets, control, subtest):
    alpha.succeed(
        f"""
        echo {control} >/nix/var/control
        echo {control} >{STATE}/control
        echo {control} | systemd-cat -t control
        journalctl --sync
        """
    )
    found = files_with(alpha, [control])
    with subtest("the search finds the control word in the state directory"):
        assert f"{STATE}/control" in found
    with subtest("the search finds the control word below /nix"):
        assert "/nix/var/control" in found
    with subtest("the search finds the control word in the journal"):
        assert any(file.startswith("/var/log/journal/") for file in found)
    with subtest("secrets are in their files and nowhere else"):
        assert files_with(alpha, secrets.words) == sorted(PLACES.values())
    with subtest("the journal, read by journalctl, has the control word"):
        assert words_in_journal(alpha, [control]) == [control]
    with subtest("the journal, read by journalctl, has no secret"):
        assert words_in_journal(alpha, secrets.words) == []


def test_no_command_line_and_no_environment_had_a_secret(alpha, secrets, control, subtest):
    samples = alpha.read("/run/samples")
    with subtest("the samples have the control word in a command line and an environment"):
        lines = samples.splitlines()
        assert f"sleep 600; : {control}" in lines
        assert f"CONTROL={control}" in lines
    with subtest("no command line and no environment had a secret"):
        assert [word for word in secrets.words if word in samples] == []


def test_the_operators_machine_has_no_secret_in_its_store_or_output(fleet, secrets, control, subtest):
    with subtest("the search of the trigger's output finds the name of a secret"):
        assert words_in_output(fleet, ["secret two written"]) != []
    with subtest("the trigger's output has no secret"):
        assert words_in_output(fleet, secrets.words) == []
    file = fleet.run / "control-file"
    file.write_text(control + "\n")
    stored = subprocess.run(["nix-store", "--add", file], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with subtest("the search finds the control word in the laptop's store"):
        assert laptop_files_with(fleet, [control]) == [stored]
    with subtest("the laptop's store has no secret"):
        assert laptop_files_with(fleet, secrets.words) == []


def test_core_dumps(alpha, subtest):
    for unit in ("waggle-agent", "waggle-secrets", "one-key"):
        with subtest(f"{unit} leaves no core dump"):
            assert alpha.get_unit_property(unit, "LimitCORE") == "0"
