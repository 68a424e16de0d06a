"""docs/security.md names a test for each promise: each named test exists, and each kind of file has its row."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TRUSTED = ("compile_cache",)
"""Files that are trusted, and therefore have no test."""


def test_every_named_test_exists():
    named = re.findall(r"`(parity_tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    missing = []
    for file, name in named:
        path = ROOT / file
        functions = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
        if name not in {item.name for item in functions if isinstance(item, ast.FunctionDef)}:
            missing.append(f"{file}::{name}")
    assert not missing


def test_every_kind_of_file_has_a_test_or_is_trusted():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| file")]
    assert len(rows) > 18
    untested = [row for row in rows if "parity_tests/" not in row]
    assert [row for row in untested if not any(name in row for name in TRUSTED)] == []


def test_every_container_and_format_is_named():
    from segformer_core.protocol.form import OF_SUFFIX
    from segformer_core.weights.containers import WRITTEN_SUFFIXES

    assert not [suffix for suffix in (*WRITTEN_SUFFIXES, *OF_SUFFIX) if f"`{suffix}`" not in PAGE]
