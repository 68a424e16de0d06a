"""What the tests compared: a record for each quantity of a test, and one for each negative control.

The comparators of `parity_tests.support` write here. The records are plain values, so that one process can hand them to another.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

NAMES = {"torch": "torch", "mindspore": "MindSpore, graph mode"}
"""A backend as a test's parameter -> as the report has it; learners are in graph mode unless a test says otherwise."""


@dataclass(frozen=True)
class Sides:
    """The test that runs, and what it holds against what."""

    test: str = ""
    network: str = ""
    against: str = ""


@dataclass
class Comparison:
    """The largest of `count` differences of one quantity in one test; infinite where one was not a number.

    `place` says which of the arrays or numbers differs most.
    """

    test: str
    network: str
    against: str
    quantity: str
    place: str
    largest: float
    allowed: float
    count: int = 1


@dataclass
class Control:
    """A change that a comparison must notice: `seen` if the difference it made was refused."""

    test: str
    changed: str
    quantity: str
    difference: float
    allowed: float
    seen: bool


@dataclass
class Records:
    """Everything that one process recorded."""

    comparisons: dict[tuple[str, ...], Comparison]
    controls: list[Control]
    sides: Sides = Sides()

    def begin(self, sides: Sides) -> None:
        self.sides = sides

    def comparison(self, quantity: str, place: str, found: float, allowed: float) -> None:
        found = _number(found)
        key = (self.sides.test, self.sides.network, self.sides.against, quantity)
        record = self.comparisons.get(key)
        if record is None:
            self.comparisons[key] = Comparison(*key, place, found, allowed)
            return
        record.count += 1
        if found > record.largest:
            record.largest, record.place = found, place

    def control(self, changed: str, quantity: str, found: float, allowed: float, seen: bool) -> None:
        self.controls.append(Control(self.sides.test, changed, quantity, _number(found), allowed, seen))

    def plain(self) -> dict[str, list[dict[str, Any]]]:
        """As lists of dictionaries."""
        return {
            "comparisons": [asdict(record) for record in self.comparisons.values()],
            "controls": [asdict(record) for record in self.controls],
        }

    def add(self, plain: dict[str, list[dict[str, Any]]]) -> None:
        """Take up what another process recorded: its tests are others."""
        for values in plain["comparisons"]:
            record = Comparison(**values)
            self.comparisons[record.test, record.network, record.against, record.quantity] = record
        self.controls += [Control(**values) for values in plain["controls"]]


RECORDS = Records({}, [])
"""Of this process."""


def largest_by_quantity(comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """The comparison with the largest difference, by quantity."""
    largest: dict[str, Comparison] = {}
    for record in comparisons:
        if record.quantity not in largest or record.largest > largest[record.quantity].largest:
            largest[record.quantity] = record
    return largest


def _number(value: float) -> float:
    """NaN is the largest difference there is."""
    return math.inf if math.isnan(value) else float(value)
