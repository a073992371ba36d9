"""Health checks, and systems that a reboot starts: kept if they are healthy, gone after one boot if they are not."""

import os

from fleet import AGENT, Exit, wait_until
from fleet.systems import AGENT_EXITS, system

NODES = ["alpha", "beta"]

ONE_TIME_BOOT = "boot/loader/oneshot"
BOOT_WATCHDOG = "etc/systemd/system.control/waggle-watch.timer"

WELL = """{
  deployment.healthChecks.cmd = [
    { cmd = [ "/bin/test" "-e" "/etc/word" ]; description = "word"; period = 1; deadline = 5; }
  ];
}"""
FAILING = """{
  deployment.healthChecks.cmd = [
    { cmd = [ "/bin/sh" "-c" "echo no honey >&2; exit 1" ]; description = "honey"; period = 1; deadline = 1; }
  ];
}"""
NO_HONEY = 'check "honey" has failed for 1 s: exit code 1: no honey'

# As after a failed mount on a real machine; here, the stand-in for a boot loader puts a system in place only after
# local-fs.target.
EMERGENCY = """{
  systemd.services.fall = {
    wantedBy = [ "multi-user.target" ];
    before = [ "waggle-agent.service" ];
    serviceConfig.Type = "oneshot";
    script = "systemctl --no-block isolate emergency.target; sleep 100";
  };
}"""


def is_left(node, path):
    """Whether the node's disk has that file."""
    return os.path.lexists(node.root / path)


def boots_its_system(node):
    return node.profile() == node.system()


def check_rolled_back(subtest, run, reason):
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.outcome["beta"] == "rolled-back"
    with subtest("the output gives the reason"):
        assert reason in run.nodes["beta"]["message"]


def check_runs(subtest, node, word, what):
    with subtest(f"{node} runs the {what} system"):
        assert node.word() == word
    with subtest(f"{node} boots the {what} system from now on"):
        assert boots_its_system(node)


def test_health_checks_decide_whether_a_switch_is_kept(fleet, alpha, subtest):
    fleet.configure(alpha, system("good", WELL))
    run = fleet.apply(on=alpha)
    with subtest("a healthy system is kept"):
        assert run.outcome["alpha"] == "ok"
        assert alpha.word() == "good"
    fleet.configure(alpha, system("bad", FAILING))
    run = fleet.apply(on=alpha)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.nodes["alpha"]["code"] == "health-check"
    with subtest("the output names the check and its last output"):
        assert NO_HONEY in run.nodes["alpha"]["message"]
    with subtest("alpha runs the old system"):
        assert alpha.word() == "good"


def test_waggle_check_health(fleet, alpha, subtest):
    run = fleet.waggle("check-health", on=alpha)
    with subtest("waggle check-health succeeds on a healthy node"):
        assert run.exit_code == Exit.OK
        assert run.nodes["alpha"]["healthy"] is True
    with subtest("the output names the check"):
        assert 'the check "word" holds' in run.nodes["alpha"]["text"]
    alpha.succeed("rm /etc/word")
    run = fleet.waggle("check-health", on=alpha)
    with subtest("a failing check gives exit code 4"):
        assert run.exit_code == Exit.UNITS_FAILED
        assert run.nodes["alpha"]["healthy"] is False
    with subtest("the output names the failing check"):
        assert 'check "word" has failed' in run.nodes["alpha"]["text"]
    with subtest("the output says that alpha is unhealthy"):
        assert fleet.waggle("check-health", on=alpha, json=False).says("^alpha: unhealthy$")


def test_reboot_boots_the_new_system_once_and_its_own_agent_commits_it(fleet, beta, subtest):
    fleet.configure(beta, system("one", WELL))
    before = beta.boot_id()
    run = fleet.apply("--reboot", on=beta)
    with subtest("waggle apply --reboot succeeds"):
        assert run.exit_code == Exit.OK
        assert run.outcome["beta"] == "ok"
    with subtest("beta has been rebooted"):
        assert beta.has_rebooted(before)
    check_runs(subtest, beta, "one", "new")
    with subtest("no one-time boot is left on beta"):
        assert not is_left(beta, ONE_TIME_BOOT)
    with subtest("no boot watchdog is left on beta"):
        assert not is_left(beta, BOOT_WATCHDOG)


def test_reboot_into_an_unhealthy_system(fleet, beta, subtest):
    fleet.configure(beta, system("two", FAILING))
    run = fleet.apply("--reboot", on=beta)
    check_rolled_back(subtest, run, NO_HONEY)
    check_runs(subtest, beta, "one", "old")


def test_reboot_into_a_system_whose_agent_never_starts(fleet, beta, subtest):
    fleet.configure(beta, system("silent", AGENT_EXITS, activation_timeout=20))
    before = beta.boot_id()
    run = fleet.apply("--reboot", on=beta)
    check_rolled_back(subtest, run, "its agent did not resume the deployment within 20 s")
    with subtest("beta has been rebooted"):
        assert beta.has_rebooted(before)
    check_runs(subtest, beta, "one", "old")
    with subtest("no boot watchdog is left on beta"):
        assert not is_left(beta, BOOT_WATCHDOG)


