"""Folder data sets whose labels are stored in every form that is read, and a digest of what reaches the network."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from parity_tests.data.label_files import (
    PALETTE,
    TIFF_PALETTE,
    bmp,
    few_bits_png,
    few_bits_tiff,
    painted,
    pillow,
    png,
    tiff,
    with_palette,
)
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.config.keys import DataConfig
from segformer_core.data.dataset import read_label
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream

DATA = DataConfig(base_size=(64, 96), crop_size=(48, 64))
NAMES = ("ground", "disc", "bar")
COLOURS = {0: (90, 60, 40), 1: (200, 40, 40), 2: (30, 90, 200), 255: (0, 0, 0)}


@dataclass(frozen=True)
class Form:
    """How (H, W) uint8 labels become a file; what dataset.yaml says beside the names; and which labels the form can hold.

    classes   2 where the form has no room for three; `void` whether it has room for pixels that do not count
    """

    write: Callable[[np.ndarray], bytes]
    says: str = ""
    classes: int = 3
    void: bool = True
    suffix: str = ".png"
    colours: bool = False


def bits_of(count: int) -> dict[str, Any]:
    return {"classes": 2 if count == 1 else 3, "void": count == 8}


def moved(labels: np.ndarray) -> np.ndarray:
    """ADE20K's way: 0 does not count, the first class is 1."""
    return np.where(labels == 255, 0, labels + 1).astype(np.uint8)


def deep(labels: np.ndarray) -> np.ndarray:
    """Values of Mapillary's kind: any number of 16 bits; a class may have several."""
    values = np.array([1000, 2000, 40000, *[0] * 252, 65535], np.uint16)[labels]
    values[10:40][labels[10:40] == 1] = 2001
    return values


FORMS = {
    **{f"palette PNG, {n} bits": Form(partial(few_bits_png, bits=n, colour_type=PALETTE), **bits_of(n)) for n in (1, 2, 4, 8)},
    "palette PNG of Pillow": Form(lambda a: pillow(with_palette(a), "PNG", transparency=0)),
    **{f"gray PNG, {n} bits": Form(partial(few_bits_png, bits=n), **bits_of(n)) for n in (1, 2, 4)},
    **{
        f"gray TIFF, {n} bits": Form(partial(few_bits_tiff, bits=n), "label_suffix: .tif", suffix=".tif", **bits_of(n))
        for n in (1, 8)
    },
    **{
        f"palette TIFF, {n} bits": Form(
            partial(few_bits_tiff, bits=n, photometric=TIFF_PALETTE, order=">"),
            "label_suffix: .tiff",
            suffix=".tiff",
            **bits_of(n),
        )
        for n in (1, 8)
    },
    "fax TIFF": Form(
        lambda a: pillow(Image.fromarray(a > 0), "TIFF", compression="group4", tiffinfo={262: 1}),
        "label_suffix: .TIF",
        **bits_of(1),
        suffix=".TIF",
    ),
    "16-bit PNG": Form(lambda a: png(a.astype(np.uint16))),
    "16-bit TIFF": Form(lambda a: tiff(a.astype(np.uint16)), "label_suffix: .tif", suffix=".tif"),
    "BMP": Form(bmp, "label_suffix: .bmp", suffix=".bmp"),
    "three equal channels": Form(lambda a: png(np.dstack([a] * 3))),
    "three equal channels of 16 bits": Form(lambda a: png(np.dstack([a.astype(np.uint16)] * 3))),
    "opaque RGBA": Form(lambda a: png(np.dstack([a, a, a, np.full_like(a, 255)]))),
    "gray with alpha": Form(lambda a: pillow(Image.fromarray(a).convert("LA"), "PNG")),
    "colours": Form(lambda a: png(painted(a, COLOURS)), "ignore: [[0, 0, 0]]", colours=True),
    "colours, opaque": Form(
        lambda a: png(np.dstack([painted(a, COLOURS), np.full_like(a, 255)])), "ignore: [255, [0, 0, 0]]", colours=True
    ),
    "colours by a palette": Form(
        lambda a: pillow(with_palette(255 - a, painted(np.arange(255, -1, -1), COLOURS).ravel().tolist()), "PNG"),
        "label_form: colours\nignore: [[0, 0, 0]]",
        colours=True,
    ),
    "0 and 255": Form(lambda a: png(a * 255), "label_map: {0: ground, 255: disc}", classes=2, void=False),
    "0 and 255, painted": Form(
        lambda a: png(np.dstack([a * 255] * 3)), "label_map: {0: ground, 255: disc}", classes=2, void=False
    ),
    "the first label is 1": Form(lambda a: png(moved(a)), "first_label: 1\nignore: [0]"),
    "the first label is 1, ignore_value": Form(lambda a: png(moved(a)), "first_label: 1\nignore_value: 0"),
    "a map of 16 bits": Form(
        lambda a: png(deep(a)), "label_map: {1000: ground, 2000: disc, 2001: disc, 40000: bar}\nignore: [65535]"
    ),
    "another ending": Form(png, "label_suffix: _mask.png", suffix="_mask.png"),
    "an upper case ending": Form(png, suffix=".PNG"),
}


def dataset(root: Path, form: Form) -> Path:
    """The folder data set of coloured shapes with its labels in a form."""
    write_folder_dataset(root)
    for path in sorted(root.glob("labels/*/*.png")):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if form.classes == 2:
            labels[labels == 2] = 0
        if not form.void:
            labels[labels == 255] = 0
        path.unlink()
        path.with_name(path.stem + form.suffix).write_bytes(form.write(labels))
    describe(root, form.says, form.classes, form.colours)
    return root


def describe(root: Path, says: str = "", classes: int = 3, colours: bool = False) -> None:
    lines = [f"  - {{name: {name}, colour: {list(COLOURS[i])}}}" if colours else f"  - {name}" for i, name in enumerate(NAMES)]
    (root / "dataset.yaml").write_text("\n".join(["classes:", *lines[:classes], says, ""]))


def digest(root: Path) -> str:
    """Of every array that reaches the network in an epoch of training, and of the labels of val."""
    train, val = (open_dataset(str(root), split) for split in ("train", "val"))
    stream = TrainingStream(train, DATA, seed=0, batch_size=2, epochs=1)
    arrays = [array for position in range(len(stream)) for array in stream[position]]
    arrays += [read_label(item.label, val.classes) for item in val.items if item.label]
    assert len(arrays) == 2 * len(train) + len(val)
    return hashlib.sha256(b"".join(f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays)).hexdigest()
