"""Records of a made-up run of the ladder, and what becomes of them."""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from parity_tests.report.ladder import LADDER
from parity_tests.report.plugin import Outcome
from parity_tests.report.records import Comparison, Control, Records
from parity_tests.report.summary import summary
from parity_tests.tolerances import TOLERANCES

STARTED = datetime(2026, 11, 26, 3, 0, tzinfo=timezone.utc)
HOSTILE = "<b>&|\n<script>alert(1)</script>"
PLACE: dict[str, Any] = {
    "commit": "0123abc",
    "devices": {"torch": "CPU", "mindspore": "CPU"},
    "machine": {"system": "Linux", "processor": "a processor", "cores": "2"},
    "versions": {"python": "3.11", "torch": "2", "mindspore": "2.10", "numpy": "1.26", "transformers": HOSTILE},
    "variables": {"OMP_NUM_THREADS": "1"},
}
RUNG = {
    "leaf": 1,
    "convolution": 1,
    "attention": 1,
    "features": 2,
    "logits": 2,
    "loss": 3,
    "gradients": 3,
    "running statistics": 3,
}


def named(number: int, name: str) -> str:
    return f"parity_tests/{LADDER[number].tests[0].partition('::')[0]}::test_{name}"


def comparisons() -> list[Comparison]:
    """One for each tolerance, at a tenth of it."""
    return [
        Comparison(named(RUNG.get(name, 4), name), "MindSpore, graph mode", "torch", name, "an array", row.cpu / 10, row.cpu, 7)
        for name, row in TOLERANCES.items()
    ]


CONTROL = Control(named(2, "control"), "a swapped key", "logits", 0.5, 1e-5, True)
PEER = Comparison(
    "parity_tests/report/test_peers.py::test_a_peer_agrees[x]", "torch", "transformers 9", "logits", "logits", 2e-6, 1e-5, 4
)
OUTCOMES = (
    *(Outcome(named(rung.number, "any"), "passed", "", 1.0) for rung in LADDER),
    Outcome("parity_tests/report/test_peers.py::test_a_peer_agrees[smp]", "skipped", "smp: not installed", 0.1),
    Outcome("parity_tests/report/test_published.py::test_logits[b0]", "skipped", "b0: not checked, no weights", 0.1),
)


def report(*more: Comparison | Control | Outcome, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report of a run in which all is well, but for `more`; the tests and quantities of `without` are not run."""
    compared = [*comparisons(), PEER, *(record for record in more if isinstance(record, Comparison))]
    records = Records(
        {
            (record.test, record.network, record.against, record.quantity): replace(record)
            for record in compared
            if record.quantity not in without
        },
        [CONTROL, *(record for record in more if isinstance(record, Control))],
    )
    outcomes = [outcome for outcome in (*OUTCOMES, *more) if isinstance(outcome, Outcome) and outcome.test not in without]
    return summary(records, outcomes, STARTED, 345.6, PLACE)
