"""The process in which a Trial runs: its end, or that it does not answer in time, is a result; the next checks get a new one."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED, Outcome, attempt, tail
from segformer_core.device_check.trial import Trial
from segformer_core.device_check.workplace import Workplace
from segformer_core.protocol.launch import LAUNCHED_BY

LOG = "trial.log"
NO_DEVICE = "the device cannot be used"
LOOK_SECONDS, EXIT_SECONDS = 1.0, 5.0
"""How often it is asked whether the process lives, and how long it may take to end when it has nothing left to do."""

Run = Callable[[Connection, Workplace, Sequence[str]], None]


def tried(
    place: Workplace, checks: Sequence[str], seconds: Callable[[str], float], run: Run | None = None
) -> Iterator[tuple[str, Outcome]]:
    """(check, what became of it) one after the other; `seconds` is how long a check may take.

    The first check of all tells whether there is a device; where there is none, no other is run.
    """
    left = list(checks)
    while left:
        process = Started(place, left, run or run_checks)
        try:
            while left:
                outcome = process.answer(left[0], seconds(left[0]))
                name = left.pop(0)
                yield name, outcome
                if name == checks[0] and outcome["result"] != PASSED:
                    yield from ((other, {"result": NOT_RUN, "why": NO_DEVICE}) for other in left)
                    return
                if process.gone:
                    break
        finally:
            process.end()


class Started:
    """A process that runs checks, and its end of the pipe."""

    def __init__(self, place: Workplace, checks: Sequence[str], run: Run):
        spawn = multiprocessing.get_context("spawn")
        self.log, self.gone = place.folder / LOG, False
        self.connection, far_end = spawn.Pipe()
        self.process = spawn.Process(target=run, args=(far_end, place, tuple(checks)))
        self.process.start()
        far_end.close()  # so that the end of the process is noticed

    def answer(self, name: str, seconds: float) -> Outcome:
        since = time.perf_counter()
        outcome = self._answer(name, seconds)
        return {"seconds": round(time.perf_counter() - since, 3)} | outcome

    def _answer(self, name: str, seconds: float) -> Outcome:
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and self.process.is_alive():  # what it has started may hold the pipe open
                if self.connection.poll(min(LOOK_SECONDS, seconds)):
                    break
            if self.connection.poll():
                outcome: Outcome = self.connection.recv()
                return outcome
            if self.process.is_alive():
                return self.lost(f"{name} was ended after {seconds:g} s, its time limit")
            return self._ended()
        except (EOFError, OSError):
            return self._ended()
        except BaseException:  # somebody wants to stop
            self.gone = True
            raise

    def _ended(self) -> Outcome:
        self.process.join(EXIT_SECONDS)
        code = self.process.exitcode
        return self.lost(
            "the process answers no more and does not end" if code is None else f"the process ended with code {code}"
        )

    def lost(self, why: str) -> Outcome:
        self.gone = True
        said = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return {"result": FAILED, "why": why} | ({"output": tail(said)} if said.strip() else {})

    def end(self) -> None:
        """However it is: it may hang in the device's driver. What it has started ends with it."""
        self.connection.close()
        if self.process.is_alive() and not self.gone:
            self.process.join(EXIT_SECONDS)  # it has nothing left to do
        assert self.process.pid
        with suppress(ProcessLookupError):  # nobody is left, or it has not made its group yet
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()


def run_checks(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    """The process: sends what became of each check."""
    enter(place.folder)
    trial = Trial(place.connector, place.backend, place.target)
    for name in checks:
        connection.send(attempt(getattr(trial, name)))


def enter(folder: Path) -> None:
    """Leave the user's folder, group and terminal: Ctrl-C is for the process that writes the report."""
    os.setsid()
    os.chdir(folder)  # MindSpore and CANN write into the working folder
    os.environ["TMPDIR"] = str(folder)  # PyTorch into the one for temporary files
    for name in LAUNCHED_BY:
        os.environ.pop(name, None)
    sys.stdout.flush()
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
