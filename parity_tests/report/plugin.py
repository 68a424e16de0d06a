"""What pytest does for the report: who compares what, the outcome of each test, and the report itself at the end.

`--parity_report FOLDER` writes FOLDER/report.json and FOLDER/index.html. Without it the largest differences are printed alone.
"""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from parity_tests.report.machine import commit, where
from parity_tests.report.records import NAMES, RECORDS, Sides, largest_by_quantity

OPTION = "--parity_report"
MARKER = "compares(network, against): what a test holds against what; {…} is a parameter of the test"
SENTENCE = 300
"""Characters of a failure's reason that the report shows."""


@dataclass(frozen=True)
class Outcome:
    """How a test ended: passed, failed or skipped, and why."""

    test: str
    outcome: str
    reason: str
    seconds: float


class Reporter:
    """Collects in the process that runs tests, and writes in the one that a user started."""

    def __init__(self, folder: str | None):
        self.folder = folder
        self.outcomes: dict[str, Outcome] = {}
        self.started = datetime.now(timezone.utc)
        self.since = time.monotonic()
        self.commit = commit() if folder else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        RECORDS.begin(sides_of(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = Outcome(report.nodeid, report.outcome, reason_of(report), report.duration)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands what it recorded to the process that writes."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["parity"] = RECORDS.plain()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if "parity" in getattr(node, "workeroutput", {}):
            RECORDS.add(node.workeroutput["parity"])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for quantity, record in sorted(largest_by_quantity(RECORDS.comparisons.values()).items()):
            terminalreporter.write_line(f"parity: {quantity:<28} largest {record.largest:.2g}, allowed {record.allowed:.2g}")
        if self.folder is None:
            return
        from parity_tests.report.summary import summary
        from parity_tests.report.writing import write

        place = where() | {"commit": self.commit}  # as it was when the tests were read
        report = summary(RECORDS, list(self.outcomes.values()), self.started, time.monotonic() - self.since, place)
        write(report, Path(self.folder))
        terminalreporter.write_line(f"parity: {report['verdict']}; {Path(self.folder) / 'index.html'}")


def sides_of(item: pytest.Item) -> Sides:
    """What a test compares, by its marker and its parameters."""
    marker = item.get_closest_marker("compares")
    if marker is None:
        return Sides(item.nodeid)
    callspec = getattr(item, "callspec", None)
    parameters = {
        name: NAMES.get(value, value) for name, value in (callspec.params if callspec else {}).items() if isinstance(value, str)
    }
    return Sides(item.nodeid, *(_shown(text.format(**parameters)) for text in marker.args))


def _shown(side: str) -> str:
    """`mindspore, graph` -> `MindSpore, graph mode`."""
    return re.sub(r"\b(graph|pynative)$", r"\1 mode", side.replace("mindspore", "MindSpore"))


def reason_of(report: pytest.TestReport) -> str:
    """The first line of a failure, or why a test was skipped."""
    if report.outcome == "passed":
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")[:SENTENCE]
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines() or ["no message"]
    return lines[0][:SENTENCE]