def test_reboot_into_a_system_that_ends_in_emergency_mode(fleet, beta, subtest):
    """Its watchdog starts, its agent does not."""
    fleet.configure(beta, system("broken", EMERGENCY, activation_timeout=20))
    run = fleet.apply("--reboot", on=beta)
    check_rolled_back(subtest, run, "its agent did not resume the deployment within 20 s")
    with subtest("the previous boot reached emergency mode"):
        assert "Reached target emergency.target" in beta.journal("-b -1")
    check_runs(subtest, beta, "one", "old")
    with subtest("beta is up"):
        assert beta.is_up()
    with subtest("no boot watchdog is left on beta"):
        assert not is_left(beta, BOOT_WATCHDOG)


def test_a_deployment_that_activates_nothing_cancels_the_one_time_boot_of_goal_boot(fleet, beta, subtest):
    fleet.configure(beta, system("never", WELL))
    with subtest("waggle apply boot succeeds"):
        assert fleet.apply("boot", on=beta).exit_code == Exit.OK
    with subtest("a one-time boot and a boot watchdog are prepared"):
        assert is_left(beta, ONE_TIME_BOOT) and is_left(beta, BOOT_WATCHDOG)
    with subtest("waggle apply push succeeds"):
        assert fleet.apply("push", on=beta).exit_code == Exit.OK
    with subtest("the one-time boot is cancelled"):
        wait_until("no one-time boot is left", lambda: not is_left(beta, ONE_TIME_BOOT), 30)
        wait_until("no boot watchdog is left", lambda: not is_left(beta, BOOT_WATCHDOG), 30)
    beta.reboot()
    with subtest("beta boots the previous system"):
        assert beta.word() == "one"
    fleet.wait_for_agents(beta)


def test_reboot_if_needed(fleet, beta, subtest):
    fleet.configure(beta, system("three", WELL))
    before = beta.boot_id()
    run = fleet.apply("--reboot-if-needed", on=beta)
    with subtest("with the same kernel, beta switches without a reboot"):
        assert run.outcome["beta"] == "ok"
        assert beta.boot_id() == before
        assert beta.word() == "three"
    fleet.configure(beta, system("four", '{ system.fixture.kernelVersion = "6.2.0"; }'))
    run = fleet.apply("--reboot-if-needed", on=beta)
    with subtest("with another kernel, beta is rebooted"):
        assert beta.has_rebooted(before)
    with subtest("waggle apply --reboot-if-needed succeeds"):
        assert run.exit_code == Exit.OK
        assert run.outcome["beta"] == "ok"
    with subtest("beta runs the new system"):
        assert beta.word() == "four"


def test_goal_boot_and_the_next_reboot_starts_the_new_system(fleet, beta, subtest):
    """The node keeps it if it is healthy."""
    fleet.configure(beta, system("five", WELL))
    old = beta.profile()
    with subtest("waggle apply boot succeeds"):
        assert fleet.apply("boot", on=beta).exit_code == Exit.OK
    with subtest("the profile is the old system until the reboot"):
        assert beta.profile() == old
    beta.reboot()
    wait_until("beta commits the new system", lambda: boots_its_system(beta), 30)
    check_runs(subtest, beta, "five", "new")

    fleet.configure(beta, system("six", FAILING))
    with subtest("waggle apply boot succeeds with an unhealthy system"):
        assert fleet.apply("boot", on=beta).exit_code == Exit.OK
    before = beta.boot_id()
    beta.begin_reboot()
    wait_until("beta begins to boot the unhealthy system", lambda: beta.has_rebooted(before), 60)
    second = beta.boot_id()
    beta.wait_for_reboot(second)  # the agent rolls back with a second reboot
    with subtest("beta runs the old system again"):
        wait_until("beta runs the old system again", lambda: beta.word() == "five", 60)
    # Until then, it occupies the node.
    with subtest("the deployment ends as rolled-back"):
        wait_until("it has ended", lambda: fleet.deployment_state(beta) == "rolled-back", 30)
    fleet.wait_for_agents(beta)


def test_waggle_reboot(fleet, beta, subtest):
    before = beta.boot_id()
    run = fleet.waggle("reboot", on=beta)
    with subtest("waggle reboot succeeds"):
        assert run.exit_code == Exit.OK
        assert run.outcome["beta"] == "ok"
    with subtest("beta has been rebooted"):
        assert beta.has_rebooted(before)


def test_waggle_history_and_rollback(fleet, beta, subtest):
    run = fleet.waggle("history", on=beta)
    with subtest("waggle history succeeds"):
        assert run.exit_code == Exit.OK
    newest = run.nodes["beta"]["history"][0]
    with subtest("the history lists the rollback and its reason"):
        assert (newest["goal"], newest["outcome"]) == ("boot", "rolled-back")
        assert NO_HONEY in newest["message"]
    with subtest("waggle-agent history succeeds at the console"):
        console = beta.succeed(f"{AGENT} history")
        assert any("rolled-back" in line and "no honey" in line for line in console.splitlines()), console
    run = fleet.waggle("rollback", on=beta)
    with subtest("waggle rollback succeeds"):
        assert run.exit_code == Exit.OK
        assert run.outcome["beta"] == "ok"
    with subtest("beta runs the previous system"):
        assert beta.word() == "four"
    run = fleet.waggle("rollback", "--to", 1, on=beta)
    with subtest("a generation that Waggle did not make is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["beta"]["code"] == "unknown-generation"
    with subtest("the refusal names the command to run by hand"):
        assert "switch-generation 1" in run.nodes["beta"]["message"]
