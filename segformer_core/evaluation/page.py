"""report.html: one page of an evaluation's figures and pictures, complete in itself: no network, no other file.

Markup, style and script are page.html, page.css and page.js beside this file. What needs no script is rendered here.
"""

import base64
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from segformer_core.data.dataset import IGNORED, Classes
from segformer_core.pictures import colourise

LONG_SIDE = 1024
"""Pixels; larger pictures are reduced to it."""

JPEG_QUALITY = 85
BINS = 20

Rgba = tuple[int, int, int, int]
RIGHT: Rgba = (0, 0, 0, 165)
WRONG: Rgba = (255, 0, 96, 235)
HATCH: tuple[Rgba, Rgba] = ((32, 32, 32, 255), (96, 96, 96, 255))
HATCH_WIDTH = 5


@dataclass(frozen=True)
class Example:
    """An image with its truth and prediction.

    score       the image's own mIoU, 0..1
    image       (H, W, 3) uint8 RGB
    truth       (H, W) uint8 class indices, 255 where ignored
    prediction  (H, W) uint8
    """

    name: str
    score: float
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def page(result: Mapping[str, Any], classes: Classes, worst: Sequence[Example], best: Sequence[Example]) -> str:
    """The page as HTML: `result`, which is also embedded as the JSON `#result`, and examples of its images."""
    shown = [index for index, row in enumerate(result["classes"]) if row["iou"] is not None]
    parts = {
        "style": _file("page.css"),
        "script": _file("page.js"),
        "result": _json(result).replace("<", "\\u003c"),  # so that nothing in it ends the script
        "heading": escape(f"{result['weights']['network']} on {result['data']['split']}"),
        "miou": percent(result["miou"]),
        "macc": percent(result["macc"]),
        "aacc": percent(result["aacc"]),
        "mean": _share(result["miou"]),
        "images": f"{result['images']:,}",
        "weights": escape(Path(result["weights"]["path"]).name),
        "method": escape(_method(result["settings"])),
        "run": escape(_run(result)),
        "class_rows": _class_rows(result, classes, shown),
        "note": escape(_note(result)),
        "columns": "".join(f'<th scope="col"><span>{escape(classes.names[index])}</span></th>' for index in shown),
        "confusion_rows": _confusion_rows(np.array(result["confusion_matrix"]), classes, shown),
        "histogram": _histogram([score for score in result["image_scores"].values() if score is not None]),
        "class_key": _key([*zip(classes.names, map(_rgb, classes.colours), strict=True), ("ignored", "#000")]),
        "error_key": _key([("wrong", _rgb(WRONG)), ("right, dimmed", "#555"), ("ignored", _hatch())]),
        "pictures": _group("Worst", worst, classes) + _group("Best", best, classes) or "<p>No image has a score.</p>",
        "details": "".join(_details(part, result[part]) for part in ("weights", "data", "versions", "settings")),
    }
    return Template(_file("page.html")).substitute(parts)


