"""What a node keeps and what it releases: generations, GC roots, the running specialisation, and systems that another
machine has deployed."""

import os
import re
import time

import pytest
from fleet import Exit, wait_until
from fleet.systems import system

NODES = ["alpha"]

KEEPS_TWO = "{ services.waggle-agent.keep = 2; }"
KEEPS_UNKNOWN = "{ deployment.replaceUnknownProfiles = false; }"
PROFILES = "/nix/var/nix/profiles"


@pytest.fixture
def keeping_two(fleet, alpha):
    """Describes a system of which alpha keeps two generations."""
    return lambda word: fleet.configure(alpha, system(word, KEEPS_TWO))


@pytest.fixture
def special(fleet, alpha):
    """Describes a system with the specialisation "loud"."""

    def special(word, more=""):
        module = f'{{ specialisation.loud.configuration.environment.etc.loud.text = "{word}!"; {more} }}'
        fleet.configure(alpha, system(word, module))

    return special


def generations(node):
    names = os.listdir(node.root / PROFILES.lstrip("/"))
    return sorted(int(match[1]) for name in names if (match := re.fullmatch("system-([0-9]+)-link", name)))


def root_of(node, path):
    """The agent's GC root of a store path, or None. One that keeps the system before a deployment does not count."""
    for root in (node.root / "var/lib/waggle-agent/gcroots").rglob("*"):
        if root.is_symlink() and os.readlink(root) == path and not root.name.endswith("-previous"):
            return root
    return None


def loud(node):
    """The text that the specialisation "loud" has."""
    return node.read("/etc/loud")


def test_generations(fleet, alpha, keeping_two, subtest):
    booted = alpha.system()
    for word in ["one", "two", "three", "four"]:
        keeping_two(word)
        run = fleet.apply()
        with subtest(f"{word} is kept"):
            assert run.exit_code == Exit.OK
            assert alpha.word() == word
    with subtest("two generations are left, and the one that was booted"):
        assert generations(alpha) == [1, 4, 5]
    with subtest("the oldest generation is the booted system"):
        assert alpha.realpath(f"{PROFILES}/system-1-link") == booted


def test_a_system_that_was_pushed_and_never_activated(fleet, alpha, keeping_two, subtest):
    keeping_two("pushed")
    pushed = fleet.toplevel(alpha)
    with subtest("waggle apply push succeeds"):
        assert fleet.apply("push").exit_code == Exit.OK
    with subtest("a GC root keeps the pushed system"):
        assert root_of(alpha, pushed)
    keeping_two("five")
    with subtest("another system is deployed"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the GC root is still there"):
        assert root_of(alpha, pushed)
    long_ago = time.time() - 15 * 24 * 3600
    os.utime(root_of(alpha, pushed), (long_ago, long_ago), follow_symlinks=False)
    keeping_two("six")
    with subtest("the next system is deployed"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the GC root is deleted after 14 days"):
        wait_until("the GC root is deleted", lambda: root_of(alpha, pushed) is None, 20)
    with subtest("the running system has a GC root"):
        assert root_of(alpha, alpha.system())
    with subtest("the pushed system is there until the garbage collector runs"):
        assert alpha.exists(pushed)
    alpha.succeed("nix-store --gc")
    with subtest("the garbage collector deletes the pushed system"):
        assert not alpha.exists(pushed)
    with subtest("the running system stays"):
        alpha.succeed(f"test -x {alpha.system()}/bin/switch-to-configuration")
    with subtest("the systems of all generations stay"):
        assert len(generations(alpha)) >= 2
        for number in generations(alpha):
            assert alpha.exists(f"{PROFILES}/system-{number}-link/bin/switch-to-configuration")
    with subtest("the store is sound"):
        assert alpha.store_is_sound()


def test_a_node_that_already_runs_the_system(fleet, alpha, subtest):
    before = alpha.get_unit_property("waggle-agent", "ExecMainStartTimestampMonotonic")
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("the outcome is unchanged"):
        assert run.outcome["alpha"] == "unchanged"
    with subtest("the agent was not restarted"):
        assert alpha.get_unit_property("waggle-agent", "ExecMainStartTimestampMonotonic") == before


def test_specialisations(fleet, alpha, special, subtest):
    special("seven", 'deployment.specialisation = "loud";')
    with subtest("a specialisation is activated"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("alpha runs the specialisation"):
        assert loud(alpha) == "seven!"
    with subtest("the profile is the whole system"):
        assert alpha.profile() == fleet.toplevel(alpha)

    special("eight")
    with subtest("a switch succeeds"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the running specialisation is kept"):
        assert loud(alpha) == "eight!"
    with subtest("a second deployment leaves alpha unchanged"):
        assert fleet.apply().outcome["alpha"] == "unchanged"

    special("nine", 'deployment.specialisation = "silent";')
    run = fleet.apply()
    with subtest("a specialisation that does not exist is refused before the activation"):
        assert run.exit_code == Exit.FAILED
        assert run.nodes["alpha"]["code"] == "no-specialisation"
        assert loud(alpha) == "eight!"
    with subtest("the error names the specialisations that exist"):
        assert run.nodes["alpha"]["message"] == "the new system has no specialisation silent, only loud"

    broken = """systemd.services.broken = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.Type = "oneshot";
        script = "exit 3";
    };"""
    special("nine", broken)
    run = fleet.apply()
    with subtest("a system with a failing unit is rolled back"):
        assert run.outcome["alpha"] == "rolled-back"
        assert run.nodes["alpha"]["code"] == "units-failed"
    with subtest("alpha runs the previous specialisation"):
        assert loud(alpha) == "eight!"

    special("ten", 'deployment.specialisation = "";')
    with subtest("the deployment of the system itself succeeds"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("an empty deployment.specialisation selects the system itself"):
        assert loud(alpha) is None
        assert alpha.word() == "ten"


def test_a_system_that_another_machine_has_deployed(fleet, alpha, subtest):
    fleet.configure(alpha, system("eleven", KEEPS_UNKNOWN))
    with subtest("a system that this machine has built is replaced"):
        assert fleet.apply().exit_code == Exit.OK
        assert alpha.word() == "eleven"
    foreign = alpha.succeed(
        "mkdir -p /tmp/f/bin && cp /run/current-system/bin/switch-to-configuration /tmp/f/bin/ && nix-store --add /tmp/f"
    )
    alpha.succeed(f"nix-env --profile {PROFILES}/system --set {foreign}")
    fleet.configure(alpha, system("twelve", KEEPS_UNKNOWN))
    run = fleet.apply()
    with subtest("a system that this machine has not built is not replaced"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "unknown-profile"
        assert alpha.profile() == foreign
    with subtest("the error suggests --force-replace-unknown-profiles"):
        assert "--force-replace-unknown-profiles" in run.nodes["alpha"]["message"]
    with subtest("nothing was activated"):
        assert alpha.word() == "eleven"
    with subtest("with the flag, the system is replaced"):
        assert fleet.apply("--force-replace-unknown-profiles").exit_code == Exit.OK
        assert alpha.profile() == alpha.system() == fleet.toplevel(alpha)
    with subtest("alpha runs the new system"):
        assert alpha.word() == "twelve"
