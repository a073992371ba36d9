"""The console commands of a node that no operator can reach: status, history, rollback, disarm, reset-state. Also
deployments that replace the agent itself."""

import json
import re
import shutil
import subprocess

from fleet import Exit, wait_until
from fleet.systems import AGENT_EXITS, system

NODES = ["alpha", "beta"]


def start_unconfirmed(fleet, node, word, confirm_timeout):
    """Starts a deployment whose system works, but has no agent; returns when the system waits for its confirmation."""
    fleet.configure(node, system(word, AGENT_EXITS, confirm_timeout))
    run = fleet.start_waggle("apply", on=node)

    def is_unconfirmed():
        return node.word() == word and fleet.deployment_state(node) == "activated"

    wait_until(f"{node} runs the new system, unconfirmed", is_unconfirmed, 60)
    return run


def state_file(node):
    return node.root / "var/lib/waggle-agent/state.json"


def change_state(fleet, node, change):
    """Changes the agent's record on the node's disk."""
    state = fleet.state(node)
    change(state)
    state_file(node).write_text(json.dumps(state, indent=2))


def agent_process(node, file):
    """A file of the agent's process; while it restarts, the file does not exist."""
    return f"/proc/{node.get_unit_property('waggle-agent', 'MainPID')}/{file}"


def agent_program(node):
    return node.execute(f"readlink {agent_process(node, 'exe')}")[1]


def runs_agent(node, package):
    return agent_program(node) == f"{package}/bin/waggle-agent"


def wait_until_it_runs_agent(node, package):
    wait_until(f"{node} runs the agent of {package}", lambda: runs_agent(node, package), 20)


