#!/usr/bin/python3
"""`./dev demo`: boots three nodes on this machine, deploys to them, changes them, and takes them down again.

    demo.py [BUILD_FOLDER]      (default: $WAGGLE_BUILD_DIR, else build/dev)

If WAGGLE_TEST_NIXPKGS names a nixpkgs, it also evaluates the same hive as real NixOS.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))
sys.dont_write_bytecode = True
if len(sys.argv) > 1:
    os.environ["WAGGLE_BUILD_DIR"] = str(Path(sys.argv[1]).resolve())

from fleet import Fleet, laptop, wait_until  # noqa: E402
from fleet.fleet import build_systems  # noqa: E402
from fleet.keys import make_key  # noqa: E402
from fleet.machine import Machine  # noqa: E402

COLOURS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
BOLD, DIM, CYAN, PLAIN = ("\033[1m", "\033[2m", "\033[36m", "\033[0m") if COLOURS else ("", "", "", "")
NAMES = ["alpha", "beta", "gamma"]

run = laptop.RUN
hive = run / "hive"
nodes = {}


def say(text):
    print(f"{DIM}{text}{PLAIN}", flush=True)


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def shown(command):
    print(f"{CYAN}$ {command}{PLAIN}", flush=True)


def show(*command):
    shown(" ".join(command))
    code = execute(*command)
    if code != 0:
        for node in nodes.values():
            print(
                f"--- journal of {node}:\n{node.journal('-n 25 -u waggle-agent -u waggle-activation')}", file=sys.stderr
            )
        sys.exit(f"demo: '{' '.join(command)}' ended with {code}")


def execute(*command):
    """Runs a program that reads and writes the terminal; its exit code."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Ctrl-C reaches the program as well, which prints what became of the deployment.
        process.wait()
        raise


@contextmanager
def quietly(what):
    """For what takes an instant: its output appears only if it fails."""
    sys.stdout.flush()
    saved = os.dup(1), os.dup(2)
    with open(run / "log", "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    except Exception as error:
        os.write(saved[1], (run / "log").read_bytes())
        os.write(saved[1], f"demo: could not {what}: {error}\n".encode())
        sys.exit(1)
    finally:
        for descriptor, copy in zip((1, 2), saved):
            os.dup2(copy, descriptor)
            os.close(copy)


def make_hive():
    shutil.copytree(laptop.SOURCE / "tests/hives/demo", hive)
    key = make_key(Path.home() / ".ssh/id_ed25519", "you@laptop")
    # ssh finds ~ in the password database, not in HOME, and its known_hosts would be the developer's own.
    config = Path.home() / ".ssh/config"
    config.write_text(f"UserKnownHostsFile {Path.home()}/.ssh/known_hosts\n")
    os.environ["SSH_CONFIG_FILE"] = str(config)
    (hive / "operators.nix").write_text(f'[ "{Fleet.public_key(key)}" ]\n')
    (hive / "agent-binary.nix").write_text(f'"{(laptop.BUILD / "agent/waggle-agent").resolve()}"\n')


def install_nodes():
    """Makes machines in their state before the first deployment: the system has the agent, but no greeting yet."""
    modules = f"{hive}/agent.nix {hive}/hardware.nix"
    bare = f"path = null; hive = import {hive}/hive.nix // {{ defaults.imports = [ {modules} ]; }};"
    for index, name in enumerate(NAMES, 1):
        nodes[name] = Machine(name, index)
    known_hosts = "".join(node.known_hosts_line() + "\n" for node in nodes.values())
    (Path.home() / ".ssh/known_hosts").write_text(known_hosts)
    for name, toplevel in build_systems(bare, NAMES).items():
        nodes[name].install_system(toplevel)


def boot_nodes():
    for node in nodes.values():
        node.start(wait=False)
    for node in nodes.values():
        node.wait_until_up()
        wait_until(f"the agent of {node} listens", lambda node=node: Fleet.agent_listens(node), 60)


def greetings():
    for node in nodes.values():
        print(f"  {node.read('/run/greeting').strip()}", flush=True)


def size_of(node):
    """The size of the node's system, as "12 MiB in 34 store paths"."""
    paths = node.succeed("nix-store --query --requisites /run/current-system").split()
    total = node.succeed(f"du -cm {' '.join(paths)}").splitlines()[-1]
    return f"{total.split()[0]} MiB in {len(paths)} store paths"


def demo():
    started = time.monotonic()
    print(
        f"""{BOLD}Waggle in a minute{PLAIN}
Three machines boot in containers on this one, each with its own systemd, Nix store and network. Your laptop's part is
played by this program, with a new SSH key. Nothing of it outlives the demo, and Ctrl-C ends it at any time."""
    )

    title("1. A hive and three machines")
    make_hive()
    hives = "The hive describes alpha, beta and gamma as any Colmena hive would"
    say(f"{hives}; one module adds the agent and your SSH key:")
    print(re.search(r"^  alpha = {.*?^  };", (hive / "hive.nix").read_text(), re.DOTALL | re.MULTILINE)[0], flush=True)
    with quietly("install the nodes"):
        install_nodes()
    with quietly("boot the nodes"):
        boot_nodes()
    # The program itself, without options: every file is in its default place.
    os.environ["PATH"] = f"{laptop.BUILD}/trigger:{os.environ['PATH']}"
    os.chdir(hive)
    say("They are up. Your known_hosts has their host keys, as after a first ssh, and that is all there is to set up:")
    show("waggle", "status")

    title("2. Deploy")
    say("Your side evaluates and builds. Each node checks your signature, fetches what it lacks and activates it.")
    show("waggle", "apply")
    say("What the nodes say now:")
    greetings()

    title("3. Change something, deploy again")
    shown("echo 'Buzz!' > greeting.txt")
    Path("greeting.txt").write_text("Buzz!\n")
    show("waggle", "apply")
    size = size_of(nodes["alpha"])
    say(f"Of {size} that make up alpha's system only what changed travelled, see SENT. What the nodes say now:")
    greetings()

    title("4. A key that no node accepts")
    say("An attacker has the hive, network access and an SSH key that no node lists as an operator's key:")
    attacker = make_key(Path.home() / ".ssh/attacker", "attacker@elsewhere")
    shown("waggle apply --identity ~/.ssh/attacker")
    code = execute("waggle", "apply", "--identity", str(attacker))
    if code == 0:
        sys.exit("demo: the attacker was let in, which must not be")
    say(f"Refused, with exit code {code}. The nodes are as they were:")
    greetings()

    if nixpkgs := os.environ.get("WAGGLE_TEST_NIXPKGS"):
        title("5. The same hive with real NixOS")
        say(f"Evaluated with {nixpkgs}, down to each system's derivation: building would need the network.")
        os.environ["NIX_PATH"] = f"nixpkgs={nixpkgs}"
        show("waggle", "build", "--dry-run")

    title("That was all")
    destroy_nodes()
    seconds = int(time.monotonic() - started)
    say(f"Everything is taken down again, after {seconds} seconds. Next: README.md, docs/tutorial/getting-started.md.")


def destroy_nodes():
    while nodes:
        nodes.popitem()[1].destroy()


def main():
    if not os.access(laptop.BUILD / "trigger/waggle", os.X_OK):
        sys.exit(f"demo: no waggle in {laptop.BUILD}: run ./dev build")
    laptop.enter()
    try:
        demo()
    except KeyboardInterrupt:
        print(f"\n{DIM}Interrupted: taking everything down.{PLAIN}", flush=True)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        destroy_nodes()


if __name__ == "__main__":
    main()
