"""docs/security.md and docs/robustness.md name a test for each promise: it exists, and no kind of file is without one."""

import ast
import re

import pytest

from parity_tests import ROOT
from segformer_core.protocol.form import OF_SUFFIX
from segformer_core.weights.containers import WRITTEN_SUFFIXES

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("security", "robustness")}
TRUSTED = ("compile_cache",)
"""Files that are trusted, and therefore have no test."""


def rows(page: str) -> list[str]:
    """The lines of a page's tables whose last column names tests, without their heads."""
    tables = re.findall(r"^\|[^\n]*\| test \|\n\|[-|]*\n((?:\|[^\n]*\n)+)", PAGES[page], re.MULTILINE)
    return [line for table in tables for line in table.splitlines()]


def names_in(file: str) -> set[str]:
    """The names of the tests in a file below parity_tests; none if it does not exist."""
    path = ROOT / "parity_tests" / file
    body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    return {item.name for item in body if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")}


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page):
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", "\n".join(row.split(" | ")[-1] for row in rows(page)))
    assert len(named) > 20
    missing = [f"{file}::{name}" for file, name in named if not names_in(file) or (name and name not in names_in(file))]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_row_has_a_test_or_is_trusted(page):
    untested = [row for row in rows(page) if ".py" not in row.split(" | ")[-1] and ".github/workflows/" not in row]
    assert [row for row in untested if not any(name in row for name in TRUSTED)] == []


def test_every_container_and_format_is_named():
    assert not [suffix for suffix in (*WRITTEN_SUFFIXES, *OF_SUFFIX) if f"`{suffix}`" not in PAGES["security"]]
