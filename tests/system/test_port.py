"""No other process gets the agent's port while the agent restarts: in deployments, rollbacks, emergency mode, after a
kill, at boot. Also deployments that change the addresses, and deployments from an agent without a socket unit."""

import pytest
from fleet import AGENT_PORT, Exit, wait_until
from fleet.port_taker import PortTaker
from fleet.systems import AGENT_EXITS, ROLLBACK_CASES, system

NODES = ["alpha", "beta"]
WITHOUT_SOCKET_UNIT = "{ systemd.sockets.waggle-agent.enable = false; }"


@pytest.fixture(scope="module")
def takers(fleet):
    """The processes that want the agents' ports, by the names of their nodes."""
    takers = {node.name: PortTaker(node) for node in fleet}
    for taker in takers.values():
        taker.start()
    return takers


def listeners(node):
    """The sockets that listen on the agent's port, such as "*:9244", as ss names them."""
    return [line.split()[3] for line in node.succeed(f"ss -Htln 'sport = :{AGENT_PORT}'").splitlines()]


def check_left_alone(subtest, taker):
    with subtest(f"no other process has had the port of {taker.node}"):
        assert taker.is_trying()
        assert not taker.has_had_port()


def test_the_socket_unit_holds_the_port(takers, alpha, subtest):
    with subtest("the socket unit holds the port"):
        alpha.require_unit_state("waggle-agent.socket")


def test_deployments_and_rollbacks(fleet, alpha, beta, takers, subtest):
    fleet.configure(alpha, system("one"))
    fleet.configure(beta, system("one"))
    run = fleet.apply()
    with subtest("a deployment restarts the agent"):
        assert run.exit_code == Exit.OK

    fleet.configure(alpha, system("two"))
    fleet.configure(beta, system("two", AGENT_EXITS, confirm_timeout=5))
    run = fleet.apply()
    with subtest("alpha keeps the good system"):
        assert run.outcome["alpha"] == "ok"
        assert alpha.word() == "two"
    with subtest("a system whose agent does not start is rolled back"):
        assert run.outcome["beta"] == "rolled-back"
        assert beta.word() == "one"

    fleet.configure(alpha, system("three"))
    fleet.configure(beta, ROLLBACK_CASES["mount"].system("three"))
    run = fleet.apply()
    with subtest("alpha keeps the good system"):
        assert run.outcome["alpha"] == "ok"
        assert alpha.word() == "three"
    with subtest("a system that ends in emergency mode is rolled back"):
        assert run.outcome["beta"] == "rolled-back"
        assert beta.word() == "one"
    check_left_alone(subtest, takers["alpha"])
    check_left_alone(subtest, takers["beta"])


def test_kills_of_the_agent_and_a_reboot(fleet, alpha, takers, subtest):
    for _ in range(5):
        killed = alpha.get_unit_property("waggle-agent", "MainPID")
        alpha.succeed("systemctl kill --signal=KILL waggle-agent.service")
        wait_until(
            "the agent of alpha runs again",
            lambda: alpha.is_active("waggle-agent") and alpha.get_unit_property("waggle-agent", "MainPID") != killed,
            20,
        )
    alpha.reboot()
    fleet.wait_for_agents(alpha)
    with subtest("the port taker runs"):
        assert takers["alpha"].is_trying()
    with subtest("waggle status succeeds"):
        assert fleet.status(on=alpha).exit_code == Exit.OK
    check_left_alone(subtest, takers["alpha"])


def test_other_addresses(fleet, alpha, beta, takers, subtest):
    addresses = f'[ "127.0.0.1" "{beta.address}" "2001:db8::7" ]'
    fleet.configure(beta, system("four", f"{{ services.waggle-agent.listen = {addresses}; }}"))
    fleet.configure(alpha, system("four", '{ services.waggle-agent.listen = [ "uplink" ]; }'))
    run = fleet.apply()
    with subtest("both nodes are deployed"):
        assert run.exit_code == Exit.OK
    with subtest("beta listens on its address"):
        assert f"{beta.address}:{AGENT_PORT}" in listeners(beta)
    with subtest("beta listens on an address that it does not have yet"):
        assert f"[2001:db8::7]:{AGENT_PORT}" in listeners(beta)
    with subtest("beta listens on nothing else than the three addresses"):
        assert len(listeners(beta)) == 3
    with subtest("alpha listens on its interface"):
        assert listeners(alpha) == [f"*%uplink:{AGENT_PORT}"]
    with subtest("waggle status succeeds on both nodes"):
        assert fleet.status().exit_code == Exit.OK

    fleet.configure(alpha, system("five", '{ services.waggle-agent.listen = [ "uplink" ]; }'))
    with subtest("a node whose agent listens on an interface is deployed"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
        assert alpha.word() == "five"
    check_left_alone(subtest, takers["alpha"])

    fleet.configure(alpha, system("six"))
    fleet.configure(beta, system("six"))
    with subtest("both nodes are deployed again"):
        assert fleet.apply().exit_code == Exit.OK
    with subtest("alpha listens on every address"):
        assert listeners(alpha) == [f"*:{AGENT_PORT}"]
    with subtest("the socket unit of alpha holds the port"):
        alpha.require_unit_state("waggle-agent.socket")


def test_from_an_agent_without_a_socket_unit_and_back_to_it(fleet, beta, takers, subtest):
    taker = takers["beta"]
    taker.stop()
    fleet.configure(beta, system("old", WITHOUT_SOCKET_UNIT))
    with subtest("an agent without a socket unit is deployed"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
        assert beta.word() == "old"
    with subtest("no socket unit holds the port of beta"):
        beta.require_unit_state("waggle-agent.socket", "inactive")

    had_port_before = taker.has_had_port()
    taker.start()
    beta.succeed("systemctl kill --signal=KILL waggle-agent.service")
    with subtest("the port taker gets the port of an agent without a socket unit"):
        assert not had_port_before
        wait_until("the port taker has the port of beta", taker.has_had_port, 20)
    taker.stop()
    fleet.wait_for_agents(beta)

    fleet.configure(beta, system("new"))
    with subtest("an agent with a socket unit takes over"):
        assert fleet.apply(on=beta).exit_code == Exit.OK
        assert beta.word() == "new"
    with subtest("the socket unit of beta holds the port"):
        beta.require_unit_state("waggle-agent.socket")
    with subtest("no unit has failed"):
        assert beta.succeed("systemctl list-units --state=failed --no-legend --plain 'waggle-*'") == ""

    fleet.configure(beta, system("old", WITHOUT_SOCKET_UNIT))
    fleet.deploy(beta)
    fleet.configure(beta, system("new", AGENT_EXITS, confirm_timeout=5))
    run = fleet.apply(on=beta)
    with subtest("a system that fails is rolled back"):
        assert run.outcome["beta"] == "rolled-back"
        assert beta.word() == "old"
    with subtest("no socket unit holds the port of beta after the rollback"):
        beta.require_unit_state("waggle-agent.socket", "inactive")
    with subtest("the port taker is still stopped"):
        assert not beta.is_active("port-taker")
    with subtest("waggle status succeeds on beta"):
        assert fleet.status(on=beta).exit_code == Exit.OK
