"""report.html, a page of an evaluation's figures and pictures that needs no network and no other file.

This file computes the figures, colours and pictures; the Jinja template page.html, with page.css and page.js, shows them.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segformer_core.data.dataset import IGNORED, Classes
from segformer_core.pages.page import as_json, css_colour, figure, percent, reduced, rendered
from segformer_core.pictures import colourise

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
    """The page as HTML. It shows `result`, which is also embedded as JSON in the element `#result`, and the examples."""
    colours = [css_colour(colour) for colour in classes.colours]
    return rendered(
        __package__,
        "page",
        result,
        result=result,
        heading=f"{result['weights']['network']} on {result['data']['split']}",
        weights=Path(result["weights"]["path"]).name,
        method=_method(result["settings"]),
        run=_run(result),
        note=_note(result),
        rows=_rows(result, colours),
        histogram=_histogram([score for score in result["image_scores"].values() if score is not None]),
        class_key=[*zip(classes.names, colours, strict=True), ("ignored", "#000")],
        error_key=[("wrong", css_colour(WRONG)), ("right, dimmed", "#555"), ("ignored", _hatch())],
        galleries={
            title: [_picture(example, classes) for example in examples] for title, examples in (("Worst", worst), ("Best", best))
        },
        provenance={
            part: {key: value if isinstance(value, str) else as_json(value) for key, value in result[part].items()}
            for part in ("weights", "data", "versions", "settings")
        },
    )


def error_overlay(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(H, W) uint8 labels -> (H, W, 4) uint8 RGBA to draw over the image: marks wrong, dims right, hatches ignored pixels."""
    picture = np.where((truth == prediction)[..., None], np.array(RIGHT, np.uint8), np.array(WRONG, np.uint8))
    rows, columns = np.indices(truth.shape)
    hatch = np.array(HATCH, np.uint8)[(rows + columns) // HATCH_WIDTH % 2]
    return np.where((truth == IGNORED)[..., None], hatch, picture)


def _method(settings: Mapping[str, Any]) -> str:
    height, width = settings["base_size"]
    images, fitted = "whole images", f"fitted into {height}×{width}"
    if settings["eval_mode"] != "whole":
        crop, stride = ("×".join(map(str, settings[key])) for key in ("eval_crop_size", "eval_stride"))
        blend = ", weighted by the distance to their borders" * (settings.get("eval_blend") == "feather")
        images = f"sliding windows of {crop}, {stride} apart{blend}, over images"
    divisor = settings["eval_size_divisor"]
    if settings["eval_mode"] == "native":
        fitted, divisor = "of their own size", 1
    scales = ", ".join(f"{scale:g}" for scale in settings["eval_scales"])
    flip = "averaged with their mirror images" if settings["eval_flip"] else "not mirrored"
    plural = "s" * (len(settings["eval_scales"]) > 1)
    rounded = f", rounded up to multiples of {divisor}" if divisor > 1 else ""
    return f"{images} {fitted} at scale{plural} {scales}{rounded}, {flip}"


def _run(result: Mapping[str, Any]) -> str:
    where = f"{result['backend']} on {result['device']} in {result['precision']}"
    return f"{where}, finished {datetime.fromisoformat(result['finished']):%Y-%m-%d %H:%M %Z} after {result['seconds']:,.0f} s"


def _note(result: Mapping[str, Any]) -> str:
    if result["miou"] is None:
        return "Nothing to score: every pixel of the truth is ignored."
    absent = f" Neither in the truth nor predicted, and left out of the means: {', '.join(result['absent'])}."
    return "The mark on each bar is the mIoU." + absent * bool(result["absent"])


def _rows(result: Mapping[str, Any], colours: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that have a score, each with its index, its CSS colour and its shares.

    `shares` maps the index of a class to the share, 0..1, of this class's pixels that was predicted as it.
    """
    counts = np.array(result["confusion_matrix"])
    shares = (counts / np.maximum(counts.sum(1, keepdims=True), 1)).tolist()
    shown = [index for index, row in enumerate(result["classes"]) if row["iou"] is not None]
    return [
        result["classes"][index]
        | {"index": index, "colour": colours[index], "shares": {predicted: shares[index][predicted] for predicted in shown}}
        for index in shown
    ]


def _histogram(scores: Sequence[float]) -> dict[str, Any]:
    """The bins and the range of the scores; empty if no image has a score."""
    if not scores:
        return {}
    counts, edges = np.histogram(scores, BINS, (0.0, 1.0))
    bins = [
        {"share": count / counts.max(), "title": f"{100 * low:.0f} to {100 * high:.0f}%: {count}"}
        for count, low, high in zip(counts, edges, edges[1:], strict=False)
    ]
    return {"bins": bins, "lowest": min(scores), "median": statistics.median(scores), "highest": max(scores)}


def _picture(example: Example, classes: Classes) -> dict[str, Any]:
    truth, prediction = (reduced(labels, cv2.INTER_NEAREST) for labels in (example.truth, example.prediction))
    layers = {
        "prediction": colourise(prediction, classes),
        "truth": colourise(truth, classes),
        "errors": error_overlay(truth, prediction),
    }
    return figure(example.name, f"mIoU {percent(example.score)}", example.image, layers)


def _hatch() -> str:
    dark, light = map(css_colour, HATCH)
    return f"repeating-linear-gradient(135deg,{dark} 0 2px,{light} 2px 4px)"
