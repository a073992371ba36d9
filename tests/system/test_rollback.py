"""New systems that do not work: each node rolls back to the old one on its own, and the trigger reports what happened."""

import pytest
from fleet import Exit, wait_until
from fleet.systems import AGENT_EXITS, ROLLBACK_CASES, check_rolled_back, system

NODES = ["alpha", "beta"]


def start_unconfirmed(fleet, node, word):
    """Starts a deployment whose system works, but has no agent; returns when the system waits for its confirmation."""
    fleet.configure(node, system(word, AGENT_EXITS))
    run = fleet.start_waggle("apply", on=node)

    def is_unconfirmed():
        return node.word() == word and fleet.deployment_state(node) == "activated"

    wait_until(f"{node} runs the new system", is_unconfirmed, 60)
    return run


def test_a_system_that_works_is_kept(fleet, alpha, subtest):
    for node in fleet:
        fleet.configure(node, system("good"))
    with subtest("a good system is kept"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("the profile is the good system"):
        assert alpha.profile() == alpha.system() == fleet.toplevel(alpha)
    wait_until("no unit of the deployment is left on alpha", lambda: fleet.no_unit_is_left(alpha), 20)


@pytest.mark.parametrize("case", list(ROLLBACK_CASES.values()), ids=list(ROLLBACK_CASES))
def test_a_system_that_does_not_work_is_rolled_back(fleet, alpha, case, subtest):
    fleet.configure(alpha, case.system(case.name))
    check_rolled_back(subtest, fleet, alpha, fleet.apply(on=alpha), case.reason, code=case.code)


def test_the_same_mount_again_an_earlier_failure_does_not_excuse_it(fleet, alpha, subtest):
    case = ROLLBACK_CASES["mount"]
    fleet.configure(alpha, case.system("again"))
    boot = alpha.boot_id()
    check_rolled_back(subtest, fleet, alpha, fleet.apply(on=alpha), case.reason)
    # Like NixOS's, the previous system's script does not work without the bus.
    with subtest("alpha leaves emergency mode without a reboot"):
        assert alpha.boot_id() == boot
    with subtest("emergency.target is no longer active"):
        alpha.require_unit_state("emergency.target", "inactive")
    with subtest("the system bus answers again"):
        systemd = "org.freedesktop.systemd1 /org/freedesktop/systemd1"
        alpha.succeed(f"busctl call {systemd} org.freedesktop.DBus.Peer Ping")


@pytest.mark.parametrize("code", [0, 4])
def test_switch_to_configuration_activates_nothing_and_exits_with(fleet, alpha, code, subtest):
    module = f'{{ system.fixture.leftoverErrno = {code}; system.preSwitchChecks.never = "[ $2 != test ]"; }}'
    fleet.configure(alpha, system(f"errno-{code}", module, confirm_timeout=5))
    reason = f"ended with exit code {code}, but the current system is"
    check_rolled_back(subtest, fleet, alpha, fleet.apply(on=alpha), reason, code="activation-failed")


def test_systemd_itself_is_replaced_while_the_timers_wait(fleet, alpha, subtest):
    module = f"""{{
        system.activationScripts.reexec = "systemctl daemon-reexec";
        imports = [ ({AGENT_EXITS}) ];
    }}"""
    fleet.configure(alpha, system("reexec", module, confirm_timeout=5))
    check_rolled_back(subtest, fleet, alpha, fleet.apply(on=alpha), "not confirmed within 5 s", code="not-confirmed")


def test_a_unit_of_the_new_configuration_fails(fleet, alpha, subtest):
    module = """{ systemd.services.broken = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.Type = "oneshot";
        script = "exit 3";
    }; }"""
    fleet.configure(alpha, system("failing", module, confirm_timeout=5))
    check_rolled_back(subtest, fleet, alpha, fleet.apply(on=alpha), "units failed: broken.service", code="units-failed")


def test_the_next_good_system_is_deployed(fleet, alpha, subtest):
    fleet.configure(alpha, system("better"))
    with subtest("waggle apply succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "better"


def test_a_power_cut_before_the_confirmation_boots_the_old_system(fleet, beta, subtest):
    run = start_unconfirmed(fleet, beta, "unconfirmed")
    beta.crash()
    beta.start()
    reason = "the node was rebooted or lost power while the deployment was activated"
    check_rolled_back(subtest, fleet, beta, run, reason, code="rebooted")


def test_another_process_switches_the_node_in_between(fleet, beta, subtest):
    old = beta.system()
    run = start_unconfirmed(fleet, beta, "mine")
    code, output = beta.execute(f"{old}/bin/switch-to-configuration test 2>&1")
    # 4: the new system's agent, which never starts, had failed just then.
    with subtest("the old system's switch-to-configuration exits with 0 or 4"):
        assert code in (0, 4), output
    beta.succeed("systemctl restart waggle-agent")
    with subtest("the outcome is refused"):
        assert run.outcome["beta"] == "refused"
    with subtest("the output says superseded"):
        assert run.nodes["beta"]["code"] == "superseded"
        assert "superseded: another process has switched this node" in run.nodes["beta"]["message"]
    with subtest("beta still runs the old system"):
        assert beta.system() == old
    wait_until("no unit of the deployment is left on beta", lambda: fleet.no_unit_is_left(beta), 20)
