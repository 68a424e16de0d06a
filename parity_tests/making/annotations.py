"""Annotation files as the tools write them, small enough to check by hand."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from parity_tests.making.samples import SIZE, photo

CATEGORIES = [{"id": 7, "name": "car"}, {"id": 3, "name": "road"}]
BOX = [1, 1, 5, 1, 5, 3, 1, 3]
"""A polygon around columns 1 to 4 of rows 1 and 2."""
BOX_PIXELS = (slice(1, 3), slice(1, 5))
FIRST_COLUMN = {"size": [6, 8], "counts": [1, 2, 45]}
"""Rows 1 and 2 of column 0: runs go down the columns, and the first one is of zeros."""


def annotation(number: int, image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, **more}


def coco(root: Path, annotations: list[dict[str, Any]], names=("a.jpg", "b.jpg"), **changes: Any) -> list[str]:
    """root/photos and root/instances.json, and the words of a command line that names them."""
    for name in names:
        photo(root / "photos" / name)
    images = [{"id": index, "file_name": name, "height": 6, "width": 8} for index, name in enumerate(names)]
    content = {"images": images, "categories": CATEGORIES, "annotations": annotations} | changes
    (root / "instances.json").write_text(json.dumps(content))
    return ["--coco", str(root / "instances.json"), "--images", str(root / "photos")]


def shape(label: str, points: list[list[float]], kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme(root: Path, files: dict[str, list[dict[str, Any]]], **changes: Any) -> list[str]:
    """root/notes/NAME.json with NAME.jpg beside it for each name, and the words of a command line that names them."""
    for name, entries in files.items():
        photo(root / f"notes/{name}.jpg")
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": entries,
            "imagePath": f"{name}.jpg",
            "imageData": None,
        }
        content |= {"imageHeight": SIZE[0], "imageWidth": SIZE[1]} | changes
        kept = {key: value for key, value in content.items() if value != "LEFT OUT"}
        (root / f"notes/{name}.json").write_text(json.dumps(kept))
    return ["--labelme", str(root / "notes")]


def label(root: Path, name: str) -> np.ndarray:
    """The label image that was made for an image."""
    [path] = (root / "new").glob(f"labels/*/{name}.png")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint8 and pixels.ndim == 2
    return pixels


def drawing(*lines: str) -> np.ndarray:
    """A label map from lines of digits; a dot is 255."""
    return np.array([[255 if letter == "." else int(letter) for letter in line] for line in lines], np.uint8)
