"""Where the programs of a check run: in a folder of their own, which is removed, as a group of their own, for a limited time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segformer_core.device_check.outcome import LONGEST, NotRun, Wrong
from segformer_core.protocol.launch import LAUNCHED_BY
from segformer_core.protocol.learner import Connect

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, if there is one."""
LEAVING_SECONDS = 60
"""How long a program may take to end after SIGTERM: a launcher first ends the processes that it has started."""


@dataclass(frozen=True)
class Workplace:
    """A backend and a device to try, and a temporary folder.

    `connector` gives a backend's `connect`; `device` is the one that was found, such as CPU, Ascend or cuda:0.
    """

    backend: str
    target: str
    dry_run: bool
    folder: Path
    connector: Callable[[str], Connect]
    variables: Mapping[str, str] = field(default_factory=dict)
    device: str = ""

    @property
    def on_cpu(self) -> bool:
        return self.device.lower() == "cpu"

    def run(self, name: str, words: Sequence[object], limit: float, **variables: str) -> str:
        """What the program says, which runs in the folder NAME. Raises Wrong if it fails or takes longer than `limit` seconds."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        log = place / "output.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(word) for word in words],
                cwd=place,
                env=alone(self.variables) | {"TMPDIR": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"} | variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                end(process)
        said = log.read_text(encoding="utf-8", errors="replace")
        if code is None:
            raise Wrong(f"{name} was ended after {limit:g} s, its time limit", said)
        if code:
            raise Wrong(f"{name} ended with exit code {code}: {last_line(said)}", said)
        return said

    def train(self, name: str, keys: Mapping[str, object], limit: float) -> str:
        """`run` of the backend's command train."""
        return self.run(name, [sys.executable, "-m", f"backend_{self.backend}.train", *flags(keys)], limit)


def flags(keys: Mapping[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in keys.items()]


def alone(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without those by which a launcher makes a process one of several."""
    return {name: value for name, value in variables.items() if name not in LAUNCHED_BY}


def last_line(said: str) -> str:
    """The one that says most: an error of ours, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("exit code ")]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it said nothing"])[-1][:LONGEST]


def end(process: subprocess.Popen[bytes]) -> None:
    """End the group of a program that may still run: first asked, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None and number == signal.SIGTERM:
            continue
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + LEAVING_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)


def need_checkout(*names: str) -> None:
    """Raises NotRun unless the checkout has these files and folders."""
    missing = [name for name in names if not (ROOT / name).exists()]
    if missing:
        raise NotRun(f"{', '.join(missing)} is not there: this is no checkout of the project")
