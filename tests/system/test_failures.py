"""Some nodes fail, each in its own way; the others are deployed all the same, and the outcomes and the exit code report
both."""

import pytest
from fleet import AGENT_PORT, Exit, wait_until
from fleet.systems import system

NODES = ["alpha", "beta", "gamma"]

BROKEN_SNIPPET = '{ system.activationScripts.broken.text = "echo this snippet is broken >&2; exit 1"; }'
FAILING_CHECK = '{ system.preSwitchChecks.never = "echo not on a Sunday >&2; exit 1"; }'
FAILING_UNIT = """
{
  systemd.services.web = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.Type = "oneshot";
    script = "echo no web today >&2; exit 3";
  };
}
"""
# It fails when /run/go-on exists.
SLOW_SNIPPET = """
{
  system.activationScripts.slow.text = ''
    echo before the forgery >&2
    for i in $(seq 600); do
      test -e /run/go-on && break
      sleep 0.1
    done
    echo after the forgery >&2
    exit 1
  '';
}
"""
NO_AGENT = "{ services.waggle-agent.enable = lib.mkForce false; }"


@pytest.fixture
def describe(fleet):
    """Describes a system with a word that tells systems apart, and a further module."""

    def describe(node, word, module="{ }"):
        fleet.configure(node, system(word, module))

    return describe


def activation_output(node):
    """What the journal has in the activation's name, whoever wrote it."""
    return node.journal("-o cat -t waggle-activation")


