"""curves.png: loss, learning rate and mIoU of a run over its steps."""

from functools import cache
from pathlib import Path
from typing import Any

from segformer_core.files import atomic_write
from segformer_core.training.metrics import METRICS, read_metrics

CURVES = "curves.png"
PANELS = {"loss": "log", "learning_rate": "linear", "miou": "linear"}
"""Metric -> the scale of its axis."""

MOST_MARKED = 50
"""A curve of fewer points shows them."""


def draw_curves(folder: Path) -> None:
    """Draw the folder's metrics.jsonl. Raises UserError if the picture cannot be written."""
    entries = read_metrics(folder / METRICS).entries
    canvas, lines = _picture()
    for name, line in lines.items():
        points = [(entry["step"], entry[name]) for entry in entries if entry.get(name) is not None]
        line.set_data([step for step, _ in points], [value for _, value in points])
        line.set_marker("o" if len(points) < MOST_MARKED else "")
        line.axes.relim()
        line.axes.autoscale_view()
    atomic_write(folder / CURVES, canvas.print_png)


@cache
def _picture() -> tuple[Any, dict[str, Any]]:
    """Matplotlib's canvas, and the line of each panel. They are made once: a figure is garbage that Python collects late."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 9), layout="constrained")
    axes = figure.subplots(len(PANELS), 1, sharex=True)
    lines = {}
    for axis, (name, scale) in zip(axes, PANELS.items(), strict=True):
        (lines[name],) = axis.plot([], [], markersize=3)
        axis.set_ylabel(name.replace("_", " ").replace("miou", "mIoU"))
        axis.set_yscale(scale)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    return FigureCanvasAgg(figure), lines
