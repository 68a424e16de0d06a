"""Writes the report: JSON for programs, a page for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parity_tests.report.page import page
from segformer_core.files import write_text

DATA, PAGE = "report.json", "index.html"


def write(report: Mapping[str, Any], folder: Path) -> None:
    """Replace both files in `folder`, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / DATA, text + "\n")
    write_text(folder / PAGE, page(report))


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / DATA).read_text(encoding="utf-8"))


def is_report(folder: Path) -> bool:
    """Whether the folder holds a report of ours."""
    try:
        return "format" in read(folder)
    except (OSError, ValueError, TypeError):
        return False
