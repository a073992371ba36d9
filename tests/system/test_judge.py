"""Which failures roll a deployment back, and which do not; what the report shows of them; another process's switch; a
state file that cannot be read."""

import re

import pytest
from fleet import Exit, wait_until
from fleet.systems import AGENT_EXITS, system

NODES = ["alpha", "beta", "gamma"]

STATE_FILE = "/var/lib/waggle-agent/state.json"
SWITCH_LOCK = "/run/nixos/switch-to-configuration.lock"


def service(name, text):
    """A service that multi-user.target wants."""
    return f'systemd.services.{name} = {{ wantedBy = [ "multi-user.target" ]; {text} }};'


def failing_service(name):
    return service(name, 'serviceConfig.Type = "oneshot"; script = "exit 3";')


TRANSIENT_UNIT_FAILS = f"""
{{
  {service("container", 'script = "/usr/bin/systemd-run -q --unit=healthcheck /bin/false; exec sleep infinity";')}
}}
"""
# Nearly all the time, its unit waits for the next start. A deployment that starts it again waits for that, too.
RESTARTS_ALWAYS = f"""
{{
  {service("periodic", 'script = "echo done"; serviceConfig = { Restart = "always"; RestartSec = 20; };')}
}}
"""
IGNORED_UNIT_FAILS = f"""
{{
  {failing_service("backup-db")}
  deployment.rollback.ignoreUnits = [ "backup-*" ];
}}
"""
SAME_UNIT_IS_NO_LONGER_IGNORED = f"""
{{
  {failing_service("backup-db")}
  deployment.rollback.ignoreUnits = [ ];
}}
"""
UNIT_DOES_NOT_START = f"""
{{
  {service("web", 'serviceConfig.Type = "oneshot"; script = "echo the certificate has expired >&2; exit 3";')}
}}
"""
UNIT_DIES_LATE = f"""
{{
  {service("late", 'script = "sleep 2; exit 3";')}
}}
"""
# Its unit fails after another process has taken the lock, which the rollback needs.
FAILS_WHILE_ANOTHER_SWITCHES = f"""
{{
  systemd.services.broken = {{
    wantedBy = [ "multi-user.target" ];
    serviceConfig.Type = "oneshot";
    script = ''
      /usr/bin/systemd-run -q --unit=rebuild sh -c "exec 9>{SWITCH_LOCK}; flock 9; exec sleep 8"
      exit 3
    '';
  }};
}}
"""
LONG_NAME = "x" * 170
MANY_UNITS_FAIL = f"""
{{
  systemd.services = lib.genAttrs (builtins.genList (i: "{LONG_NAME}${{toString (i + 1)}}") 120) (name: {{
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "/bin/false";
  }});
}}
"""


def keeps_failed_units(name):
    """A module whose service of that name fails, which rolls nothing back."""
    return f"""
    {{
      {failing_service(name)}
      deployment.rollback.onFailedUnits = "keep";
    }}
    """


@pytest.fixture
def describe(fleet):
    """Describes a system with a word that tells systems apart, and a further module."""

    def describe(node, word, module="{ }", **timeouts):
        fleet.configure(node, system(word, module, **timeouts))

    return describe


def test_three_nodes_are_deployed(fleet, describe, subtest):
    for node in fleet:
        describe(node, "one")
    with subtest("three nodes are deployed"):
        assert fleet.apply().exit_code == Exit.OK


def test_failures_that_the_switch_did_not_cause(fleet, alpha, beta, gamma, describe, subtest):
    describe(alpha, "two", TRANSIENT_UNIT_FAILS)
    describe(beta, "two", RESTARTS_ALWAYS)
    describe(gamma, "two", IGNORED_UNIT_FAILS)
    run = fleet.apply()
    with subtest("failures that the switch did not cause roll nothing back"):
        assert run.exit_code == Exit.OK
        assert set(run.outcome.values()) == {"ok"}
    with subtest("alpha, where a transient unit failed, runs the new system"):
        assert alpha.word() == "two"
    with subtest("the output says that the transient unit is not the deployment's"):
        assert "units failed: healthcheck.service, which is not this deployment's doing" in run.nodes["alpha"]["log"]
    with subtest("beta, where a unit with Restart=always exited with success, runs the new system"):
        assert beta.word() == "two"
    with subtest("gamma, where an ignored unit failed, runs the new system"):
        assert gamma.word() == "two"


