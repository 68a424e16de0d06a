"""curves.png: loss, learning rate and mIoU of a run over its steps."""

from pathlib import Path

from segformer_core.files import atomic_write
from segformer_core.training.log import METRICS, read_metrics

CURVES = "curves.png"
PANELS = {"loss": "log", "learning_rate": "linear", "miou": "linear"}
"""Metric -> the scale of its axis."""


def draw_curves(folder: Path) -> None:
    """Draw the folder's metrics.jsonl. Raises UserError if the picture cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    entries = read_metrics(folder / METRICS)
    figure = Figure(figsize=(8, 9), layout="constrained")
    axes = figure.subplots(len(PANELS), 1, sharex=True)
    for axis, (name, scale) in zip(axes, PANELS.items(), strict=True):
        points = [(entry["step"], entry[name]) for entry in entries if entry.get(name) is not None]
        if points:
            axis.plot(*zip(*points, strict=True), marker="o" if len(points) < 50 else "", markersize=3)
        axis.set_ylabel(name.replace("_", " ").replace("miou", "mIoU"))
        axis.set_yscale(scale)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    atomic_write(folder / CURVES, lambda temporary: FigureCanvasAgg(figure).print_png(temporary))
