"""Interrupted deployments: before the activation, only store paths change; an activation runs to its end."""

import re
import signal
import subprocess

import pytest
from fleet import AGENT, Exit, wait_until
from fleet.systems import system

NODES = ["alpha", "beta"]

FINISHING = "finishing 1 node; press again to leave"

# Ten files of 3 MB, which take a while over a slow connection.
LARGE = """
{ pkgs, lib, ... }: {
  environment.etc = { word.text = "WORD"; } // lib.listToAttrs (map (i: lib.nameValuePair "ballast-${i}" {
    source = pkgs.runCommand "ballast-WORD-${i}" { } "head -c 3000000 /dev/urandom > $out";
  }) (lib.genList toString 10));
}
"""
FILE_SIZE = 3_000_000


def slow(word, confirm_timeout=60):
    """A system whose activation waits until the test lets it continue."""
    return system(
        word,
        f"""{{
          systemd.services.slow = {{
            wantedBy = [ "multi-user.target" ];
            serviceConfig = {{ Type = "oneshot"; RemainAfterExit = true; }};
            script = "echo slow {word}; until [ -e /run/go ]; do sleep 0.1; done";
          }};
        }}""",
        confirm_timeout,
    )


def hold(node):
    node.succeed("rm -f /run/go")


def let_continue(node):
    node.succeed("touch /run/go")


def activation_waits(node):
    return node.unit_state("slow") == "activating"


def wait_until_activation_waits(node):
    wait_until(f"the activation of {node} waits", lambda: activation_waits(node), 60)


def boots_its_system(node):
    return node.profile() == node.system()


def start_and_leave(fleet, node):
    """Presses Ctrl-C twice during the node's activation, which ends the trigger."""
    run = fleet.start_waggle("apply", on=node)
    wait_until_activation_waits(node)
    run.interrupt()
    run.wait_until_says(FINISHING, 20)
    run.interrupt()
    return run.wait()


def describe_large(fleet, node, word):
    """Describes a system that takes a while to send, and builds it; its store path."""
    fleet.configure(node, LARGE.replace("WORD", word))
    return fleet.toplevel(node)


def start_and_wait_for_two_paths(fleet, node, word):
    """Starts to send a large system and waits until two of its files and a part of the third have arrived.

    Bytes that were sent may still be in buffers, but Nix adds one path after the other: the next one has begun.
    """
    name = re.compile(rf".*-ballast-{word}-\d")
    run = fleet.start_waggle("apply", on=node)

    def arrived():
        return sum(1 for path in (node.root / "nix/store").iterdir() if name.fullmatch(path.name))

    wait_until("two paths and a part of the third have arrived", lambda: arrived() > 2, 60)
    return run


def start_and_wait_for_2_mb(fleet, node):
    before = node.bytes_received()
    run = fleet.start_waggle("apply", on=node)
    wait_until("2 MB are sent", lambda: node.bytes_received() - before > 2_000_000, 60)
    return run