def test_a_unit_that_failed_before_and_one_that_the_deployment_does_not_touch(
    fleet, alpha, beta, gamma, describe, subtest
):
    describe(alpha, "three")
    beta.succeed("systemd-run -q --unit=job --on-active=0 /bin/false")
    describe(beta, "three", RESTARTS_ALWAYS)
    describe(gamma, "three", SAME_UNIT_IS_NO_LONGER_IGNORED)
    run = fleet.apply()
    with subtest("neither failure rolls anything back"):
        assert run.exit_code == Exit.OK
        assert set(run.outcome.values()) == {"ok"}
        assert beta.word() == "three"
    with subtest("gamma, where the unit failed before, runs the new system"):
        assert gamma.word() == "three"
    for node, unit in ((beta, "job"), (gamma, "backup-db")):
        node.require_unit_state(unit, "failed")


def test_failures_that_the_switch_caused(fleet, alpha, beta, gamma, describe, subtest):
    describe(alpha, "four", UNIT_DOES_NOT_START)
    describe(beta, "four", UNIT_DIES_LATE)
    describe(gamma, "four", keeps_failed_units("flawed"))
    run = fleet.apply()
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
    with subtest("alpha, where a unit does not start, runs the old system"):
        assert run.outcome["alpha"] == "rolled-back"
        assert alpha.word() == "three"
    with subtest("the report has the unit's own output"):
        assert "the certificate has expired" in run.message(alpha)
    with subtest("beta, where a unit dies soon after the start, runs the old system"):
        assert run.outcome["beta"] == "rolled-back"
        assert beta.word() == "three"
    with subtest("gamma, which keeps failed units, has the outcome ok-units-failed"):
        assert run.outcome["gamma"] == "ok-units-failed"
    describe(gamma, "five", keeps_failed_units("flawed-too"))
    run = fleet.apply("--reboot", on=gamma)
    with subtest("with --reboot, gamma also has the outcome ok-units-failed and exit code 4"):
        assert (run.exit_code, run.outcome["gamma"]) == (Exit.UNITS_FAILED, "ok-units-failed")
    with subtest("gamma keeps the new system"):
        assert gamma.word() == "five"


def test_another_process_switches_the_node(fleet, alpha, describe, subtest):
    alpha.succeed(
        f"mkdir -p /run/nixos; systemd-run -q --unit=rebuild sh -c 'exec 9>{SWITCH_LOCK}; flock 9; exec sleep 600'"
    )
    alpha.wait_until_fails(f"flock -n {SWITCH_LOCK} true", timeout=20)
    describe(alpha, "five")
    run = fleet.apply(on=alpha)
    with subtest("a deployment is refused while another process switches the node"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["alpha"]["code"] == "busy"
    with subtest("the refusal names the process that is switching"):
        assert re.match(r"process [0-9]+ \(sleep\) is switching this node", run.nodes["alpha"]["message"])
    alpha.succeed("systemctl stop rebuild")
    boot = alpha.boot_id()
    describe(alpha, "six", FAILS_WHILE_ANOTHER_SWITCHES)
    run = fleet.apply(on=alpha)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
    with subtest("the rollback reports the process that it waits for"):
        assert run.says(r"^alpha \| waiting for process [0-9]+ \(sleep\), which is switching this node")
    with subtest("alpha was not rebooted"):
        assert alpha.boot_id() == boot
    with subtest("alpha runs the old system"):
        assert alpha.word() == "three"


def test_a_state_file_at_its_limits_and_one_that_cannot_be_read(fleet, beta, describe, subtest):
    describe(beta, "six", MANY_UNITS_FAIL)
    run = fleet.apply(on=beta)
    with subtest("a deployment with 120 failing units with long names is rolled back"):
        assert (run.exit_code, beta.word()) == (Exit.ROLLED_BACK, "three")
    with subtest("the output counts the units that it does not name"):
        assert "and 110 more" in run.nodes["beta"]["message"]
    # The new agent does not start, so no trigger can confirm; the state file is damaged before the timer expires.
    describe(beta, "seven", AGENT_EXITS, confirm_timeout=10)
    run = fleet.start_waggle("apply", on=beta)
    wait_until("beta runs the new system", lambda: beta.word() == "seven", 60)
    beta.wait_for_unit("waggle-confirm.timer", timeout=60)
    beta.succeed(f"cd /var/lib/waggle-agent && head -c 300 {STATE_FILE} > s && mv s {STATE_FILE}")
    run.wait()
    with subtest("a node with an unreadable state file rolls back"):
        wait_until("beta runs the old system", lambda: beta.word() == "three", 60)
    fleet.wait_for_agents(beta)
    describe(beta, "eight")
    run = fleet.apply(on=beta)
    with subtest("the node then refuses deployments"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["beta"]["code"] == "corrupt-state"
    run = fleet.apply("--reset-state", on=beta)
    with subtest("with --reset-state, the deployment succeeds"):
        assert (run.exit_code, beta.word()) == (Exit.OK, "eight")
