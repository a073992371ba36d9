"""Nodes do not wait for each other: a node is deployed while another one is still being evaluated, is broken, or had
its evaluator killed. Also systems that another machine builds."""

import errno
import functools
import os
import resource
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from fleet import Exit, laptop, wait_until

NODES = ["alpha", "beta", "gamma"]


def describe(fleet, node, word):
    fleet.configure(node, f'{{ environment.etc.word.text = "{word}"; }}')


class SlowEvaluation:
    """Describes a system with a word whose evaluation waits for a writer of a pipe until the file `go` exists."""

    def __init__(self, fleet, node, word):
        self.go = fleet.run / "go"
        self.pipe = fleet.run / "pipe"
        self.go.unlink(missing_ok=True)
        self.pipe.unlink(missing_ok=True)
        os.mkfifo(self.pipe)
        fleet.configure(
            node,
            f"""
            {{
              environment.etc.word.text =
                if builtins.pathExists {self.go} then "{word}"
                else builtins.trace "{node} waits" (builtins.readFile {self.pipe});
            }}
            """,
        )

    def end(self, text):
        """Lets the evaluator that waits read this text; no other one waits from now on."""
        self.go.touch()
        with open(wait_until("an evaluator reads the pipe", self._open, 20), "w") as pipe:
            pipe.write(text)

    def _open(self):
        try:
            return os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # there is no reader
                return None
            raise


@pytest.fixture
def builder(fleet):
    """A machine that builds systems; ssh knows it as "builder" while this lasts. Its value is the machine's /nix."""
    script = laptop.SOURCE / "tests/integration/trigger/builder.sh"
    command = f'source {shlex.quote(str(script))} && builder_make && echo "$builder_nix" "$SSH_CONFIG_FILE"'
    result = subprocess.run(
        ["bash", "-euc", command],
        env=os.environ | {"work": str(fleet.run)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    nix, config = result.stdout.split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_CONFIG_FILE", config)
        yield Path(nix)
    shutil.rmtree(Path(nix).parent, ignore_errors=True)


def wait_for_words(word, *nodes):
    wait_until("the others are deployed", lambda: all(node.word() == word for node in nodes), 60)


def test_a_limited_address_space(fleet, subtest):
    if fleet.sanitized:
        pytest.skip("sanitizers reserve more than any limit allows")
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_AS, (1500000 * 1024, 1500000 * 1024))
    run = fleet.start_waggle("build", "--dry-run", "--eval-workers", "2", preexec_fn=limit)
    with subtest("all nodes are evaluated within the limit"):
        assert run.exit_code == Exit.OK
        assert list(run.nodes) == NODES
        assert all(node["drv"].endswith(".drv") for node in run.nodes.values())
    with subtest("no evaluator reports a heap error"):
        assert not run.says("heap")


def test_one_nodes_evaluation_is_slow(fleet, alpha, beta, gamma, subtest):
    describe(fleet, alpha, "one")
    describe(fleet, beta, "one")
    slow = SlowEvaluation(fleet, gamma, "one")
    run = fleet.start_waggle("apply", "--eval-node-limit", "1", "--eval-workers", "2")
    wait_for_words("one", alpha, beta)
    with subtest("gamma is evaluated meanwhile"):
        run.wait_until_says("gamma waits", timeout=0)
    with subtest("waggle is still running"):
        assert run.is_running()
    slow.end("one")
    run.wait()
    with subtest("gamma is deployed in the end"):
        assert gamma.word() == "one"
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK


def test_an_evaluator_is_killed(fleet, alpha, beta, gamma, subtest):
    describe(fleet, alpha, "two")
    describe(fleet, beta, "two")
    slow = SlowEvaluation(fleet, gamma, "two")
    run = fleet.start_waggle("apply", "--eval-node-limit", "0")
    run.wait_until_says("gamma waits")
    slow.go.touch()
    children = ["pgrep", "-P", str(run.process.pid), "nix-instantiate"]
    (evaluator,) = subprocess.run(children, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    os.kill(int(evaluator), signal.SIGKILL)
    with subtest("waggle reports that the evaluator was killed"):
        assert run.says("evaluator was killed by signal 9")
    for node in fleet:
        with subtest(f"{node} is deployed"):
            assert node.word() == "two"
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK


def test_one_node_is_broken(fleet, alpha, beta, gamma, subtest):
    for node in fleet:
        describe(fleet, node, "three")
    fleet.configure(beta, "{ networking.hostName = 7; }")
    run = fleet.apply()
    with subtest("the others are deployed"):
        assert run.outcome["alpha"] == run.outcome["gamma"] == "ok"
        assert (alpha.word(), gamma.word()) == ("three", "three")
    with subtest("beta is not deployed"):
        assert beta.word() == "two"
    with subtest("the outcome of beta is hive-error"):
        assert run.outcome["beta"] == "hive-error"
    with subtest("the error names beta's file"):
        assert "changes/beta.nix" in run.message(beta)
    with subtest("the exit code says hive error"):
        assert run.exit_code == Exit.USAGE


def test_a_system_that_another_machine_builds(fleet, alpha, builder, subtest):
    # The laptop's store is kept between runs.
    describe(fleet, alpha, f"five {laptop.RUN_ID}")
    run = fleet.apply("--build-store", "ssh-ng://builder", on=alpha)
    with subtest("the system is deployed"):
        assert alpha.word() == f"five {laptop.RUN_ID}"
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    system = alpha.system()
    with subtest("the system is in the other machine's store"):
        assert os.access(builder / Path(system).relative_to("/nix") / "bin/switch-to-configuration", os.X_OK)
    with subtest("the system is not in the laptop's store"):
        assert not Path(system).exists()
    run = fleet.waggle("rollback", on=alpha)
    with subtest("a rollback needs no builder"):
        assert run.exit_code == Exit.OK
        assert alpha.word() == "three"

    describe(fleet, alpha, f"six {laptop.RUN_ID}")
    run = fleet.apply("--build-store", "ssh-ng://nobody", on=alpha)
    with subtest("without the builder, alpha is unchanged"):
        assert alpha.word() == "three"
    with subtest("the error names the build store"):
        assert run.says("the build store ssh-ng://nobody")
    with subtest("the exit code says usage error"):
        assert run.exit_code == Exit.USAGE


def test_ctrl_c_while_one_node_is_evaluated_and_the_others_are_already_deployed(fleet, alpha, beta, gamma, subtest):
    describe(fleet, alpha, "four")
    describe(fleet, beta, "four")
    SlowEvaluation(fleet, gamma, "four")
    run = fleet.start_waggle("apply", "--eval-node-limit", "1", "--eval-workers", "2")
    wait_for_words("four", alpha, beta)
    run.interrupt()
    run.wait()
    with subtest("gamma is unchanged"):
        assert gamma.word() == "three"
    with subtest("gamma was interrupted"):
        assert run.exit_code == Exit.INTERRUPTED
        assert run.outcome["gamma"] == "interrupted"
    with subtest("waggle says that nothing was sent to gamma"):
        assert "nothing was sent to it" in run.message(gamma)
