"""Nodes that build their own systems: deployment.buildOnTarget."""

import signal
from pathlib import Path

from fleet import Exit, laptop, wait_until
from fleet.fleet import evaluate_systems

NODES = ["alpha", "beta"]
BUILDER = "/run/builder"  # on the node: the process ID of a builder that waits for /run/go


def describe(fleet, node, word, script, on_target=False):
    """Describes a system with one file that a shell script builds.

    The file's name contains the run's ID, because the laptop's store is kept between runs.
    """
    fleet.configure(
        node,
        f"""
        {{ pkgs, ... }}: {{
          environment.etc.word.source = pkgs.runCommand "word-{word}-{laptop.RUN_ID}" {{ }} ''{script}'';
          deployment.rollback.confirmTimeout = 60;
          deployment.buildOnTarget = {"true" if on_target else "false"};
        }}
        """,
    )


def described(fleet, node):
    """The store path of the system that the hive describes now; builds nothing."""
    return evaluate_systems(f"path = {fleet.hive}/hive.nix;", [node.name])[node.name]["toplevel"]


def is_here(path):
    """Whether the laptop's store has it."""
    return Path(path).exists()


def wait_for_builder(node):
    """Waits until the builder runs; its process ID."""
    # Whole lines only: the builder may be about to write it.
    wait_until(f"{node} builds", lambda: (node.read(BUILDER) or "").endswith("\n"), 60)
    builder = int(node.read(BUILDER))
    node.succeed(f"kill -0 {builder}")
    return builder


def test_alpha_builds_its_own_system_betas_is_built_on_the_laptop(fleet, alpha, beta, subtest):
    describe(fleet, alpha, "one", 'echo "at work on $(cat /etc/hostname)"; cat /etc/hostname > $out', on_target=True)
    describe(fleet, beta, "one", "echo here > $out")
    run = fleet.apply()
    with subtest("waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha runs the system that it built"):
        assert alpha.word() == "alpha\n"
    with subtest("alpha's system is the one that the hive describes"):
        assert alpha.system() == described(fleet, alpha)
    with subtest("alpha boots the new system from now on"):
        assert alpha.profile() == alpha.system()
    with subtest("waggle shows the builder's output"):
        assert run.says(f"^alpha .*word-one-{laptop.RUN_ID}> at work on alpha$")
    with subtest("alpha's system is not in the laptop's store"):
        assert not is_here(alpha.system())
    with subtest("beta runs the system that the laptop built"):
        assert beta.word() == "here\n"
    with subtest("beta's system is in the laptop's store"):
        assert is_here(beta.system())
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()
    run = fleet.apply()
    with subtest("a second waggle apply succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("alpha is unchanged"):
        assert run.outcome["alpha"] == "unchanged"


def test_waggle_build_with_and_without_build_on_target(fleet, alpha, beta, subtest):
    describe(fleet, alpha, "two", "echo two > $out", on_target=True)
    two = described(fleet, alpha)
    run = fleet.waggle("build", "--dry-run", on=alpha)
    with subtest("a dry run prints where alpha would be built"):
        assert run.says("alpha would be built on the node itself")
    with subtest("a dry run builds nothing on alpha"):
        assert not alpha.exists(two)
    run = fleet.waggle("build")
    with subtest("waggle build succeeds"):
        assert run.exit_code == Exit.OK
    with subtest("waggle build prints the system's path"):
        assert run.nodes["alpha"]["toplevel"] == two
    with subtest("alpha's system is in alpha's store"):
        assert alpha.exists(two)
    with subtest("alpha's system is not in the laptop's store"):
        assert not is_here(two)
    with subtest("alpha still runs the previous system"):
        assert alpha.word() == "alpha\n"
    alpha.succeed("nix-store --gc")
    with subtest("a garbage collection keeps the new system"):
        assert alpha.exists(two)
    with subtest("the new system can be pushed"):
        assert fleet.apply("push", on=alpha).outcome["alpha"] == "ok"
    run = fleet.waggle("build", "--no-build-on-target", on=alpha)
    with subtest("--no-build-on-target builds alpha's system on the laptop"):
        assert run.exit_code == Exit.OK
        assert is_here(two)

    describe(fleet, beta, "two", "echo two > $out")
    run = fleet.apply("--build-on-target", on=beta)
    with subtest("beta runs the system that --build-on-target built"):
        assert run.exit_code == Exit.OK
        assert beta.word() == "two\n"
    with subtest("beta's system is not in the laptop's store"):
        assert not is_here(beta.system())


def test_a_build_that_fails(fleet, alpha, beta, subtest):
    describe(fleet, alpha, "three", 'echo "compiling hard"; echo "oh no" >&2; exit 3', on_target=True)
    describe(fleet, beta, "three", "echo three > $out")
    run = fleet.apply()
    with subtest("the exit code says that a build failed"):
        assert run.exit_code == Exit.BUILD_FAILED
    with subtest("alpha's build failed"):
        assert run.outcome["alpha"] == "build-failed"
    with subtest("the error names the derivation"):
        assert f"word-three-{laptop.RUN_ID}.drv" in run.message(alpha)
    with subtest("the error gives the builder's exit code"):
        assert run.says("^alpha .*builder.* failed with exit code 3")
    with subtest("the error shows the end of the build log"):
        assert "oh no" in run.message(alpha)
    with subtest("alpha still runs the previous system"):
        assert alpha.word() == "alpha\n"
    with subtest("beta is deployed"):
        assert run.outcome["beta"] == "ok"
        assert beta.word() == "three\n"


def test_the_trigger_exits_in_the_middle_of_a_build(fleet, alpha, subtest):
    script = f"echo $$ > {BUILDER}; until [ -e /run/go ]; do sleep 0.1; done; echo four > $out"
    describe(fleet, alpha, "four", script, on_target=True)
    run = fleet.start_waggle("apply", on=alpha)
    builder = wait_for_builder(alpha)
    # Only the trigger itself gets these signals, no program that it runs.
    run.process.send_signal(signal.SIGINT)
    with subtest("Ctrl-C interrupts the deployment"):
        assert run.exit_code == Exit.INTERRUPTED
        assert run.outcome["alpha"] == "interrupted"
    with subtest("the builder of the interrupted trigger is gone"):
        alpha.wait_until_fails(f"kill -0 {builder}", timeout=30)

    alpha.succeed(f"rm {BUILDER}")
    run = fleet.start_waggle("apply", on=alpha)
    builder = wait_for_builder(alpha)
    run.process.kill()
    run.wait()
    with subtest("the builder of the killed trigger is gone"):
        alpha.wait_until_fails(f"kill -0 {builder}", timeout=30)
    with subtest("alpha still runs the previous system"):
        assert alpha.word() == "alpha\n"

    alpha.succeed("touch /run/go")
    with subtest("the next deployment succeeds"):
        assert fleet.apply(on=alpha).exit_code == Exit.OK
    with subtest("alpha runs the new system"):
        assert alpha.word() == "four\n"
    with subtest("alpha's store is sound"):
        assert alpha.store_is_sound()
