"""A page and its Chinese twin have the same headings, blocks, tables, figures, links and pictures; only the words differ."""

import re
from calendar import month_name
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.documents import TWINS
from parity_tests.documents.blocks import blocks, page_text, without_blocks
from parity_tests.documents.links import LINK

CODE = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MONTH = re.compile(rf"\b({'|'.join(month_name[1:])})(?= \d{{4}}\b)")
"""Of a date, which Chinese writes in figures: 27 November 2026 is 2026 年 11 月 27 日."""
PAIRS = [pair for pair in TWINS.items() if all((ROOT / page).is_file() for page in pair)]
README_LINES = 120


def english(target: str) -> str:
    """The English page that a link leads to, whichever language it names; anchors differ between languages."""
    return target.partition("#")[0].replace("_CN.md", ".md") or "#"


def rows(page: str) -> list[list[str]]:
    """The cells of every table, row by row."""
    lines = [line for line in without_blocks(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


def facts(cell: str) -> tuple[list[str], list[str]]:
    """What a cell says in any language: its code, and its numbers outside of code."""
    outside = MONTH.sub(lambda found: str([*month_name].index(found[1])), LINK.sub("", CODE.sub("", cell)))
    return sorted(CODE.findall(cell)), sorted(NUMBER.findall(outside))


@pytest.mark.parametrize(("page", "twin"), PAIRS)
class TestTwins:
    def test_headings_have_the_same_levels(self, page, twin):
        levels = [re.findall(r"^(#+) ", without_blocks(name), re.MULTILINE) for name in (page, twin)]
        assert levels[0] == levels[1]

    def test_blocks_are_equal(self, page, twin):
        both = [[(block.language, block.mark.partition(":")[0], block.text) for block in blocks(name)] for name in (page, twin)]
        assert both[0] == both[1]

    def test_tables_state_the_same_facts(self, page, twin):
        ours, theirs = rows(page), rows(twin)
        assert [len(row) for row in ours] == [len(row) for row in theirs]
        differing = [
            (row, other)
            for row, other in zip(ours, theirs, strict=True)
            if [facts(cell) for cell in row] != [facts(cell) for cell in other]
        ]
        assert not differing

    def test_the_text_states_the_same_code_and_figures(self, page, twin):
        ours, theirs = (facts(re.sub(r"^\|.*", "", without_blocks(name), flags=re.MULTILINE)) for name in (page, twin))
        assert ours == theirs

    def test_links_and_pictures_are_the_same(self, page, twin):
        ours, theirs = (
            sorted((kind, english(target)) for kind, _, target in LINK.findall(page_text(name))) for name in (page, twin)
        )
        assert ours == theirs

    def test_each_names_the_other(self, page, twin):
        assert f"({Path(twin).name})" in page_text(page)
        assert f"({Path(page).name})" in page_text(twin)


@pytest.mark.parametrize("page", ["README.md", "README_CN.md"])
def test_readme_is_short(page):
    assert page_text(page).count("\n") <= README_LINES


@pytest.mark.parametrize("page", TWINS)
def test_every_twin_is_there(page):
    assert (ROOT / TWINS[page]).is_file()
