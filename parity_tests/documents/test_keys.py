"""Tables of keys in the documents say what the code says, and the page on training lists the keys that decide a result."""

import re

import pytest

from parity_tests import ROOT
from parity_tests.documents import PAGES, TWINS
from parity_tests.documents.blocks import without_blocks
from segformer_core.config.keys import KEYS
from segformer_core.config.values import check_value, parse_flag

HEADERS = {("key", "default"), ("键", "默认值"), ("参数", "默认值")}
EMPTY = ("empty", "空")
"""How a table writes a default that is an empty text."""
GUIDES = ("docs/training.md", "docs/evaluating.md", "docs/segmenting.md", "docs/weights.md", "docs/exporting.md")
NAME = re.compile(r"`([a-z0-9_]+)`")


def keys_and_defaults(text: str) -> list[tuple[str, str]]:
    """The first two cells of each row below a header `| key | default |`."""
    pairs, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif tuple(cells[:2]) in HEADERS:
            inside = True
        elif inside and not re.fullmatch(r"[-: ]+", cells[0]):
            pairs.append((cells[0], cells[1]))
    return pairs


def faults(pairs: list[tuple[str, str]]) -> list[str]:
    wrong = []
    for shown, default in pairs:
        name = shown.strip("`")
        text = "" if default in EMPTY else default.strip("`")
        if shown != f"`{name}`" or name not in KEYS:
            wrong.append(f"{shown} is no key")
        elif check_value(name, parse_flag(name, text), "the document") != KEYS[name].default:
            wrong.append(f"{name}: {default}; the code has {KEYS[name].default!r}")
    return wrong


@pytest.mark.parametrize("page", [*PAGES, *(twin for twin in TWINS.values() if (ROOT / twin).is_file())])
def test_defaults_in_tables_are_those_of_the_code(page):
    assert not faults(keys_and_defaults(without_blocks(page)))


@pytest.mark.parametrize("page", GUIDES)
def test_a_guide_has_a_table_of_keys(page):
    assert keys_and_defaults(without_blocks(page))


def test_the_comparison_can_fail():
    right = ["| key | default | meaning |", "|---|---|---|", "| `lr` | `6e-5` | rate |", "| `report` | empty | folder |"]
    pairs = keys_and_defaults("\n".join(right))
    assert pairs == [("`lr`", "`6e-5`"), ("`report`", "empty")]
    assert not faults(pairs)
    for wrong in (("`lr`", "`1e-4`"), ("`learning_rate`", "`6e-5`"), ("lr", "`6e-5`"), ("`eval_scales`", "`[1.0,2.0]`")):
        assert len(faults([wrong])) == 1


def test_training_lists_the_keys_that_decide_a_result():
    section = without_blocks("docs/training.md").split("## What changes a result\n")[1].split("\n## ")[0]
    listed = [name for name in NAME.findall(section) if name in KEYS]
    assert sorted(listed) == sorted(name for name, item in KEYS.items() if item.metadata["decides"])
