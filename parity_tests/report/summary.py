"""The report as one JSON object: what was recorded, by rung, and a verdict."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from parity_tests.report.ladder import LADDER, PEERS, PUBLISHED, rung_of
from parity_tests.report.plugin import Outcome
from parity_tests.report.records import Comparison, Control, Records
from parity_tests.tolerances import TOLERANCES

FORMAT = 1
"""Increase it when a program that reads older reports would misread a newer one."""
PASSED, FAILED, INCOMPLETE = "passed", "failed", "incomplete"


def summary(
    records: Records, outcomes: Sequence[Outcome], started: datetime, seconds: float, place: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that the page and the tables show, as JSON has it; `place` is what `machine.where` says.

    Numbers that are not finite are None.
    """
    comparisons = list(records.comparisons.values())
    rungs = [
        {
            "rung": rung.number,
            "title": rung.title,
            "what": rung.what,
            "exact": rung.exact,
            "tests": _counts(outcome for outcome in outcomes if rung_of(outcome.test) == rung.number),
            "comparisons": _rows(record for record in comparisons if rung_of(record.test) == rung.number),
            "controls": _controls(record for record in records.controls if rung_of(record.test) == rung.number),
        }
        for rung in LADDER
    ]
    problems = _problems(comparisons, records.controls, outcomes)
    gaps = _gaps(comparisons, outcomes)
    return {
        "format": FORMAT,
        "verdict": FAILED if problems else INCOMPLETE if gaps else PASSED,
        "problems": problems,
        "gaps": gaps,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds),
        **place,
        "tests": _counts(outcomes),
        "rungs": rungs,
        "peers": _others(comparisons, outcomes, PEERS),
        "published": _others(comparisons, outcomes, PUBLISHED),
        "tolerances": {
            name: {"cpu": row.cpu, "ascend": row.ascend, "measured_cpu": row.measured_cpu, "reason": row.reason}
            for name, row in TOLERANCES.items()
        },
    }


def _rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """One row for each quantity of two sides: the largest of all tests that compare it."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for record in comparisons:
        key = record.quantity, record.network, record.against
        row = rows.setdefault(key, asdict(record) | {"count": 0, "passed": True})
        row["count"] += record.count
        row["passed"] &= record.largest <= record.allowed
        if record.largest > row["largest"]:
            row |= {name: getattr(record, name) for name in ("largest", "place", "test")}
    order = list(TOLERANCES)
    for row in rows.values():
        row["largest"] = _finite(row["largest"])
    return sorted(rows.values(), key=lambda row: order.index(row["quantity"]) if row["quantity"] in order else len(order))


def _controls(controls: Iterable[Control]) -> list[dict[str, Any]]:
    """One row for each change: the smallest difference that it made in any test, which is the hardest to see."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for record in controls:
        row = rows.setdefault((record.changed, record.quantity), asdict(record) | {"count": 0})
        row["count"] += 1
        row["seen"] &= record.seen
        if record.difference < row["difference"]:
            row |= {"difference": record.difference, "test": record.test}
    for row in rows.values():
        row["difference"] = _finite(row["difference"])
    return list(rows.values())


def _others(comparisons: Iterable[Comparison], outcomes: Iterable[Outcome], file: str) -> list[dict[str, Any]]:
    """The rows of one test file, and one for each of its tests that compared nothing, with the reason."""
    prefix = f"parity_tests/{file}::"
    own = [record for record in comparisons if record.test.startswith(prefix)]
    compared = {record.test for record in own}
    silent = [outcome for outcome in outcomes if outcome.test.startswith(prefix) and outcome.test not in compared]
    reasons = {outcome.reason: outcome.test for outcome in silent if outcome.outcome != PASSED}
    return [*_rows(own), *({"test": test, "reason": reason} for reason, test in reasons.items())]


def _problems(comparisons: Sequence[Comparison], controls: Sequence[Control], outcomes: Iterable[Outcome]) -> list[str]:
    """A sentence for everything that must not be."""
    beyond = [
        f"{record.quantity} of {record.network} against {record.against}: the largest difference is {record.largest:.3g}, "
        f"allowed {record.allowed:.3g} ({record.place}, {record.test})"
        for record in comparisons
        if not record.largest <= record.allowed
    ]
    unseen = [
        f"{record.changed}: the comparison of {record.quantity} did not see {record.difference:.3g} ({record.test})"
        for record in controls
        if not record.seen
    ]
    nameless = [
        f"{record.test} compares {record.quantity} and does not say what with what"
        for record in comparisons
        if not record.network
    ]
    told = {record.test for record in comparisons if not record.largest <= record.allowed}
    told |= {record.test for record in controls if not record.seen}
    failed = [
        f"{outcome.test} failed: {outcome.reason}"
        for outcome in outcomes
        if outcome.outcome == FAILED and outcome.test not in told
    ]
    return [*beyond, *unseen, *nameless, *failed]


def _gaps(comparisons: Sequence[Comparison], outcomes: Sequence[Outcome]) -> list[str]:
    """A sentence for everything of the ladder that was not run. Peers and published weights may be missing."""
    on_ladder = [record for record in comparisons if rung_of(record.test) is not None]
    quantities = {record.quantity for record in on_ladder}
    unmeasured = [f"{quantity}: nothing was compared" for quantity in TOLERANCES if quantity not in quantities]
    skipped = [
        f"{outcome.test} was skipped: {outcome.reason}"
        for outcome in outcomes
        if outcome.outcome == "skipped" and rung_of(outcome.test) is not None
    ]
    numbers = {rung_of(outcome.test) for outcome in outcomes}
    absent = [f"rung {rung.number}, {rung.title}, was not run" for rung in LADDER if rung.number not in numbers]
    return [*absent, *unmeasured, *skipped]


def _counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    counts = {PASSED: 0, FAILED: 0, "skipped": 0}
    for outcome in outcomes:
        counts[outcome.outcome] += 1
    return counts


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
