"""How a check ends: passed, failed, with a warning, or not run; why, its seconds and its figures."""

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from segformer_core.errors import BackendError, one_line

PASSED, FAILED, WARNING, NOT_RUN = "passed", "failed", "warning", "not run"
LONGEST = 300
"""Characters of a sentence in the report."""
LONGEST_TAIL = 4000
"""Characters of the end of a program's output, or of a traceback, in the report."""

Outcome = dict[str, Any]
"""`result`, `why` if it is not PASSED, `seconds`, `output` (the end of it) of what failed, and the check's figures."""


class NotRun(Exception):
    """Why a check makes no sense here."""


class Wrong(Exception):
    """What a check has found; `output` is what a program said, `figures` are those that it has all the same."""

    def __init__(self, why: str, output: str = "", figures: Mapping[str, Any] | None = None):
        super().__init__(why)
        self.output, self.figures = output, figures or {}


class Doubt(Exception):
    """What a check warns of: nothing has failed yet. `figures` are what it found."""

    def __init__(self, why: str, figures: Mapping[str, Any]):
        super().__init__(why)
        self.figures = figures


def expect(right: bool | np.bool_, otherwise: str) -> None:
    if not right:
        raise Wrong(otherwise)


def attempt(check: Callable[[], dict[str, Any]]) -> Outcome:
    """What became of the check, which returns its figures or raises."""
    start = time.perf_counter()
    outcome = _attempt(check)
    return outcome | {"seconds": round(time.perf_counter() - start, 3)}


def _attempt(check: Callable[[], dict[str, Any]]) -> Outcome:
    try:
        return {"result": PASSED, **check()}
    except (NotRun, BackendError) as reason:
        return {"result": NOT_RUN, "why": str(reason)}
    except Doubt as doubt:
        return {"result": WARNING, "why": str(doubt), **doubt.figures}
    except Wrong as error:
        return {"result": FAILED, "why": str(error), **error.figures, **({"output": tail(error.output)} if error.output else {})}
    except Exception as error:  # whatever a framework says is a result
        why = f"{type(error).__name__}: {one_line(error)}"[:LONGEST]
        return {"result": FAILED, "why": why, "output": tail(traceback.format_exc())}


def tail(text: str) -> str:
    """The end of it."""
    return text.strip()[-LONGEST_TAIL:]