def test_one_node_down_one_node_broken_one_node_healthy(fleet, alpha, beta, gamma, describe, subtest):
    alpha.shutdown()
    describe(alpha, "one")
    describe(beta, "one", BROKEN_SNIPPET)
    describe(gamma, "one")
    before = beta.profile()
    run = fleet.apply()
    with subtest("gamma is deployed"):
        assert gamma.word() == "one"
    with subtest("gamma is ok"):
        assert run.outcome["gamma"] == "ok"
    with subtest("alpha is unreachable"):
        assert run.outcome["alpha"] == "unreachable"
    with subtest("beta was rolled back"):
        assert run.outcome["beta"] == "rolled-back"
    with subtest("waggle shows beta's log"):
        assert "this snippet is broken" in run.nodes["beta"]["log"]
    with subtest("beta's profile is unchanged"):
        assert beta.profile() == before
    with subtest("beta runs the old system"):
        assert beta.system() == before
    with subtest("beta has the old system's files"):
        assert beta.word() is None
    with subtest("the exit code is that of the worst outcome"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.result["outcome"] == "rolled-back"


def test_the_broken_node_is_repaired(fleet, beta, describe, subtest):
    describe(beta, "two")
    run = fleet.apply(on=beta)
    with subtest("the deployment succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("beta has the new file"):
        assert beta.word() == "two"


def test_a_pre_switch_check_that_fails(fleet, beta, describe, subtest):
    describe(beta, "three", FAILING_CHECK)
    run = fleet.apply(on=beta)
    with subtest("the exit code says refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.nodes["beta"]["code"] == "pre-switch-check"
    with subtest("waggle shows the check's output"):
        assert "not on a Sunday" in run.nodes["beta"]["log"]
    with subtest("nothing was activated"):
        assert beta.word() == "two"


def test_a_unit_that_fails_to_start(fleet, beta, describe, subtest):
    describe(beta, "four", FAILING_UNIT)
    before = beta.profile()
    run = fleet.apply(on=beta)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
    with subtest("the outcome is rolled-back"):
        assert run.outcome["beta"] == "rolled-back"
    with subtest("the output names the unit"):
        assert "units failed: web.service;" in run.nodes["beta"]["message"]
    with subtest("beta runs the old system"):
        assert beta.word() == "two"
    with subtest("beta boots the old system"):
        assert beta.profile() == before


def test_a_local_user_writes_to_the_journal_in_the_activations_name(fleet, beta, describe, subtest):
    describe(beta, "forged", SLOW_SNIPPET)
    run = fleet.start_waggle("apply", on=beta)
    wait_until("the activation is under way", lambda: "before the forgery" in activation_output(beta), 60)
    end = f"waggle-activation {fleet.state(beta)['deployment']['id']} ends"
    for words in ("words of somebody else", end):
        beta.succeed(f"setpriv --reuid=65534 --regid=65534 --clear-groups logger -t waggle-activation '{words}'")
    wait_until("the forged lines are in the journal", lambda: end in activation_output(beta), 20)
    beta.succeed("touch /run/go-on")
    with subtest("the deployment is rolled back"):
        assert run.wait().outcome["beta"] == "rolled-back"
    with subtest("the output has what came before the forgery"):
        assert "before the forgery" in run.nodes["beta"]["log"]
    with subtest("the output has what came after the forgery"):
        assert "after the forgery" in run.nodes["beta"]["log"]
    with subtest("the output does not have the forged lines"):
        assert not run.says("words of somebody else")
        assert not run.shows(end)
    describe(beta, "two")


def test_a_system_without_the_agent(fleet, gamma, describe, subtest):
    describe(gamma, "two", NO_AGENT)
    run = fleet.apply(on=gamma)
    with subtest("the exit code says refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the error suggests --remove-agent"):
        assert run.nodes["gamma"]["code"] == "no-agent"
        assert "add --remove-agent" in run.nodes["gamma"]["message"]
    with subtest("gamma still runs the previous system"):
        assert gamma.word() == "one"
    describe(gamma, "one")


def test_the_agents_port_is_closed(fleet, alpha, subtest):
    fleet.start(alpha)
    alpha.succeed("systemctl stop waggle-agent.socket waggle-agent.service")
    run = fleet.apply(on=alpha)
    with subtest("the exit code says unreachable"):
        assert run.exit_code == Exit.UNREACHABLE
    with subtest("the outcome is unreachable"):
        assert run.outcome["alpha"] == "unreachable"
    with subtest("the error gives port and address"):
        assert f"nothing listens on port {AGENT_PORT} of {alpha.address}" in run.nodes["alpha"]["message"]
    alpha.succeed("systemctl start waggle-agent.service")


def test_the_nix_daemon_is_stopped(fleet, alpha, subtest):
    before = alpha.system()
    alpha.succeed("systemctl stop nix-daemon.socket nix-daemon.service")
    fleet.wait_for_agents(alpha)
    run = fleet.status(on=alpha)
    with subtest("waggle status still answers"):
        assert run.exit_code == Exit.OK
        assert run.nodes["alpha"]["currentSystem"] == before
    run = fleet.apply(on=alpha)
    with subtest("the exit code says refused"):
        assert run.exit_code == Exit.REFUSED
    with subtest("the error names the Nix daemon"):
        assert run.nodes["alpha"]["code"] == "nix-daemon-away"
        assert "the nix daemon does not answer" in run.nodes["alpha"]["message"]
    with subtest("nothing was activated"):
        assert alpha.word() is None
        assert alpha.system() == before
    alpha.succeed("systemctl start nix-daemon.socket")
    run = fleet.apply()
    with subtest("the deployment succeeds once the Nix daemon is back"):
        assert run.exit_code == Exit.OK
    with subtest("alpha has the new file"):
        assert alpha.word() == "one"


def test_a_node_that_does_not_answer_at_all(fleet, beta, gamma, describe, subtest):
    gamma.block()
    describe(beta, "five")
    describe(gamma, "five")
    run = fleet.apply(on=[beta, gamma])
    with subtest("the exit code says unreachable"):
        assert run.exit_code == Exit.UNREACHABLE
    with subtest("gamma is unreachable"):
        assert run.outcome["gamma"] == "unreachable"
    with subtest("beta is deployed"):
        assert beta.word() == "five"


def test_ten_nodes_that_do_not_answer_and_behind_them_one_that_does(fleet, beta, gamma, describe, subtest):
    describe(beta, "six")
    dead = [f"a-dead-{i}" for i in range(10)]
    for name in dead:
        key = fleet.public_key(fleet.make_key(name, comment=""))
        fleet.settings["nodes"][name] = {"address": gamma.address, "hostKey": key}
    fleet.write_settings()
    # Without gamma, whose address all the dead nodes have.
    known_beta = fleet.run / "known_beta"
    known_beta.write_text(beta.known_hosts_line() + "\n")
    run = fleet.apply("--parallel", 1, on="a-dead-*,beta", known_hosts=known_beta)
    with subtest("beta is deployed"):
        assert beta.word() == "six"
    with subtest("the ten others are unreachable"):
        assert run.outcome == {name: "unreachable" for name in dead} | {"beta": "ok"}
    with subtest("beta's deployment starts before any of them is given up"):
        starts = [
            event["type"] == "step" and (event["node"], event["step"]) == ("beta", "deploying") for event in run.events
        ]
        ends = [event["type"] == "ended" and event["outcome"] == "unreachable" for event in run.events]
        assert starts.index(True) < ends.index(True)
    fleet.reset_settings()


def test_a_node_that_answers_again(fleet, gamma, subtest):
    gamma.unblock()
    run = fleet.apply(on=gamma)
    with subtest("gamma is deployed once its network is back"):
        assert run.exit_code == Exit.OK
        assert gamma.word() == "five"