def nix_store(*arguments):
    command = ["nix-store", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def missing_bytes(node, toplevel):
    """The size of the paths of a system that the node's store does not have."""
    closure = nix_store("--query", "--requisites", toplevel)
    missing = node.succeed(f"nix-store --store daemon --check-validity --print-invalid {' '.join(closure)}").split()
    return sum(map(int, nix_store("--query", "--size", *missing)))


def check_only_missing_paths_are_sent(subtest, fleet, node, toplevel, title):
    """Deploys what the interrupted deployment could not; what has arrived completely is not sent again."""
    missing, before = missing_bytes(node, toplevel), node.bytes_received()
    run = fleet.apply(on=node)
    sent, received = run.nodes[node.name]["narBytesSent"], node.bytes_received() - before
    with subtest(title):
        assert missing < 8.5 * FILE_SIZE, "fewer than two files had arrived"
        assert sent == missing
        # The laptop's kernel may repeat what it has kept of the broken connection, which is less than a file.
        assert received < missing + FILE_SIZE * 2 / 3
    return run


def test_the_agent_dies_during_the_activation(fleet, alpha, beta, subtest):
    for node in fleet:
        fleet.configure(node, slow("one"))
    run = fleet.start_waggle("apply")
    for node in fleet:
        wait_until_activation_waits(node)
    with subtest("waggle status shows that alpha is activating"):
        assert fleet.status(on=alpha).nodes["alpha"]["running"]["state"] == "activating"
    other = fleet.apply(on=alpha)
    with subtest("another deployment is refused meanwhile"):
        assert other.exit_code == Exit.REFUSED
        assert other.nodes["alpha"]["code"] == "busy"
    with subtest("the refusal says that another deployment occupies the node"):
        assert re.search(r"has occupied this node since .* \(activating\)", other.nodes["alpha"]["message"])
    agent = alpha.get_unit_property("waggle-agent", "MainPID")
    alpha.succeed("systemctl kill --kill-whom=main -s KILL waggle-agent")
    beta.succeed("systemctl restart waggle-agent")
    for node in fleet:
        with subtest(f"{node}'s activation is still running"):
            assert activation_waits(node)
    fleet.wait_for_agents(alpha)
    with subtest("a new agent process runs on alpha"):
        assert alpha.get_unit_property("waggle-agent", "MainPID") not in (agent, "0")
    for node in fleet:
        let_continue(node)
    run.wait()
    for node in fleet:
        node.wait_for_unit_state("waggle-activation", "inactive", 30)
        with subtest(f"{node} runs the new system"):
            assert node.word() == "one"
        with subtest(f"{node} boots the new system from now on"):
            assert boots_its_system(node)
    with subtest("the trigger reconnects to both nodes and succeeds"):
        assert run.exit_code == Exit.OK
        assert run.outcome == {"alpha": "ok", "beta": "ok"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl_c", "a_closed_terminal"])
def test_one_signal_during_the_activation_and_the_trigger_waits_for_its_end(fleet, alpha, subtest, number):
    hold(alpha)
    fleet.configure(alpha, slow(f"after-{number.name}"))
    run = fleet.start_waggle("apply", on=alpha)
    wait_until_activation_waits(alpha)
    run.signal(number)
    run.wait_until_says(FINISHING, 20)
    if number == signal.SIGHUP:
        run.signal(number)  # the kernel and the shell both send it
    with subtest("the activation is still running"):
        assert activation_waits(alpha)
    with subtest("the trigger is still running"):
        assert run.is_running()
    let_continue(alpha)
    with subtest("the deployment is confirmed"):
        assert run.exit_code == Exit.OK
        assert run.outcome["alpha"] == "ok"
    with subtest("alpha keeps the new system"):
        assert alpha.word() == f"after-{number.name}"


def test_ctrl_c_twice_during_the_activation_and_the_unconfirmed_system_is_rolled_back(fleet, alpha, subtest):
    hold(alpha)
    old = alpha.system()
    fleet.configure(alpha, slow("two", confirm_timeout=3))
    run = start_and_leave(fleet, alpha)
    with subtest("the trigger exits with an error"):
        assert run.exit_code == Exit.UNREACHABLE
        assert run.outcome["alpha"] == "unknown"
    message = run.nodes["alpha"]["message"]
    with subtest("the trigger says when alpha rolls back"):
        assert "unconfirmed, and rolls back 3 s after the activation ends" in message
    with subtest("the trigger names the command that confirms the deployment"):
        assert "waggle confirm --on alpha" in message
    with subtest("the activation is still running"):
        assert activation_waits(alpha)
    let_continue(alpha)
    alpha.wait_for_unit_state("waggle-activation", "inactive", 30)
    wait_until("alpha runs the old system again", lambda: alpha.system() == old, 30)
    with subtest("alpha boots the old system"):
        assert alpha.profile() == old
    alpha.wait_until_succeeds(f"{AGENT} status | grep -q 'outcome *rolled-back'", 30)

    # By then, the agent has also read the rest of its units' output.
    def is_free():
        return fleet.status(on=alpha).nodes["alpha"].get("running", "unreachable") is None

    wait_until("alpha is free", is_free, 10)
    fleet.configure(alpha, slow("two"))
    run = fleet.apply(on=alpha)
    with subtest("the same deployment succeeds when the trigger stays to confirm it"):
        assert run.exit_code == Exit.OK
        assert run.outcome["alpha"] == "ok"
    with subtest("alpha runs the new system"):
        assert alpha.word() == "two"
    with subtest("alpha boots the new system"):
        assert boots_its_system(alpha)


def test_ctrl_c_twice_during_the_activation_then_waggle_confirm(fleet, alpha, subtest):
    hold(alpha)
    fleet.configure(alpha, slow("confirmed"))
    start_and_leave(fleet, alpha)
    confirm = fleet.waggle("confirm", on=alpha)
    with subtest("waggle confirm fails during the activation"):
        assert confirm.exit_code == Exit.REFUSED
        assert confirm.nodes["alpha"]["code"] == "not-awaited"
        assert "it awaits no confirmation yet" in confirm.nodes["alpha"]["message"]
    let_continue(alpha)

    def seconds_left():
        running = fleet.status(on=alpha).nodes["alpha"].get("running")
        return running and running["rollsBackInSeconds"]

    left = wait_until("alpha waits for a confirmation", seconds_left, 30)
    with subtest("waggle status says when alpha rolls back"):
        assert left <= 60
        assert fleet.status(on=alpha, json=False).says("^alpha .* unconfirmed, rolls back in [0-9]+ s")
    wait_until(
        "waggle confirm succeeds with the agent that the new system started",
        lambda: fleet.waggle("confirm", on=alpha).exit_code == Exit.OK,
        20,
    )
    with subtest("alpha boots the new system"):
        wait_until("alpha boots the new system", lambda: boots_its_system(alpha), 20)
    with subtest("alpha keeps the new system"):
        assert alpha.word() == "confirmed"
    again = fleet.waggle("confirm", on=alpha)
    with subtest("a second waggle confirm says that nothing awaits confirmation"):
        assert again.nodes["alpha"]["message"] == "it awaits no confirmation"


def test_ctrl_c_during_the_transfer(fleet, alpha, subtest):
    fleet.unconfigure()
    fleet.deploy()
    describe_large(fleet, alpha, "three")
    before = alpha.system()
    with alpha.slow():
        run = start_and_wait_for_2_mb(fleet, alpha)
        run.interrupt()
        run.wait()
    with subtest("the exit code says interrupted"):
        assert run.exit_code == Exit.INTERRUPTED
        assert run.outcome["alpha"] == "interrupted"
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    with subtest("alpha still boots the previous system"):
        assert alpha.profile() == before
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()


def test_another_process_holds_the_lock_of_a_store_path(fleet, alpha, subtest):
    fleet.configure(
        alpha,
        """
        { pkgs, ... }: {
          environment.etc = {
            word.text = "locked";
            mark.source = pkgs.runCommand "mark" { } "head -c 1000 /dev/urandom > $out";
          };
        }
        """,
    )
    before = alpha.system()
    closure = nix_store("--query", "--requisites", fleet.toplevel(alpha))
    [mark] = [path for path in closure if path.endswith("-mark")]
    alpha.succeed(f"systemd-run -q --unit=holder sh -c \"exec 9>'{mark}.lock'; flock 9; sleep 900\"")
    alpha.wait_until_fails(f"flock -n '{mark}.lock' true", 20)
    run = fleet.start_waggle("apply", on=alpha)
    with subtest("the trigger reports the lock"):
        run.wait_until_says(re.escape(f"another process holds the lock {mark}.lock"))
    run.interrupt()
    with subtest("Ctrl-C ends the wait"):
        assert run.outcome["alpha"] == "interrupted"
    with subtest("the node reports that the operator stopped the deployment"):
        assert run.nodes["alpha"]["message"] == "stopped by the operator before the activation"
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    run = fleet.start_waggle("apply", on=alpha)
    alpha.succeed("systemctl stop holder")
    with subtest("the deployment succeeds once the lock is free"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "locked"


def test_the_network_is_cut_during_the_transfer(fleet, alpha, subtest):
    toplevel = describe_large(fleet, alpha, "three")
    before = alpha.system()
    with alpha.slow():
        run = start_and_wait_for_two_paths(fleet, alpha, "three")
        alpha.block()
        run.wait()
        with subtest("the exit code says failed before activation"):
            assert run.exit_code == Exit.FAILED
            assert run.outcome["alpha"] == "failed-before-activation"
        with subtest("the error says that alpha could not be reached"):
            assert "could not be reached" in run.nodes["alpha"]["message"]
        with subtest("alpha still runs the previous system"):
            assert alpha.system() == before
        alpha.unblock()
    run = check_only_missing_paths_are_sent(
        subtest, fleet, alpha, toplevel, "paths that had arrived are not sent again"
    )
    with subtest("the deployment succeeds once the network is back"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "three"
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()


def test_a_power_cut_during_the_transfer(fleet, alpha, subtest):
    toplevel = describe_large(fleet, alpha, "four")
    before = alpha.system()
    with alpha.slow():
        run = start_and_wait_for_two_paths(fleet, alpha, "four")
        alpha.crash()
        run.wait()
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.outcome["alpha"] == "failed-before-activation"
    fleet.start(alpha)
    with subtest("alpha boots the previous system"):
        assert alpha.system() == before
    run = check_only_missing_paths_are_sent(
        subtest, fleet, alpha, toplevel, "paths that had arrived and kept their content are not sent again"
    )
    with subtest("the next deployment succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "four"


def test_a_power_cut_during_the_activation(fleet, alpha, subtest):
    hold(alpha)
    fleet.configure(alpha, slow("five"))
    before = alpha.system()
    run = fleet.start_waggle("apply", on=alpha)
    wait_until_activation_waits(alpha)
    alpha.crash()
    fleet.start(alpha)
    with subtest("the exit code says rolled back"):
        assert run.exit_code == Exit.ROLLED_BACK
        assert run.outcome["alpha"] == "rolled-back"
    with subtest("the error says that the node lost power"):
        assert run.nodes["alpha"]["code"] == "rebooted"
        assert "lost power while the deployment was activating" in run.nodes["alpha"]["message"]
    with subtest("alpha boots the previous system"):
        assert alpha.system() == before
    with subtest("alpha has the previous system's files"):
        assert alpha.word() == "four"
    let_continue(alpha)
    run = fleet.apply(on=alpha)
    with subtest("the next deployment succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "five"


def test_the_nix_daemon_dies_during_the_transfer(fleet, alpha, subtest):
    describe_large(fleet, alpha, "six")
    before = alpha.system()
    with alpha.slow():
        run = start_and_wait_for_2_mb(fleet, alpha)
        alpha.succeed("systemctl kill -s KILL nix-daemon.service")
        run.wait()
    with subtest("the exit code says failed before activation"):
        assert run.exit_code == Exit.FAILED
        assert run.outcome["alpha"] == "failed-before-activation"
    with subtest("the error names the Nix daemon"):
        assert "nix daemon" in run.nodes["alpha"]["message"]
    with subtest("alpha still runs the previous system"):
        assert alpha.system() == before
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()
