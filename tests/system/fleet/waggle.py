"""A run of the trigger, whose JSON output (docs/reference/json.md) is what tests read."""

import enum
import json
import os
import re
import signal
import subprocess
from functools import cached_property

from fleet.waiting import wait_until


class Exit(enum.IntEnum):
    """The trigger's exit codes."""

    OK = 0
    USAGE = 2  # also an error in the hive
    BUILD_FAILED = 3
    UNITS_FAILED = 4  # also: a node is unhealthy, or not all its secrets are in place
    REFUSED = 5
    ROLLED_BACK = 6
    FAILED = 7  # before the activation
    UNREACHABLE = 8
    SECRETS = 10
    INTERRUPTED = 130


class Run:
    """A run that has been started. What asks for its result waits for its end first."""

    def __init__(self, command, output, environment=None, timeout=180, **options):
        self.command = command
        self.timeout = timeout
        self._output, self._errors = output, output.with_suffix(".err")
        with open(self._output, "wb") as out, open(self._errors, "wb") as err:
            # A process group of its own, as a shell gives it.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=os.environ | (environment or {}),
                process_group=0,
                **options,
            )

    # --- while it works ---

    def is_running(self):
        return self.process.poll() is None

    def interrupt(self):
        """Ctrl-C."""
        self.signal(signal.SIGINT)

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def wait(self):
        try:
            self.process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"waggle did not end within {self.timeout} s: {' '.join(self.command)}\n{self.text}"
            ) from None
        return self

    def wait_until_says(self, pattern, timeout=60):
        wait_until(f"waggle says {pattern!r}", lambda: self._find(pattern, self.text), timeout)

    # --- its result ---

    @property
    def exit_code(self):
        return self.wait().process.returncode

    @cached_property
    def events(self):
        """Every line of its JSON; the last one is the result."""
        self.wait()
        return self._read_events()

    @property
    def result(self):
        assert self.events and self.events[-1]["type"] == "result", f"waggle printed no result: {self.text}"
        return self.events[-1]

    @property
    def nodes(self):
        """The result's objects of the nodes, by name."""
        return {node["name"]: node for node in self.result.get("nodes", [])}

    @property
    def outcome(self):
        """The nodes' outcomes, by name."""
        return {name: node["outcome"] for name, node in self.nodes.items()}

    def message(self, node):
        """Everything that the result says about a node: message, answer and logs."""
        return "\n".join(_texts(self.nodes[str(node)]))

    @property
    def text(self):
        """Every text of the output so far, one a line; without --json, the output itself."""
        errors = self._errors.read_text(errors="replace")
        if "--json" not in self.command:
            return self._output.read_text(errors="replace") + errors
        return "\n".join(text for event in self._read_events() for text in _texts(event)) + "\n" + errors

    def says(self, pattern):
        """Whether a regular expression matches a line of the text; upper and lower case are the same."""
        self.wait()
        return self._find(pattern, self.text)

    def shows(self, text):
        """Whether the text has these characters."""
        self.wait()
        return text in self.text

    @staticmethod
    def _find(pattern, text):
        return re.search(pattern, text, re.IGNORECASE | re.MULTILINE) is not None

    def _read_events(self):
        if "--json" not in self.command:
            return []
        # While it works, the last line may not be complete.
        lines = self._output.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines]


def _texts(value, prefix=""):
    """The texts in a JSON value; those of an event about a node have its name before them, as in "alpha | fetching"."""
    if isinstance(value, str):
        yield prefix + value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, prefix)
    elif isinstance(value, dict):
        name = value.get("node") or value.get("name")
        for key, item in value.items():
            if key not in ("type", "time", "node"):
                yield from _texts(item, f"{name} | " if isinstance(name, str) and key != "name" else prefix)
