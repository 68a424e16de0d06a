"""The parity ladder on the device, in a process of its own: counts, and the largest differences that it prints."""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segformer_core.device_check.outcome import LONGEST, Doubt, NotRun, Wrong, expect
from segformer_core.device_check.workplace import ROOT, Workplace, need_checkout
from segformer_core.errors import one_line

RUNGS = tuple(f"parity_tests/test_{name}.py" for name in ("rung1_leaves", "rung2_forward", "rung3_gradients", "rung4_training"))
SECONDS = 3 * 3600.0
FEW_TESTS = (RUNGS[0], "-k", "linear or layer_norm")
"""What of the ladder a dry run runs."""
PARITY = re.compile(r"^parity: (.+?) +largest (\S+), allowed (\S+)$", re.MULTILINE)


def ladder(place: Workplace) -> dict[str, Any]:
    """Counts of tests, the largest difference of each quantity, and what failed and was skipped."""
    need_checkout(*RUNGS)
    for package in ("pytest", "pytest_timeout"):
        if find_spec(package) is None:
            raise NotRun(f"{package} is not installed, which the ladder needs")
    files = [ROOT / FEW_TESTS[0], *FEW_TESTS[1:]] if place.dry_run else [ROOT / rung for rung in RUNGS]
    options = ["-rs", "-p", "no:cacheprovider", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "--junitxml=tests.xml"]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), place.variables.get("PYTHONPATH"))))}
    variables["SEGFORMER_DEVICE"] = place.device.partition(":")[0].upper() if place.backend == "torch" else place.device
    wrong = None
    try:
        said = place.run("ladder", [sys.executable, "-m", "pytest", *options, *files], SECONDS, **variables)
    except Wrong as error:
        wrong, said = error, error.output
    results = place.folder / "ladder/tests.xml"
    if not results.is_file():
        raise wrong or Wrong("pytest wrote no results", said)
    figures: dict[str, Any] = tests_of(results) | {"largest": differences(said)}
    if place.dry_run:
        figures["note"] = f"a dry run runs {' '.join(FEW_TESTS)} alone"
    if figures["failed"]:
        raise Wrong(f"{figures['failed']} of {figures['tests']} tests failed", said, figures)
    if wrong:
        raise Wrong(str(wrong), said, figures)
    expect(figures["passed"] > 0, "no test was run")
    if find_spec("torch") is None:
        raise Doubt(f"PyTorch is not installed: {figures['skipped']} of {figures['tests']} tests were not run", figures)
    return figures


def tests_of(file: Path) -> dict[str, Any]:
    """What pytest's JUnit file says: counts, and the first line of each failure and of each reason to skip."""
    failures: dict[str, str] = {}
    skips: dict[str, int] = {}
    count = 0
    for case in ElementTree.parse(file).iter("testcase"):
        count += 1
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        for child in case:
            said = one_line((child.get("message") or "").partition("\n")[0])[:LONGEST]
            if child.tag in ("failure", "error"):
                failures[name] = said
            elif child.tag == "skipped":
                skips[said] = skips.get(said, 0) + 1
    skipped = sum(skips.values())
    counts = {"tests": count, "passed": count - len(failures) - skipped, "failed": len(failures), "skipped": skipped}
    return counts | {"failures": failures, "skips": skips}


def differences(said: str) -> dict[str, list[float]]:
    """Quantity -> [largest difference, allowed], as the ladder prints them at its end."""
    return {name: [float(largest), float(allowed)] for name, largest, allowed in PARITY.findall(said)}