def add_to_store(folder):
    return subprocess.run(["nix-store", "--add", folder], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def with_agent(package, more=""):
    """A module: the agent of this package, which the laptop's store has."""
    return f'{{ services.waggle-agent.package = lib.mkForce (builtins.storePath "{package}"); {more} }}'


def test_two_systems_are_deployed(fleet, alpha, subtest):
    for word in ["one", "two"]:
        fleet.configure(alpha, system(word))
        with subtest("two systems were deployed"):
            assert fleet.apply(on=alpha).exit_code == Exit.OK
            assert alpha.word() == word


def test_no_network_status_and_history(alpha, subtest):
    alpha.block()
    code, text = alpha.agent("status")
    with subtest("status succeeds"):
        assert code == 0, text
    with subtest("status shows the current system"):
        assert re.search(rf"^current system +{re.escape(alpha.system())}$", text, re.MULTILINE)
    with subtest("status shows the outcome"):
        assert re.search("^ *outcome +ok$", text, re.MULTILINE)
    code, text = alpha.agent("history")
    with subtest("history succeeds"):
        assert code == 0, text
    with subtest("history lists both deployments"):
        assert len(re.findall("switch of /nix/store/.*: ok", text)) == len(text.splitlines()) == 2


def test_no_network_rollback_to_the_previous_system(fleet, alpha, subtest):
    two = alpha.system()
    code, text = alpha.agent("rollback")
    with subtest("rollback succeeds"):
        assert code == 0, text
    with subtest("rollback names the system that runs again"):
        assert f"{alpha.system()} runs again" in text
    with subtest("alpha runs the previous system"):
        assert alpha.word() == "one"
    with subtest("alpha boots the previous system from now on"):
        assert alpha.profile() == alpha.system()
    with subtest("alpha no longer runs the system that was deployed last"):
        assert alpha.system() != two
    code, text = alpha.agent("rollback")
    with subtest("a second rollback fails"):
        assert code == 1, text
    with subtest("the error says that the deployment is not what runs"):
        assert "is committed and is not what runs here" in text
    with subtest("the error names the command that switches to other generations"):
        assert "nix-env --profile /nix/var/nix/profiles/system --switch-generation N" in text
    alpha.wait_for_unit("waggle-agent", 20)
    code, text = alpha.agent("history")
    with subtest("the history records the rollback"):
        assert re.search("ok, .*rolled back at the node's console at 20", text)
    alpha.unblock()
    fleet.wait_for_agents(alpha)
    fleet.configure(alpha, system("three"))
    with subtest("the next deployment succeeds once the network is back"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
        assert alpha.word() == "three"


def test_no_network_an_unconfirmed_deployment_is_rolled_back_before_its_timeout(fleet, alpha, subtest):
    run = start_unconfirmed(fleet, alpha, "four", confirm_timeout=600)
    alpha.block()
    code, text = alpha.agent("rollback")
    with subtest("rollback succeeds"):
        assert code == 0, text
    with subtest("the output names the console"):
        assert "rolled-back: a rollback was requested at the node's console" in text
    with subtest("alpha runs the old system"):
        assert alpha.word() == "three"
    with subtest("alpha boots the old system from now on"):
        assert alpha.profile() == alpha.system()
    alpha.unblock()
    with subtest("the trigger reports rolled-back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.outcome["alpha"] == "rolled-back"
    with subtest("the trigger names the console"):
        assert run.nodes["alpha"]["code"] == "console"
        assert "a rollback was requested at the node's console" in run.nodes["alpha"]["message"]
    wait_until("no unit of the deployment is left on alpha", lambda: fleet.no_unit_is_left(alpha), 30)


def test_no_network_disarm(fleet, alpha, subtest):
    run = start_unconfirmed(fleet, alpha, "five", confirm_timeout=300)
    alpha.block()
    code, text = alpha.agent("disarm")
    with subtest("disarm succeeds"):
        assert code == 0, text
    with subtest("disarm says that the system runs until the next boot"):
        assert "is no longer rolled back; it runs until the next boot, which starts the previous system" in text
    wait_until("no unit of the deployment is left on alpha", lambda: fleet.no_unit_is_left(alpha), 30)
    with subtest("alpha runs the new system"):
        assert alpha.word() == "five"
    alpha.unblock()
    # The new system has no agent, so the trigger hears of it only from the previous system's.
    with subtest("the trigger still waits for alpha"):
        assert run.is_running()
    alpha.reboot()
    fleet.wait_for_agents(alpha)
    with subtest("the next boot starts the old system"):
        assert alpha.word() == "three"
    with subtest("the trigger reports that the rollback was disarmed"):
        assert run.exit_code == Exit.UNREACHABLE
        assert run.outcome["alpha"] == "unknown"
        assert run.nodes["alpha"]["code"] == "disarmed"
        assert "the rollback was disarmed at the node's console" in run.nodes["alpha"]["message"]
    fleet.configure(alpha, system("six"))
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
        assert alpha.word() == "six"


def test_a_state_file_that_cannot_be_read(fleet, alpha, subtest):
    change_state(fleet, alpha, lambda state: state.update(v=99))
    unreadable = state_file(alpha).read_text()
    fleet.configure(alpha, system("seven"))
    run = fleet.apply(on=alpha)
    message = run.nodes["alpha"]["message"]
    with subtest("the deployment is refused"):
        assert run.exit_code == Exit.REFUSED
        assert run.outcome["alpha"] == "refused"
        assert run.nodes["alpha"]["code"] == "corrupt-state"
    with subtest("the error names the state file"):
        assert "record of its deployments, /var/lib/waggle-agent/state.json, cannot be used" in message
    with subtest("the error names the command that shows details"):
        assert "`waggle-agent status` on the node shows details" in message
    with subtest("the state file is unmodified"):
        assert state_file(alpha).read_text() == unreadable
    code, text = alpha.agent("status")
    with subtest("waggle-agent status says to run reset-state"):
        assert "`waggle-agent reset-state` sets it aside" in text
    code, text = alpha.agent("reset-state")
    with subtest("reset-state succeeds"):
        assert code == 0, text
    with subtest("reset-state names the file that keeps the previous state"):
        assert "the old state file is now /var/lib/waggle-agent/state.json.corrupt" in text
    with subtest("the previous state file is kept as state.json.corrupt"):
        assert state_file(alpha).with_name("state.json.corrupt").read_text() == unreadable
    with subtest("the next deployment is admitted"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "seven"
    state = state_file(alpha).read_text()
    code, text = alpha.agent("reset-state")
    with subtest("reset-state refuses a state file that can be read"):
        assert code == 1, text
        assert "the state can be read: it is left as it is" in text
    with subtest("it leaves the state file as it is"):
        assert state_file(alpha).read_text() == state


def test_a_state_file_in_an_older_format_is_read_and_a_commit_rewrites_it(fleet, alpha, subtest):
    def make_older(state):
        state["v"] = 1
        state["deployment"].pop("target", None)

    change_state(fleet, alpha, make_older)
    fleet.configure(alpha, system("older", AGENT_EXITS, confirm_timeout=5))
    run = fleet.apply(on=alpha)
    with subtest("a deployment without a working agent is rolled back"):
        assert run.outcome["alpha"] == "rolled-back"
        assert run.nodes["alpha"]["code"] == "not-confirmed"
    with subtest("a rollback keeps the older format"):
        assert fleet.state(alpha)["v"] == 1
    fleet.configure(alpha, system("newer"))
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
        assert alpha.word() == "newer"
    with subtest("a commit writes the new format"):
        assert fleet.state(alpha)["v"] == 2


def test_a_deployment_that_replaces_the_agent(fleet, beta, subtest):
    fleet.configure(beta, system("one"))
    fleet.deploy(beta)
    wait_until_it_runs_agent(beta, fleet.agent_package)
    another = shutil.copytree(fleet.run / "waggle-agent", fleet.run / "waggle-agent-next")
    (another / "another").write_text("another\n")
    following = add_to_store(another)
    with subtest("the previous agent is another program"):
        assert not runs_agent(beta, following)
    fleet.configure(beta, system("next", with_agent(following)))
    with subtest("the deployment succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
        assert beta.word() == "next"
    with subtest("beta runs the new agent"):
        wait_until_it_runs_agent(beta, following)

    environment = 'systemd.services.waggle-agent.environment.SOMETHING = "new";'
    fleet.configure(beta, system("unit", with_agent(following, environment)))
    with subtest("a deployment that changes the agent's unit succeeds"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
        assert beta.word() == "unit"

    def has_variable():
        return "SOMETHING=new" in (beta.read(agent_process(beta, "environ")) or "").split("\0")

    with subtest("beta's agent has the new environment variable"):
        wait_until("beta's agent has the new environment variable", has_variable, 20)


def test_a_deployment_with_a_broken_agent(fleet, beta, subtest):
    old, working = beta.system(), agent_program(beta)
    program = fleet.run / "waggle-agent-broken/bin/waggle-agent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    broken = add_to_store(fleet.run / "waggle-agent-broken")
    fleet.configure(beta, system("broken", with_agent(broken), confirm_timeout=5))
    run = fleet.apply(on=beta)
    with subtest("the deployment is rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.outcome["beta"] == "rolled-back"
        assert run.nodes["beta"]["code"] == "not-confirmed"
    with subtest("beta runs the old system"):
        assert beta.system() == old
    with subtest("beta runs the old agent"):
        wait_until("beta runs the old agent", lambda: agent_program(beta) == working, 20)
