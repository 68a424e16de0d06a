"""index.html: the report as one page that needs no network and no other file.

The Jinja template page.html shows the JSON; the style is that of every page of ours with page.css after it.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from parity_tests.report.summary import FAILED, INCOMPLETE, PASSED
from segformer_core.pages import COLOURS

HEADINGS = {
    PASSED: "Every difference is within its tolerance",
    FAILED: "Not everything passed",
    INCOMPLETE: "What was run passed, and not everything was run",
}
STYLES = (("segformer_core.pages", COLOURS), ("segformer_core.pages", "common.css"), ("parity_tests.report", "page.css"))


def page(report: Mapping[str, Any]) -> str:
    """The page as HTML. The report is also embedded as JSON in the element `#report`."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"number": number, "share": share}
    return environment.from_string(_file("parity_tests.report", "page.html")).render(
        style=Markup("".join(_file(*style) for style in STYLES)),
        json=Markup(json.dumps(report, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")),
        report=report,
        heading=HEADINGS[report["verdict"]],
        controls=[control for rung in report["rungs"] for control in rung["controls"]],
        comparisons=sum(row["count"] for rung in report["rungs"] for row in rung["comparisons"]),
    )


def number(value: float | None) -> str:
    """A difference with two digits, such as 2.5e-6; exactly 0 is 0, None is what was not finite."""
    if value is None:
        return "not finite"
    if value == 0:
        return "0"
    if 1e-2 <= value < 1e4:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def share(value: float | None, allowed: float) -> str:
    """How much of the tolerance a difference takes, as a CSS percentage up to 100%."""
    return "100%" if value is None else f"{100 * min(value / allowed, 1.0):.1f}%"


def _file(package: str, name: str) -> str:
    return Path(str(files(package).joinpath(name))).read_text(encoding="utf-8")
