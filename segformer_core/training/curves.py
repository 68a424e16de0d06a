"""curves.png: loss, learning rate, mIoU and each class's IoU of a run over its steps."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segformer_core.files import atomic_write
from segformer_core.pictures.fonts import fonts_of
from segformer_core.pictures.lettering import ELLIPSIS, class_names, complaint, readable
from segformer_core.training.metrics import IOU, METRICS, VALIDATION_LOSS, read_metrics

CURVES = "curves.png"
PANELS: dict[str, dict[str, str]] = {
    "loss": {"loss": "training", VALIDATION_LOSS: "validation"},
    "learning rate": {"learning_rate": ""},
    "mIoU": {"miou": ""},
}
"""Title of an axis -> the metrics that it shows, and their names in its legend. IoU has an axis of its own below."""

MOST_MARKED = 50
"""A curve of fewer points shows them."""
MOST_CLASSES = 20
"""Of more classes those with the lowest IoU at the end are drawn."""
LONGEST_NAME = 24
"""Letters of a name in a legend."""


def draw_curves(folder: Path) -> str:
    """Draw the folder's metrics.jsonl. Raises UserError if the picture cannot be written.

    The classes' names that no installed font has are numbers; the sentence that says so is returned, otherwise nothing.
    """
    entries = read_metrics(folder / METRICS).entries
    names = [metric.removeprefix(IOU) for metric in _class_metrics(entries)]
    classes, title = _classes(entries, class_names(names)), _title(folder, _points(entries, "miou"))
    families = _families(frozenset("".join([title, *classes])))
    canvas, axes = _picture()
    for axis, (label, metrics) in zip(axes, PANELS.items(), strict=False):
        _draw(axis, label, {name: _points(entries, metric) for metric, name in metrics.items()}, families)
    axes[0].set_title(title, fontfamily=families, parse_math=False)
    _draw(axes[-1], "IoU", classes, families)
    axes[-1].set_xlabel("step")
    atomic_write(folder / CURVES, canvas.print_png)
    return f"{CURVES} shows classes by their numbers: {undrawn}" if (undrawn := complaint(names)) else ""


def _title(folder: Path, mious: Sequence[tuple[int, float]]) -> str:
    name = readable(folder.name)
    if not mious:
        return name
    step, best = max(mious, key=lambda point: point[1])
    return f"{name}: best mIoU {best:.4f} at step {step}"


def _points(entries: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[int, float]]:
    return [(entry["step"], entry[metric]) for entry in entries if entry.get(metric) is not None]


def _class_metrics(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(metric for entry in entries for metric in entry if metric.startswith(IOU)))


def _classes(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Name of a class -> its points. The legend's order is that of the last IoU, the highest first."""
    metrics = zip(names, _class_metrics(entries), strict=True)
    curves = {name: points for name, metric in metrics if (points := _points(entries, metric))}
    lowest = sorted(curves, key=lambda name: curves[name][-1][1])[:MOST_CLASSES]
    return {name: curves[name] for name in reversed(lowest)}


def _draw(axis: Any, title: str, curves: Mapping[str, Sequence[tuple[int, float]]], families: Sequence[str]) -> None:
    """Draw the curves, by their names in the legend, on an emptied axis."""
    axis.clear()
    axis.set_ylabel(title)
    axis.grid(alpha=0.3)
    for (name, points), colour in zip(curves.items(), _colours(), strict=False):
        axis.plot(*zip(*points, strict=True) if points else ([], []), label=_legend_name(name), color=colour)
        axis.lines[-1].set(marker="o" if len(points) < MOST_MARKED else "", markersize=3)
    if sum(bool(points) for name, points in curves.items() if name) > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), prop={"family": families, "size": "small"}, frameon=False)


def _legend_name(name: str) -> str:
    """The name as Matplotlib takes it: a $ begins a formula, and a name with a first _ has no place in a legend."""
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + ELLIPSIS
    return f" {short}".replace("$", r"\$")


@cache
def _families(characters: frozenset[str]) -> list[str]:
    """The fonts that have the characters, by names for Matplotlib, which draws each character with the first that has it.

    A font's own name will not do: Matplotlib's list may be older than the font, and it warns of one without a normal weight.
    """
    from matplotlib.font_manager import FontEntry, fontManager

    paths = [str(path) for path in dict.fromkeys(fonts_of("".join(characters) + ELLIPSIS).values())]
    known = fontManager.get_font_names()
    fontManager.ttflist.extend(FontEntry(fname=path, name=path, size="scalable") for path in paths if path not in known)
    return paths


@cache
def _colours() -> list[Any]:
    from matplotlib import colormaps  # slow to import

    dark_and_light = [colormaps["tab20"](index) for index in range(MOST_CLASSES)]
    return dark_and_light[::2] + dark_and_light[1::2]


@cache
def _picture() -> tuple[Any, list[Any]]:
    """Matplotlib's canvas and its axes. They are made once: a figure is garbage that Python collects late."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 12), layout="constrained")
    return FigureCanvasAgg(figure), list(figure.subplots(len(PANELS) + 1, 1, sharex=True))
