"""What all system tests share.

Each file of tests names its nodes in NODES. They are booted once, before the file's first test, and the tests run in
the file's order: each one begins where the previous one ended. A failure shows what the last runs of waggle printed and
the nodes' journals.
"""

import pytest
from fleet import Fleet
from pytest_subtests import SubTestReport

# The checks there show the values of what they compare, like those of a test.
pytest.register_assert_rewrite("fleet.systems")

_fleets = []


@pytest.fixture(scope="module")
def fleet(request):
    fleet = Fleet(request.module.NODES)
    _fleets.append(fleet)
    yield fleet
    _fleets.remove(fleet)
    fleet.destroy()


@pytest.fixture(scope="module")
def alpha(fleet):
    return fleet["alpha"]


@pytest.fixture(scope="module")
def beta(fleet):
    return fleet["beta"]


@pytest.fixture(scope="module")
def gamma(fleet):
    return fleet["gamma"]


@pytest.fixture
def subtest(subtests):
    """`with subtest("…"):` is a check of its own: if it fails, that is reported, and the test goes on."""
    return subtests.test


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report):
    """Prints the title of each subtest."""
    if isinstance(report, SubTestReport) and report.context.msg:
        if report.passed:
            return "subtests passed", ",", f"ok: {report.context.msg}"
        if report.failed:
            return "failed", "u", f"FAIL: {report.context.msg}"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
        return
    for fleet in _fleets:
        for run in fleet.runs[-2:]:
            state = "still runs" if run.is_running() else f"exit {run.process.returncode}"
            report.sections.append((f"waggle {' '.join(run.command[1:])} ({state})", _end(run.text, 60)))
        for node in fleet:
            try:
                journal = node.journal("-n 25 -u waggle-agent -u waggle-activation -u nix-daemon")
            except Exception:
                journal = _end(node.console.read_text(errors="replace"), 5) if node.console.exists() else ""
            report.sections.append((f"journal of {node}", journal))


def _end(text, lines):
    return "\n".join(text.splitlines()[-lines:])
