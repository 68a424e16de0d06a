"""Which MindSpore fits which CANN, driver and Python, as docs/ascend.md shows it, and what of it an installation has.

A version is compared by the parts that the table states: "8.5" fits 8.5.0 and 8.5.0.1. CANN's files are taken to number
its candidates from 0: what its documents call 8.3.RC1 would call itself 8.3.0.1 there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.device_check.outcome import Doubt, NotRun

WHEEL = "its wheel's mindspore/run_check/_check_version.py"
TRANSFORMERS = "https://www.mindspore.cn/mindformers/docs/en/r1.9.0/installation.html"
FAQ = "https://mindspore.cn/docs/en/master/faq/installation.html"
COMPILER, DRIVER = "/compiler/version.info", "/driver/version.info"
"""How the name of the file ends that states the version of CANN, and that of the driver."""


@dataclass(frozen=True)
class Fit:
    """A row of the table. An empty `cann` or `driver`: nothing is stated; `cann_before`: any that is older fits, too."""

    mindspore: str
    cann: tuple[str, ...]
    driver: tuple[str, ...]
    python: tuple[str, ...]
    sources: tuple[str, ...]
    cann_before: str = ""


FITS = (
    Fit("2.10.0", ("8.2", "8.3", "8.5", "9.0", "9.1"), (), ("3.10", "3.11", "3.12"), (WHEEL,)),
    Fit("2.9.0", ("9.0.0",), ("26.0.RC1",), ("3.10", "3.11", "3.12"), (TRANSFORMERS,)),
    Fit("2.8.0", (), (), ("3.10", "3.11", "3.12"), (FAQ,), cann_before="8.5.0"),
    Fit("2.7.2", ("8.5.0",), ("25.5.0",), ("3.10", "3.11", "3.12"), (FAQ, TRANSFORMERS)),
    Fit("2.7.1", ("8.3.RC1",), ("25.3.RC1",), ("3.10", "3.11"), (TRANSFORMERS,)),
    Fit("2.7.0", ("8.2.RC1",), ("25.2.0",), ("3.10", "3.11"), (TRANSFORMERS,)),
)
"""Read in November 2026."""


def check(installed: Mapping[str, str | None], files: Mapping[str, str], home: str | None) -> dict[str, Any]:
    """What was found and what the table has. Raises Doubt where they do not fit, and NotRun where nothing can be compared.

    installed   package, and python -> its version
    files       path of a version.info -> the version that it states
    home        the folder of the CANN that is in use, as ASCEND_HOME_PATH names it; None: every one that is found counts
    """
    mindspore = installed.get("mindspore")
    if not mindspore:
        raise NotRun("MindSpore is not installed")
    cann = [version for path, version in files.items() if path.endswith(COMPILER)]
    if home and (in_use := f"{Path(home)}{COMPILER}") in files:
        cann = [files[in_use]]
    drivers = [version for path, version in files.items() if path.endswith(DRIVER)]
    if not cann and not drivers:
        raise NotRun("no file of CANN or of the driver was found")
    found = {"mindspore": mindspore, "cann": cann, "driver": drivers, "python": installed.get("python")}
    fit = next((fit for fit in FITS if begins(mindspore, fit.mindspore)), None)
    if fit is None:
        known = ", ".join(fit.mindspore for fit in FITS)
        raise Doubt(
            f"MindSpore {mindspore} is not in the table, which has {known}", {"found": found, "verdict": "not in the table"}
        )
    table = {"cann": fit.cann, "driver": fit.driver, "python": fit.python, "sources": fit.sources}
    if fit.cann_before:
        table["cann"] = (f"before {fit.cann_before}",)
    figures = {"found": found, "table": {key: list(value) for key, value in table.items()}}
    unfit, unknown = _compared(fit, cann, drivers, str(installed.get("python")))
    if unfit or unknown:
        why = "; ".join([*(f"MindSpore {fit.mindspore} {sentence}" for sentence in unfit), *unknown])
        raise Doubt(why, figures | {"verdict": "does not fit" if unfit else "not in the table"})
    return figures | {"verdict": "fits"}


def _compared(fit: Fit, cann: Sequence[str], drivers: Sequence[str], python: str) -> tuple[list[str], list[str]]:
    """What does not fit, and what the table does not know."""
    unfit, unknown = [], []
    if not cann:
        unknown.append("no file of CANN was found")
    for name, versions, stated, fits in (
        ("CANN", cann, fit.cann, cann_begins),
        ("the driver", drivers, fit.driver, begins),
        ("Python", [python], fit.python, begins),
    ):
        for version in versions:
            if stated and not any(fits(version, each) for each in stated):
                unfit.append(f"needs {name} {_listed(stated)}, found {version}")
    if fit.cann_before:
        unknown += [
            f"CANN {version} is not in the table for MindSpore {fit.mindspore}, which knows of those before {fit.cann_before}"
            for version in cann
            if not older(version, fit.cann_before)
        ]
    return unfit, unknown


def begins(version: str, stated: str) -> bool:
    """Whether the version has the parts that are stated, as 8.5.0.1 has those of 8.5."""
    parts, wanted = version.split("."), stated.split(".")
    return parts[: len(wanted)] == wanted


def cann_begins(version: str, stated: str) -> bool:
    """The same for CANN, whose 8.3.RC1 may be 8.3.0.1."""
    return begins(version, stated) or begins(version, re.sub(r"RC(\d+)", r"0.\1", stated))


def older(version: str, than: str) -> bool:
    """By the parts that are numbers: 8.3.RC1 is older than 8.5.0, and 8.5.0 is not."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]


def _listed(stated: Sequence[str]) -> str:
    return " or ".join(stated)
