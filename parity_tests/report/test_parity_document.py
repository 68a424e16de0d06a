"""docs/parity.md: its generated part is a whole report that passed, with the tolerances of today."""

import re

import pytest

from parity_tests import ROOT
from parity_tests.report.documents import parts
from parity_tests.report.ladder import LADDER
from parity_tests.report.page import number
from parity_tests.report.published import published
from parity_tests.tolerances import TOLERANCES

PATH = ROOT / "docs/parity.md"
WITHOUT_CONTROL = ("weights after twenty steps", "running mean after ten steps")
"""The losses of the same steps have one."""


@pytest.fixture(scope="module")
def generated() -> str:
    return parts(PATH.read_text(encoding="utf-8"), PATH)[1]


def rows(generated: str, title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = generated.partition(f"### {title}\n")[2].partition("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines]
    assert len({len(line) for line in [cells[0], *cells[2:]]}) == 1, f"{title}: the rows differ in length"
    assert re.fullmatch(r"(\|---)+\|", lines[1]) and lines[1].count("---") == len(cells[0])
    return cells[2:]


def test_the_run_passed(generated):
    assert "Verdict of this run: **passed**." in generated and "Failed:" not in generated and "Not run:" not in generated
    assert re.search(r"Tests: [\d,]+ passed, 0 failed,", generated)
    where = dict(rows(generated, "Where it ran"))
    assert re.fullmatch(r"[0-9a-f]{40}", where["commit"]), "generated from a checkout without changes"
    assert {"devices", "processor", "cores", "versions"} <= where.keys()


def test_tolerances_are_those_of_the_tests(generated):
    shown = {name: (cpu, ascend, reason) for name, cpu, ascend, reason in rows(generated, "Tolerances")}
    assert shown == {name: (number(row.cpu), number(row.ascend), row.reason) for name, row in TOLERANCES.items()}


def test_every_tolerance_was_compared_in_both_modes(generated):
    found = rows(generated, "Largest differences")
    assert {row[1] for row in found} == set(TOLERANCES)
    assert {(row[1], row[5]) for row in found} == {(name, number(tolerance.cpu)) for name, tolerance in TOLERANCES.items()}
    for rung, quantity in ((1, "leaf"), (2, "features"), (2, "logits"), (3, "gradients"), (4, "losses of twenty steps")):
        modes = {row[2] for row in found if row[:2] == [str(rung), quantity]}
        assert {"MindSpore, graph mode", "MindSpore, pynative mode"} <= modes, quantity
    assert all(float(row[4]) <= float(row[5]) for row in found)


def test_every_rung_is_there_with_a_control(generated):
    assert [row[0] for row in rows(generated, "Rungs")] == [str(rung.number) for rung in LADDER]
    controls = rows(generated, "Negative controls")
    assert {row[4] for row in controls} == {"yes"} and all(float(row[2]) > float(row[3]) for row in controls)
    exact = {"names and shapes", "pixels", "arrays of a file"}
    assert {row[1] for row in controls} == (set(TOLERANCES) - set(WITHOUT_CONTROL)) | exact


def test_published_networks_are_checked_or_said_not_to_be(generated):
    section = generated.partition("### Published weights\n")[2]
    for row in published():
        assert re.search(rf"^(?:\| |- ){row.model}\b", section, re.MULTILINE), row.model