def error_overlay(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(H, W) uint8 labels -> (H, W, 4) uint8 RGBA to lie over the image: wrong marked, right dimmed, ignored hatched."""
    picture = np.where((truth == prediction)[..., None], np.array(RIGHT, np.uint8), np.array(WRONG, np.uint8))
    rows, columns = np.indices(truth.shape)
    hatch = np.array(HATCH, np.uint8)[(rows + columns) // HATCH_WIDTH % 2]
    return np.where((truth == IGNORED)[..., None], hatch, picture)


def percent(share: float | None) -> str:
    """0..1 as a percentage of two decimals; a dash where there is nothing to score."""
    return "–" if share is None else f"{100 * share:.2f}%"


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _method(settings: Mapping[str, Any]) -> str:
    height, width = settings["base_size"]
    seen = "whole images"
    if settings["eval_mode"] == "slide":
        crop, stride = ("×".join(map(str, settings[key])) for key in ("eval_crop_size", "eval_stride"))
        seen = f"sliding windows of {crop}, {stride} apart, over images"
    scales = ", ".join(f"{scale:g}" for scale in settings["eval_scales"])
    flip = "averaged with their mirror images" if settings["eval_flip"] else "not mirrored"
    plural = "s" * (len(settings["eval_scales"]) > 1)
    return f"{seen} fitted into {height}×{width} at scale{plural} {scales}, {flip}"


def _run(result: Mapping[str, Any]) -> str:
    where = f"{result['backend']} on {result['device']} in {result['precision']}"
    return f"{where}, finished {datetime.fromisoformat(result['finished']):%Y-%m-%d %H:%M %Z} after {result['seconds']:,.0f} s"


def _note(result: Mapping[str, Any]) -> str:
    if result["miou"] is None:
        return "Nothing to score: every pixel of the truth is ignored."
    absent = f" Neither in the truth nor predicted, and left out of the means: {', '.join(result['absent'])}."
    return "The mark on each bar is the mIoU." + absent * bool(result["absent"])


def _class_rows(result: Mapping[str, Any], classes: Classes, shown: Sequence[int]) -> str:
    rows = []
    for index in shown:
        row, colour = result["classes"][index], _rgb(classes.colours[index])
        rows.append(
            f'<tr><th scope="row" data-figure="{index}">{_named(row["name"], colour)}</th>'
            f'<td data-figure="{row["iou"]}"><div class="measure" style="--share:{_share(row["iou"])};--colour:{colour}">'
            f'<span class="bar"></span><b>{percent(row["iou"])}</b></div></td>'
            f'<td data-figure="{row["accuracy"]}">{percent(row["accuracy"])}</td>'
            f'<td data-figure="{row["truth_pixels"]}" class="spacious">{row["truth_pixels"]:,}</td></tr>'
        )
    return "\n".join(rows)


def _confusion_rows(counts: np.ndarray, classes: Classes, shown: Sequence[int]) -> str:
    rows = []
    for truth in shown:
        shares = counts[truth] / max(counts[truth].sum(), 1)
        cells = "".join(_cell(shares[predicted], truth == predicted) for predicted in shown)
        rows.append(f'<tr><th scope="row">{_named(classes.names[truth], _rgb(classes.colours[truth]))}</th>{cells}</tr>')
    return "\n".join(rows)


def _cell(share: float, right: bool) -> str:
    """Coloured by the root of the share, so that a confusion of a few percent is seen."""
    if share == 0:
        return "<td></td>"
    kind = ' class="right"' if right else ""
    return f'<td{kind} style="--share:{_share(share**0.5)}">{f"{100 * share:.0f}" if share >= 0.005 else "·"}</td>'


def _histogram(scores: Sequence[float]) -> str:
    if not scores:
        return "<p>No image has a score.</p>"
    counts, edges = np.histogram(scores, BINS, (0.0, 1.0))
    bins = "".join(
        f'<i style="--share:{_share(count / counts.max())}" title="{100 * low:.0f} to {100 * high:.0f}%: {count}"></i>'
        for count, low, high in zip(counts, edges, edges[1:], strict=False)
    )
    worst, middle, best = map(percent, (min(scores), statistics.median(scores), max(scores)))
    return (
        f'<div class="histogram"><div class="bins" aria-hidden="true">{bins}</div>'
        '<div class="ends soft" aria-hidden="true"><span>0%</span><span>50%</span><span>100%</span></div></div>'
        f"<p>Lowest {worst}, median {middle}, highest {best}.</p>"
    )


def _key(entries: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<li>{_named(name, colour)}</li>" for name, colour in entries)


def _group(title: str, examples: Sequence[Example], classes: Classes) -> str:
    figures = "\n".join(_figure(example, classes) for example in examples)
    return f'<h3>{title}</h3>\n<div class="gallery">\n{figures}\n</div>\n' if examples else ""


def _figure(example: Example, classes: Classes) -> str:
    truth, prediction = (_reduced(labels, cv2.INTER_NEAREST) for labels in (example.truth, example.prediction))
    name = escape(example.name)
    height, width = truth.shape
    layers = {
        "prediction": colourise(prediction, classes),
        "truth": colourise(truth, classes),
        "errors": error_overlay(truth, prediction),
    }
    return (
        f'<figure><figcaption><span>{name}</span><span>mIoU {percent(example.score)}</span></figcaption><div class="stage">'
        f'<img src="{_jpeg(_reduced(example.image, cv2.INTER_AREA))}" width="{width}" height="{height}" alt="{name}: image">'
        + "".join(f'<img class="layer {kind}" src="{_png(layer)}" alt="{name}: {kind}">' for kind, layer in layers.items())
        + '<span class="divider"></span>'
        f'<input type="range" value="50" aria-label="{name}: percent that shows the image"></div></figure>'
    )


def _details(title: str, values: Mapping[str, Any]) -> str:
    entries = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value if isinstance(value, str) else _json(value))}</dd></div>"
        for key, value in values.items()
    )
    return f'<details><summary>{title.capitalize()}</summary><dl class="facts">{entries}</dl></details>\n'


def _reduced(picture: np.ndarray, interpolation: int) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = LONG_SIDE / max(height, width)
    if factor >= 1:
        return picture
    return cv2.resize(picture, (max(round(width * factor), 1), max(round(height * factor), 1)), interpolation=interpolation)


def _jpeg(image: np.ndarray) -> str:
    return _inline("jpeg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)


def _png(picture: np.ndarray) -> str:
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return _inline("png", cv2.cvtColor(picture, order), cv2.IMWRITE_PNG_COMPRESSION, 9)


def _inline(kind: str, picture: np.ndarray, setting: int, value: int) -> str:
    """(H, W, 3 or 4) uint8 BGR or BGRA -> a data URI."""
    _, data = cv2.imencode(f".{kind}", picture, [setting, value])
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"


def _share(value: float | None) -> str:
    """0..1 as CSS; out of sight where there is nothing."""
    return "-1%" if value is None else f"{100 * value:.2f}%"


def _rgb(colour: Sequence[int]) -> str:
    red, green, blue = colour[:3]
    return f"rgb({red} {green} {blue})"


def _named(name: str, colour: str) -> str:
    """A name behind a swatch of its CSS colour."""
    return f'<span class="named" style="--colour:{colour}"><span>{escape(name)}</span></span>'


def _hatch() -> str:
    dark, light = map(_rgb, HATCH)
    return f"repeating-linear-gradient(135deg,{dark} 0 2px,{light} 2px 4px)"
