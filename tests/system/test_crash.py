"""Reproduces every row of docs/explanation/crash-table.md on booted nodes: one step of a deployment goes wrong, and the chain of
states, what runs, what boots and what the trigger reports must be exactly as in the row.

Each row is a test. The rows of one kind of deployment run together in rounds, one on each node; the first of them that
is tested runs the round. Only selected rows are run: `-m secrets` selects those of deployments of secrets, and `-m 'not
secrets'` all others. A row's name has its columns: `-k '[rebooted-'` selects the rows of that kind, `-k '[rebooted- or
stores'` also checks the stores afterwards.

With CRASH_RECORD=1, the rows that are found are printed instead of compared. CRASH_TABLE names another table,
CRASH_NODES another number of nodes.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
from fleet import comes_true, laptop, wait_until
from fleet.faults import Faults, Step
from fleet.port_taker import PortTaker
from fleet.systems import AGENT_EXITS

RECORD = os.environ.get("CRASH_RECORD")
TABLE = Path(os.environ.get("CRASH_TABLE") or laptop.SOURCE / "docs/explanation/crash-table.md")
NODES = [f"n{number}" for number in range(1, int(os.environ.get("CRASH_NODES") or 6) + 1)]

# The trigger's arguments, and what is special about the system; WORD, ADDRESS and NUMBER are replaced.
DEPLOYMENTS = {
    "kept": (["apply"], "{ }"),
    "unit-fails": (
        ["apply"],
        """{ systemd.services.broken = {
            wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "exit 3"; }; }""",
    ),
    "unconfirmed": (["apply"], AGENT_EXITS),
    "menu-fails": (["apply"], r'{ system.preSwitchChecks.menu = "[ \"$2\" != boot ]"; }'),
    "rebooted": (["apply", "--reboot"], "{ }"),
    "next-boot": (["apply", "boot"], "{ }"),
    "tested": (["apply", "test"], "{ }"),
    "dry": (["apply", "dry-activate"], "{ }"),
    "moved": (["apply"], '{ services.waggle-agent.listen = [ "ADDRESS" "127.0.0.1" "127.0.1.NUMBER" ]; }'),
    "secrets": (
        ["upload-keys"],
        """{ deployment.keys = lib.genAttrs [ "one" "only-NUMBER" ] (name: {
            text = "WORD"; destDir = "/var/lib/kept"; }); }""",
    ),
}


# --- the table ---


class Row(NamedTuple):
    kind: str
    write: str
    moment: str
    fault: str
    states: str
    runs: str
    boots: str
    told: str

    def __str__(self):
        columns = (self.kind, self.write.replace(".json", "").replace(",", ""), self.moment, self.fault)
        return "-".join(column.replace(" ", "-") for column in columns if column != "-")

    @property
    def seconds_to_confirm(self):
        return 3 if self.kind == "unconfirmed" or "not-confirmed" in self.told else 60

    @property
    def keeps_no_history(self):
        """Writing the history fails: the next deployment adds the entry."""
        return self.write.endswith("history.json") and self.fault == "fail"

    @property
    def written(self):
        """The command, the pattern of the path, and the label of the write that goes wrong."""
        command, file, *label = self.write.split(", then ")[-1].split()
        return command, f"*/{file}", label[0] if label else "*"

    def steps(self):
        if self.fault == "none":
            return []
        steps = []
        for first in self.write.split(", then ")[:-1]:
            command, file, label, moment, action = first.split()
            steps.append(Step(command, f"*/{file}", label, moment, action))
        action = {"power": "stop", "lost": "lose"}.get(self.fault, self.fault)
        return [*steps, Step(*self.written, self.moment, action)]

    def is_about(self, change):
        if self.write == "-":
            return False
        command, pattern, label = self.written
        return change.command == command and fnmatchcase(change.entry, pattern) and label in ("*", change.label)


def read_table():
    rows, inside = [], False
    for line in TABLE.read_text().splitlines():
        if line.startswith("| deployment |"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|-"):
            row = Row(*(cell.strip().replace("`", "") for cell in line.strip("|").split("|")))
            assert row.kind in DEPLOYMENTS, f"{TABLE}: no such deployment: {row.kind}"
            rows.append(row)
    assert len(set(map(str, rows))) == len(rows), f"{TABLE} has a row twice"
    return rows


def in_rounds(rows):
    """Those of one kind and with the same timeout run together."""
    groups = {}
    for row in rows:
        groups.setdefault((row.kind, row.seconds_to_confirm), []).append(row)
    return [group[at : at + len(NODES)] for group in groups.values() for at in range(0, len(group), len(NODES))]


ALL_ROWS = read_table()


def rows_of_secrets(wanted):
    return [row for rows in in_rounds(ALL_ROWS) for row in rows if (row.kind == "secrets") == wanted]


# --- what happened ---


@dataclass
class Result:
    """What became of a row."""

    was_reached: bool  # the step that goes wrong
    has_settled: bool
    found: dict  # what expected_of() describes
    left: list  # what it leaves, if it has not settled
    logs: str


def expected_of(row):
    return {
        "states": row.states,
        "runs": row.runs,
        "boots": row.boots,
        "told": row.told,
        "another process has had the port": False,
        "writes that have no row": [],
    }


class Rounds:
    """Runs the rounds of the selected rows when they are needed, and keeps their results."""

    def __init__(self, fleet, rows):
        self.fleet = fleet
        self.rounds = in_rounds(rows)
        self.number = 0
        self.results = {}  # by row: a Result or an exception
        self.old = {}  # by node: what ran before the round
        self.stuck = set()  # nodes whose deployment did not end as it should
        self.faults = {node: Faults(node) for node in fleet}
        for faults in self.faults.values():
            faults.allow()
        fleet.wait_for_agents()
        self.port_takers = {node: PortTaker(node) for node in fleet}
        for taker in self.port_takers.values():
            taker.start()

    @property
    def word(self):
        return f"round-{self.number}"

    def result_of(self, row):
        if row not in self.results:
            rows = next(rows for rows in self.rounds if row in rows)
            try:
                self._run_round(rows)
            except Exception as error:
                for other, node in zip(rows, self.fleet):
                    self.results.setdefault(other, error)
                    self.stuck.add(node)
        if isinstance(self.results[row], Exception):
            raise AssertionError(f"the row could not be run: {self.results[row]}") from self.results[row]
        return self.results[row]

    # --- a round: one row on each node, all of one kind of deployment ---

    def _run_round(self, rows):
        self.number += 1
        nodes = dict(zip(rows, self.fleet))
        (command, *arguments), _ = DEPLOYMENTS[rows[0].kind]
        self._prepare(nodes.values())
        for row, node in nodes.items():
            self._describe(row, node)
            self.old[node] = kept_files(node) if row.kind == "secrets" else node.system()
            self.faults[node].plan(*row.steps())
        run = self.fleet.start_waggle(command, *arguments, on=nodes.values(), timeout=120)
        cuts = {}  # of the power, by row
        with ThreadPoolExecutor(len(rows)) as pool:
            try:
                if rows[0].kind == "next-boot":
                    wait_until("waggle ends", lambda: not run.is_running(), 150)
                    self._boot_anew(nodes.values())
                # The trigger may end before the step is reached.
                comes_true(lambda: self._is_over(nodes, cuts, pool) and not run.is_running(), 150)
                run.wait()
            finally:
                if run.is_running():
                    run.kill()
        for row, node in nodes.items():
            try:
                if row in cuts:
                    cuts[row].result()
                self.results[row] = self._result(row, node, run)
            except Exception as error:
                self.results[row] = error
            if isinstance(self.results[row], Exception) or not self.results[row].has_settled:
                self.stuck.add(node)

    def _prepare(self, nodes):
        """Every node runs the system that it boots. After goal test, or a boot that was cut off, it does not."""
        for node in self.stuck.intersection(nodes):
            # The next row on this node must not fail because this one did.
            self.faults[node].plan()
            node.crash()
            self.stuck.remove(node)
        off = [node for node in nodes if not node.is_on()]
        differing = [node for node in nodes if node.is_on() and node.system() != node.profile()]
        if off:
            self.fleet.start(*off)
        if differing:
            self._boot_anew(differing)
            self.fleet.wait_for_agents(*differing)

    @staticmethod
    def _boot_anew(nodes):
        """Does not wait until the nodes are up: in some rows, a step of the boot goes wrong."""
        before = {node: node.boot_id() for node in nodes}
        for node in nodes:
            node.begin_reboot()
        for node in nodes:
            wait_until(f"{node} boots again", lambda node=node: node.has_rebooted(before[node]), 60)

    def _describe(self, row, node):
        _, module = DEPLOYMENTS[row.kind]
        for name, value in {"WORD": self.word, "ADDRESS": node.address, "NUMBER": str(self.number)}.items():
            module = module.replace(name, value)
        self.fleet.configure(
            node,
            f"""
            {{ lib, ... }}: {{
              environment.etc.word.text = "{self.word}";
              deployment.rollback.confirmTimeout = {row.seconds_to_confirm};
              services.waggle-agent.keep = null;
              imports = [ ({module}) ];
            }}
            """,
        )

    def _is_over(self, nodes, cuts, pool):
        """Whether every fault has happened; cuts the power where that is the fault."""
        over = True
        for row, node in nodes.items():
            if row.fault == "none":
                continue
            if row in cuts:
                over = over and cuts[row].done()
            elif not self.faults[node].is_hit():
                over = False
            elif row.fault in ("power", "lost"):
                cuts[row] = pool.submit(self.faults[node].cut_power)
                over = False
        return over

    # --- the result of a row ---

    def _result(self, row, node, run):
        was_reached = row.fault == "none" or self.faults[node].is_hit()
        has_settled = was_reached and comes_true(lambda: self._is_settled(row, node), 60)
        found = {
            "states": self.faults[node].states() or "-",
            "runs": self._runs(row, node),
            "boots": self._boots(row, node),
            "told": self._told(node, run),
            "another process has had the port": self.port_takers[node].has_had_port(),
            "writes that have no row": self._writes_without_row(node) if row.fault == "none" else [],
        }
        self.port_takers[node].forget()
        is_expected = was_reached and has_settled and found == expected_of(row)
        return Result(
            was_reached,
            has_settled,
            found,
            [] if has_settled else self.fleet.leftovers(node),
            "" if is_expected else self._logs(node),
        )

    def _is_settled(self, row, node):
        """The deployment has ended, the history records it, and no temporary file or unit is left."""
        state = self.fleet.state(node)
        if state and self.fleet.deployment(node).get("outcome") is None:
            return False
        if row.kind == "next-boot" and self.fleet.deployment(node).get("state") == "awaiting-reboot":
            return False
        if not row.keeps_no_history and not self.fleet.is_in_history(node):
            return False
        return self.fleet.agent_listens(node) and not self.fleet.leftovers(node)

    def _runs(self, row, node):
        if row.kind != "secrets":
            return self._system(node, node.system())
        # The files on the node.
        now, new = kept_files(node), {"one": self.word, f"only-{self.number}": self.word}
        if now == self.old[node]:
            return "old"
        if now == new:
            return "new"
        return "new and old" if now.items() >= new.items() else str(now)

    def _boots(self, row, node):
        """What boots next according to the profile and the boot loader; of secrets, whose bundle is in force."""
        if row.kind == "secrets":
            return self._secrets_in_force(node)
        profile, loader = self._system(node, node.profile()), self._system(node, boot_entry(node, "default"))
        once = boot_entry(node, "oneshot")
        text = profile if profile == loader else f"profile {profile}, loader {loader}"
        return f"{text}, and once {self._system(node, once)}" if once else text

    def _system(self, node, path):
        if path == self.old[node]:
            return "old"
        return "new" if path == self.fleet.deployment(node).get("toplevel") else str(path)

    def _secrets_in_force(self, node):
        deployment = self.fleet.deployment(node)
        bundle = deployment.get("bundle") if deployment.get("state") == "committed" else None
        number = (bundle or self.fleet.state(node).get("secrets") or {}).get("id")
        file = node.root / f"var/lib/waggle-agent/secrets/{number}.age"
        if number is not None and not (file.exists() and file.stat().st_size > 0):
            return f"{number}, which are gone"
        return "new" if number == deployment.get("id") else "old"

    def _told(self, node, run):
        """The trigger's outcome, and the reason in the record."""
        try:
            outcome = run.outcome[node.name]
        except (AssertionError, KeyError) as error:
            outcome = f"no outcome: {error}"
        code = self.fleet.deployment(node).get("code") if self.faults[node].states() else None
        return f"{outcome} ({code})" if code else outcome

    def _writes_without_row(self, node):
        written = {change[:3]: change for change in self.faults[node].changes()}
        return [
            " ".join(write)
            for write, change in sorted(written.items())
            if not change.entry.endswith((".tmp", ".waggle-new")) and not any(row.is_about(change) for row in ALL_ROWS)
        ]

    def _logs(self, node):
        folder = self.faults[node].folder
        texts = [f"{name}: {text_of(folder / name)}" for name in ("plan", "hit", "next", "journal")]
        texts.append(f"deployment: {self.fleet.deployment(node)}")
        try:
            texts.append(node.journal("-n 40"))
        except Exception:
            texts.append("\n".join(node.console.read_text(errors="replace").splitlines()[-5:]))
        return "\n".join(texts)


