"""Whether the project is still ahead: three small contests, each with the least ratio that it must reach.

`python -m parity_tests.speed_check` prints the ratios, and fails if one is too small. The contestants take turns, so a ratio
holds better than seconds. But it needs a quiet machine: backend_torch's cores wait for each other after each of many small
products, so it loses more than others where cores are taken away. Therefore it is no part of the tests.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segformer_core.commands.benchmark import race
from segformer_core.commands.contestants import FORWARD, INFERENCE, TRAINING, Setting

ROUNDS = 9
SETTING = Setting("b0", (256, 512), 1, "fp32", "CPU")


@dataclass(frozen=True)
class Contest:
    """`other`'s time is to be `least` times `ours`, or more."""

    task: str
    ours: str
    other: str
    least: float

    def __str__(self) -> str:
        return f"{self.task}: {self.other} / {self.ours}"


CONTESTS = (
    Contest(INFERENCE, "torch", "transformers", 2.4),
    Contest(TRAINING, "torch", "transformers", 1.6),
    Contest(FORWARD, "onnx", "transformers-onnx", 1.6),
)
"""At 512×1024 an AMD EPYC with two quiet cores gave 7 to 8.5, 3.6 and 2.2: docs/speed.md."""


def ratio(contest: Contest, rows: list[dict[str, Any]]) -> float:
    """Of the medians."""
    medians: Mapping[str, float] = {row["contestant"]: row["median"] for row in rows}
    return medians[contest.other] / medians[contest.ours]


def main() -> int:
    """The exit code: 1 if a contest is lost."""
    lost = False
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}; above 0.5 the ratios say little", flush=True)
    for contest in CONTESTS:
        found = ratio(contest, race(contest.task, (contest.ours, contest.other), SETTING, ROUNDS))
        verdict = "" if found >= contest.least else "  TOO SLOW"
        lost = lost or bool(verdict)
        print(f"{contest}: {found:.2f}, at least {contest.least}{verdict}", flush=True)
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
