"""Runs the ladder and writes the report: `python -m parity_tests.report`, which `make parity-report` starts.

Exit code 1 if a difference is beyond its tolerance, a negative control was not seen, or a test failed; else 0.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.report.documents import update
from parity_tests.report.ladder import LADDER, OF_SPEED, PEERS, PUBLISHED
from parity_tests.report.plugin import OPTION
from parity_tests.report.summary import FAILED
from parity_tests.report.writing import DATA, PAGE, is_report, read

TESTS = tuple(ROOT / "parity_tests" / test for test in (*(test for rung in LADDER for test in rung.tests), PEERS, PUBLISHED))


def main(words: Sequence[str], tests: Sequence[Path] = TESTS) -> int:
    parser = argparse.ArgumentParser(prog="python -m parity_tests.report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("parity_report"), help=f"folder of {PAGE} and {DATA}")
    parser.add_argument("--document", type=Path, help="a Markdown file whose generated part is replaced, docs/parity.md")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), help="how many run tests")
    options = parser.parse_args(words)
    if (options.output / PAGE).exists() and not is_report(options.output):
        parser.error(f"{options.output} holds another {PAGE}; name a folder of its own with --output")
    for name in (DATA, PAGE):  # a run that dies leaves no report of an earlier one
        (options.output / name).unlink(missing_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("SEGFORMER_TESTS", "full")  # no rung leaves its long tests out
    spread = ["-n", str(options.processes), "--dist", "worksteal"] if options.processes > 1 else []
    without = [word for test in OF_SPEED for word in ("--deselect", f"parity_tests/{test}")]
    place = ["--rootdir", str(ROOT), "--config-file", str(ROOT / "pyproject.toml")]
    code = pytest.main([*map(str, tests), *spread, "-q", *without, *place, OPTION, str(options.output)])
    if not is_report(options.output):
        print(f"no report was written: pytest ended with exit code {int(code)}", file=sys.stderr)
        return 1
    report = read(options.output)
    if options.document:
        update(options.document, report)
    return 1 if code or report["verdict"] == FAILED else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