def kept_files(node):
    """The secrets on the node, by name."""
    folder = node.root / "var/lib/kept"
    return {file.name: file.read_text() for file in folder.rglob("*") if file.is_file()}


def boot_entry(node, name):
    return text_of(node.root / "boot/loader" / name)


def text_of(file):
    """The text without the last newline, or None."""
    return file.read_text().removesuffix("\n") if file.exists() else None


# --- the tests ---


@pytest.fixture(scope="module")
def rounds(request, fleet):
    tests = (item for item in request.session.items if item.module is request.module and hasattr(item, "callspec"))
    return Rounds(fleet, [test.callspec.params["row"] for test in tests])


def check(row, rounds, capsys):
    result = rounds.result_of(row)
    if RECORD:
        record(row, result, capsys)
        return
    assert result.was_reached, f"that step was never reached\n{result.logs}"
    assert result.has_settled, f"it does not come to an end, or leaves something: {result.left}\n{result.logs}"
    assert result.found == expected_of(row), result.logs


def record(row, result, capsys):
    found = result.found
    if not result.was_reached:
        text = "that step was never reached"
    elif not result.has_settled:
        text = f"{found['states']} | does not come to an end, or leaves something: {result.left}"
    else:
        text = " | ".join(found[column] for column in ("states", "runs", "boots", "told"))
    if found["another process has had the port"]:
        text += " | another process has had the port"
    write = row.write if row.write == "-" else ", then ".join(f"`{write}`" for write in row.write.split(", then "))
    with capsys.disabled():
        print(f"\n| {row.kind} | {write} | {row.moment} | {row.fault} | {text} |")
        if not result.was_reached:
            print(result.logs)
    assert not found["writes that have no row"]


@pytest.mark.parametrize("row", rows_of_secrets(False), ids=str)
def test_row(rounds, row, capsys):
    check(row, rounds, capsys)


def test_the_stores_are_sound(fleet, rounds, subtest):
    check_afterwards(fleet, rounds, subtest)


@pytest.mark.secrets
@pytest.mark.parametrize("row", rows_of_secrets(True), ids=str)
def test_row_of_secrets(rounds, row, capsys):
    check(row, rounds, capsys)


@pytest.mark.secrets
def test_the_stores_are_sound_after_secrets(fleet, rounds, subtest):
    check_afterwards(fleet, rounds, subtest)


def check_afterwards(fleet, rounds, subtest):
    for node in fleet:
        with subtest(f"the store of {node} is sound"):
            if not node.is_on():
                fleet.start(node)
            assert node.store_is_sound()
        with subtest(f"another process has not had the port of {node}"):
            assert not rounds.port_takers[node].has_had_port()
    with subtest("at least one row was run"):
        assert rounds.results
