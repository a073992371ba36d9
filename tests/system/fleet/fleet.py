"""A hive on booted nodes, and an operator who deploys to them."""

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from fleet import laptop
from fleet.keys import make_key
from fleet.machine import Machine
from fleet.waggle import Exit, Run
from fleet.waiting import wait_until

AGENT_PORT = 9244


class Fleet:
    """The nodes by name, their hive in `hive`, and the trigger of the operator whose key is `operator`.

    `settings` is what the hive shares with the tests (fleet.json): after a change, call write_settings().
    """

    def __init__(self, names):
        self.run = laptop.RUN
        self.hive = self.run / "hive"
        self.operator = self.make_key("operator", "operator@laptop")
        self.known_hosts = self.run / "known_hosts"
        self.runs = []
        self._numbers = itertools.count(1)
        self.nodes = {}
        try:
            for index, name in enumerate(names, 1):
                self.nodes[name] = Machine(name, index)
            self._make_agent()
            shutil.copytree(laptop.SOURCE / "tests/system/hive", self.hive)
            (self.hive / "changes").mkdir()
            self.write_known_hosts()
            self.reset_settings()
            for node, toplevel in self.toplevels(names).items():
                self.nodes[node].install_system(toplevel)
            self.start()
        except BaseException:
            self.destroy()
            raise

    def __getitem__(self, name):
        return self.nodes[name]

    def __iter__(self):
        return iter(self.nodes.values())

    def start(self, *nodes):
        """Switches nodes on, by default all of them, and waits for their agents."""
        nodes = nodes or list(self)
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_until_up()
        self.wait_for_agents(*nodes)

    def wait_for_agents(self, *nodes, timeout=60):
        for node in nodes or self:
            wait_until(f"the agent of {node} listens", lambda node=node: self.agent_listens(node), timeout)

    @staticmethod
    def agent_listens(node):
        """Whether the agent runs. An open port is not enough: systemd holds it while the agent does not run."""
        try:
            return node.is_port_open(AGENT_PORT) and node.is_active("waggle-agent")
        except Exception:
            return False

    def no_unit_is_left(self, node):
        """Whether no unit of a deployment is left; the agent's own units and those of secrets stay."""
        return not self.units_left(node)

    @staticmethod
    def units_left(node):
        units = node.succeed("systemctl list-units --all --plain --no-legend 'waggle-*'").splitlines()
        stays = re.compile(r"waggle-((agent|test-boot|secrets|secrets-.*)\.service|agent\.socket)")
        return [unit for unit in units if not stays.match(unit)]

    def leftovers(self, node):
        """The temporary files and the units of a deployment that are left."""
        walk = os.walk(node.root / "var/lib/waggle-agent")  # bears that folders are removed meanwhile
        files = [name for _, folders, files in walk for name in folders + files if name.endswith(".tmp")]
        try:
            return files + self.units_left(node)
        except Exception as error:  # it is off, or boots
            return files + [str(error)]

    @staticmethod
    def state(node):
        """The agent's record, state.json, as the node's disk has it; empty if there is none."""
        try:
            return json.loads((node.root / "var/lib/waggle-agent/state.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def deployment(self, node):
        """The newest deployment in that record; empty if there is none."""
        return self.state(node).get("deployment") or {}

    def deployment_state(self, node):
        """The state of the newest deployment in that record, such as "activated"; None if there is none."""
        return self.deployment(node).get("state")

    def is_in_history(self, node):
        """Whether the last entry of history.json is the record's deployment, with its outcome; both may be missing."""
        try:
            history = json.loads((node.root / "var/lib/waggle-agent/history.json").read_text())
            entry = (history["entries"] or [{}])[-1]
        except (FileNotFoundError, json.JSONDecodeError):
            entry = None
        state = self.state(node)
        deployment = (state.get("deployment") or {}) if state else None
        if entry is None or deployment is None:
            return entry is deployment
        return [entry.get(key) for key in ("id", "outcome")] == [deployment.get(key) for key in ("id", "outcome")]

    def destroy(self):
        for run in self.runs:
            if run.is_running():
                run.kill()
        for node in self:
            node.destroy()
        shutil.rmtree(self.hive, ignore_errors=True)

    # --- the hive ---

    def configure(self, node, module):
        """Sets the module, as Nix text, that the hive adds to this node."""
        (self.hive / f"changes/{node}.nix").write_text(module)

    def unconfigure(self, *nodes):
        """Removes the modules of these nodes, by default of all."""
        for node in nodes or self.nodes:
            (self.hive / f"changes/{node}.nix").unlink(missing_ok=True)

    def reset_settings(self):
        self.settings = {
            "agent": self.agent_package,
            "sanitized": self.sanitized,
            "operators": [self.public_key(self.operator)],
            "nodes": {node.name: {"address": node.address} for node in self},
        }
        self.write_settings()

    def write_settings(self):
        (self.hive / "fleet.json").write_text(json.dumps(self.settings))

    def write_known_hosts(self):
        self.known_hosts.write_text("".join(node.known_hosts_line() + "\n" for node in self))

    def toplevel(self, node):
        """Builds the system that the hive describes now; its store path."""
        return self.toplevels([str(node)])[str(node)]

    def toplevels(self, names):
        """Builds the systems of several nodes; their store paths by name."""
        return build_systems(f"path = {self.hive}/hive.nix;", names)

    def _make_agent(self):
        """Makes the store path with bin/waggle-agent that the hive names as the agent's package."""
        # For nodes whose libraries differ from this machine's, another one was built.
        binary = Path(os.environ.get("WAGGLE_NODE_AGENT") or laptop.BUILD / "agent/waggle-agent")
        package = self.run / "waggle-agent"
        if not package.exists():
            (package / "bin").mkdir(parents=True)
            # Without debugging symbols, because tests send it to nodes.
            subprocess.run(["strip", "-o", package / "bin/waggle-agent", binary], check=True)
        self.agent_package = _output("nix-store", "--add", package)
        self.sanitized = subprocess.run(["grep", "-qE", "__(asan|tsan)_init", binary]).returncode == 0

    # --- keys ---

    def make_key(self, name, comment=None):
        """A new SSH key; the file with its private half. Its public half is in NAME.pub."""
        key = self.run / name
        key.unlink(missing_ok=True)
        return make_key(key, comment if comment is not None else name)

    @staticmethod
    def public_key(key):
        """The line of a key's public half."""
        return key.with_name(key.name + ".pub").read_text().strip()

    # --- the trigger ---

    def apply(self, *arguments, **options):
        """`waggle apply`; the goal, if it is not switch, is the first argument."""
        return self.waggle("apply", *arguments, **options)

    def status(self, *arguments, **options):
        return self.waggle("status", *arguments, **options)

    def waggle(self, command, *arguments, **options):
        """Runs a command of the trigger as the operator and waits for its end."""
        return self.start_waggle(command, *arguments, **options).wait()

    def start_waggle(self, command, *arguments, on=None, json=True, identity=None, known_hosts=None, **options):
        """Starts a command of the trigger.

        `on` is a node, several, or text for --on. With json=False, it prints what people read. `identity` is another
        key than the operator's, `known_hosts` another file than the fleet's.
        """
        selection = []
        if on is not None:
            nodes = [on] if isinstance(on, (str, Machine)) else on
            selection = ["--on", ",".join(map(str, nodes))]
        line = [
            str(laptop.BUILD / "trigger/waggle"),
            command,
            *(["--json"] if json else []),
            *("-f", str(self.hive / "hive.nix")),
            *("--identity", str(identity or self.operator)),
            *("--known-hosts", str(known_hosts or self.known_hosts)),
            *selection,
            *map(str, arguments),
        ]
        run = Run(line, self.run / f"waggle-{next(self._numbers)}.out", **options)
        self.runs.append(run)
        return run

    def deploy(self, *nodes):
        """Deploys what the hive describes now, which must succeed."""
        run = self.apply(on=nodes or None)
        assert run.exit_code == Exit.OK, run.text
        return run


def evaluate_systems(arguments, names, *options):
    """What nixos-module/hive.nix says about nodes of the hive that these arguments describe, by name."""
    selected = " ".join(f'"{name}"' for name in names)
    expression = f"(import {os.environ['WAGGLE_NIXOS_MODULE']}/hive.nix {{ {arguments} }}).nodes [ {selected} ]"
    return json.loads(_output("nix-instantiate", "--eval", "--strict", "--json", *options, "-E", expression))


def build_systems(arguments, names):
    """Builds the systems of nodes of the hive that these arguments of nixos-module/hive.nix describe."""
    answer = evaluate_systems(arguments, names, "--read-write-mode")
    derivations = [answer[name]["drvPath"] for name in names]
    return dict(zip(names, _output("nix-store", "--realise", *derivations).splitlines()))


def _output(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, f"{' '.join(map(str, command))} ended with {result.returncode}: {result.stderr}"
    return result.stdout.strip()
