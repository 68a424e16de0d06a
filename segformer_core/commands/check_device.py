"""Try a device, and write what was found into one JSON file and a page, to send with a question: `segformer check_device`.

They hold versions, the parts of CANN and the driver that are found by their files, the environment variables that matter
(ASCEND_*, MS_*, DEVICE_ID, RANK_TABLE_FILE, ONEDNN_MAX_CPU_ISA; no others), and the outcome of each check: of one that failed
the end of what it printed, too. Both are written after every check, so that what was found stays if the machine goes down.
Programs work in a temporary folder, which is removed.

`make check-ascend` is --device_target Ascend --checks all: besides the quick checks an epoch on the sample city, two cards by
msrun and by a rank table, and the parity ladder, which may take hours. On a machine without an Ascend it writes the report, says
so, and exits with 2. With --dry_run everything runs on the CPU, in a short form, and the report says that this is no word about
an Ascend. Exit code 1: a check failed.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segformer_core.commands import training_process
from segformer_core.commands.arguments import new_parser, path_argument
from segformer_core.commands.machine import ascend, environment, hardware, versions
from segformer_core.commands.opening import BACKENDS, connector
from segformer_core.config.keys import KEYS
from segformer_core.device_check import ascend_versions
from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED, Outcome, attempt
from segformer_core.device_check.page import MARK, WHAT, page
from segformer_core.device_check.process import tried
from segformer_core.device_check.programs import PROGRAMS
from segformer_core.device_check.trial import CHECKS
from segformer_core.device_check.workplace import Workplace
from segformer_core.errors import UserError, one_line
from segformer_core.files import write_text
from segformer_core.interrupt import Stopped

VERSIONS, DEVICE = "versions", CHECKS[0]
QUICK, ALL = (VERSIONS, *CHECKS), (VERSIONS, *CHECKS, *PROGRAMS)
CHOICES = {"quick": QUICK, "all": ALL}
HOME = "ASCEND_HOME_PATH"
COMMAND = '"command": "check_device"'
"""What every report has."""
SECONDS = 1800.0
"""How long a quick check may take: on a card the first ones wait for CANN to compile."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    page_file = _page_file(options.output)
    report: dict[str, Any] = {"command": "check_device", "backend": options.backend, "device_target": options.device_target}
    report |= {"started": datetime.now(timezone.utc).isoformat(timespec="seconds"), "dry_run": options.dry_run}
    report |= {"versions": versions(), "machine": hardware(), "ascend": ascend(home=os.environ.get(HOME))}
    report |= {"environment": environment(os.environ), "checks": {}}
    checks: dict[str, Outcome] = report["checks"]

    def write() -> None:
        write_text(options.output, json.dumps(report, indent=1) + "\n")
        write_text(page_file, page(report))

    write()
    with TemporaryDirectory(prefix="segformer_check_", ignore_cleanup_errors=True) as folder:
        variables = training_process.environment(sys.executable)
        target = "CPU" if options.dry_run else options.device_target
        place = Workplace(options.backend, target, options.dry_run, Path(folder), connector, variables)
        try:
            for name, outcome in outcomes(place, options.checks, report):
                checks[name] = outcome
                write()
                said = outcome.get("why") or outcome.get("device")
                print(f"{name:<20}{outcome['result']}{f': {said}' if said else ''}", flush=True)
        except Stopped as stopped:
            why = {"result": NOT_RUN, "why": f"stopped by {stopped}"}
            checks |= {name: why for name in options.checks if name not in checks}
            write()
            raise
    print(
        f"wrote {options.output} and {page_file}" + "; a dry run on the CPU says nothing about another device" * options.dry_run
    )
    if (device := checks[DEVICE])["result"] == NOT_RUN:
        raise UserError(f"no check was run: {device['why']}; {options.output} says so, too; --dry_run tries the CPU")
    return int(any(check["result"] == FAILED for check in checks.values()))


def outcomes(place: Workplace, checks: Sequence[str], report: dict[str, Any]) -> Iterator[tuple[str, Outcome]]:
    """(check, what became of it) in the order of ALL, each as soon as it is known."""
    if VERSIONS in checks:
        installed, files = report["versions"], report["ascend"]["versions"]
        yield VERSIONS, attempt(lambda: ascend_versions.check(installed, files, os.environ.get(HOME)))
    found: Outcome = {}
    for name, outcome in tried(place, [name for name in CHECKS if name in checks], lambda _: SECONDS):
        found = outcome if name == DEVICE else found
        yield name, outcome
    opened = replace(place, device=found.get("device", ""))
    for name in [name for name in PROGRAMS if name in checks]:
        usable = found["result"] == PASSED
        yield (
            name,
            attempt(partial(PROGRAMS[name], opened)) if usable else {"result": NOT_RUN, "why": "the device cannot be used"},
        )


def _page_file(output: Path) -> Path:
    """Beside the JSON file. Raises UserError rather than replace a file of somebody else's."""
    file = output.with_suffix(".html")
    if file == output:
        raise UserError(f"--output {output} is the JSON file, and the page beside it is the .html; give it another ending")
    for path, mark in ((output, COMMAND), (file, MARK)):
        try:
            foreign = path.exists() and mark not in path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{path} cannot be replaced: {one_line(error)}; name another --output") from error
        if foreign:
            raise UserError(f"{path} is there and was not made by check_device; name another --output")
    return file


def _checks(text: str) -> tuple[str, ...]:
    """`quick`, `all` or names with commas between them; the device is always tried."""
    names = CHOICES.get(text) or tuple(text.split(","))
    if unknown := [name for name in names if name not in ALL]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no check; expected quick, all or some of {','.join(WHAT)}")
    return tuple(name for name in ALL if name in names or name == DEVICE)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("check_device", __doc__)
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0])
    parser.add_argument("--device_target", choices=KEYS["device_target"].metadata["choices"], default="auto")
    parser.add_argument("--dry_run", action="store_true", help="run the checks on the CPU, whatever device is asked for")
    parser.add_argument(
        "--checks", type=_checks, default=QUICK, metavar="NAMES", help=f"quick (the default), all, or some of {','.join(ALL)}"
    )
    parser.add_argument(
        "--output", type=path_argument, default=Path("check_device.json"), help="the report (default %(default)s)"
    )
    return parser
