"""Several runs of one training beside each other: how far apart their losses are, and one picture of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, cycle
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from segformer_core.files import atomic_write
from segformer_core.training.metrics import METRICS, read_metrics

LOSSES = "losses.png"
FIRST_STEPS = 20
"""Rounding alone parts the curves at first; later each goes its own way, as two devices' runs do."""
SMOOTHED_PARTS = 50
"""A smoothed curve is the mean over one of so many parts of the run."""
STYLES = ("-", "--", ":")
"""Of lines that lie upon each other."""


@dataclass(frozen=True)
class Curves:
    """What one run measured: losses and mIoUs by step, and the seconds that a step took."""

    loss: Mapping[int, float]
    miou: Mapping[int, float]
    step_seconds: float | None

    @classmethod
    def of(cls, folder: Path) -> "Curves":
        """From the run's folder."""
        entries = read_metrics(folder / METRICS).entries
        loss, miou, seconds = (
            {entry["step"]: entry[key] for entry in entries if entry.get(key) is not None}
            for key in ("loss", "miou", "step_seconds")
        )
        return cls(loss, miou, median(seconds.values()) if seconds else None)

    @property
    def last_loss(self) -> float | None:
        return self.loss[max(self.loss)] if self.loss else None

    @property
    def last_miou(self) -> float | None:
        return self.miou[max(self.miou)] if self.miou else None

    @property
    def best_miou(self) -> float | None:
        return max(self.miou.values(), default=None)


@dataclass(frozen=True)
class Apart:
    """Absolute differences of two runs' losses, at the steps of both: the largest and the mean; None where there is no step."""

    pair: tuple[str, str]
    steps: int
    first_largest: float | None
    first_mean: float | None
    largest: float
    mean: float


def compared(runs: Mapping[str, Curves]) -> list[Apart]:
    """Every pair of the runs that have steps in common."""
    pairs = []
    for one, other in combinations(runs, 2):
        apart = differences(runs[one], runs[other])
        if apart:
            first = [value for step, value in apart.items() if step <= FIRST_STEPS]
            every = list(apart.values())
            largest, mean = (max(first), fmean(first)) if first else (None, None)
            pairs.append(Apart((one, other), len(every), largest, mean, max(every), fmean(every)))
    return pairs


def differences(one: Curves, other: Curves) -> dict[int, float]:
    """Step -> absolute difference of the losses."""
    return {step: abs(loss - other.loss[step]) for step, loss in one.loss.items() if step in other.loss}


def smoothed(values: list[float]) -> np.ndarray:
    """The mean over a window around each value; near the ends over what there is of it."""
    half = len(values) // SMOOTHED_PARTS // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def draw_compared(runs: Mapping[str, Curves], path: Path) -> None:
    """Losses, their differences and mIoUs of all runs, as a PNG. Raises UserError if it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 11), layout="constrained")
    losses, apart, mious = figure.subplots(3, 1, sharex=True)
    for (name, run), style in zip(runs.items(), cycle(STYLES)):
        _line(losses, name, run.loss, style)
        if run.miou:
            mious.plot(list(run.miou), list(run.miou.values()), style, label=name, marker="o", markersize=3)
    for one, other in combinations(runs, 2):
        found = {step: value for step, value in differences(runs[one], runs[other]).items() if value > 0}
        if found:
            _line(apart, f"{one} – {other}", found)
            apart.set_yscale("log")
    for axis, title in ((losses, "loss"), (apart, "difference of the losses"), (mious, "mIoU")):
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    mious.set_xlabel("step")
    atomic_write(path, FigureCanvasAgg(figure).print_png)


def _line(axis: Any, name: str, values: Mapping[int, float], style: str = "-") -> None:
    """The raw values faintly, and the smoothed ones."""
    steps, raw = list(values), list(values.values())
    (faint,) = axis.plot(steps, raw, linewidth=0.6, alpha=0.3)
    axis.plot(steps, smoothed(raw), style, label=name, color=faint.get_color())
