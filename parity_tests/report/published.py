"""Published weights against the logits that transformers states for them, from a folder that a user has filled."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from parity_tests.report.records import NAMES, RECORDS, Sides
from parity_tests.support import LEARNERS, difference, logits
from segformer_core.spec.model import SegFormer
from segformer_core.weights.reading import network_arrays, read

VARIABLE = "SEGFORMER_WEIGHTS"
TABLE = Path(__file__).with_name("published_logits.yaml")
SIDE = 512
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NotChecked(Exception):
    """What a check needs is not there."""


@dataclass(frozen=True)
class Stated:
    """What one source says of a network: the logits [0, :3, :3, :3] of its image, and to what difference.

    files    names in the folder under which the weights are looked for
    """

    model: str
    files: tuple[str, ...]
    source: str
    image: str
    address: str
    logits: np.ndarray
    allowed: float


def stated(table: Mapping[str, Any]) -> list[Stated]:
    """The rows of the table, one for each model and source."""
    return [
        Stated(
            model,
            (model, f"{model}.safetensors", entry["paper"]),
            source,
            table["sources"][source]["image"],
            table["sources"][source]["address"],
            np.array(entry["logits"]),
            float(allowed),
        )
        for model, entry in table["models"].items()
        for source, allowed in entry["stated_by"].items()
    ]


def published() -> list[Stated]:
    return stated(yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def weights_folder() -> Path | None:
    """The folder that the user names; None if none is named."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def check(row: Stated, folder: Path | None, backend: str) -> None:
    """Record the difference of one backend's logits, and raise AssertionError if it is too large. Raises NotChecked."""
    path, pixels = found(row, folder)
    spec, arrays = network(path)
    got = logits(LEARNERS[backend](spec, arrays), pixels)
    assert got.shape[2:] == (SIDE // 4, SIDE // 4)
    largest = difference(got[0, :3, :3, :3].astype(np.float64), row.logits)
    RECORDS.begin(Sides(RECORDS.sides.test, NAMES[backend], row.source))
    RECORDS.comparison(row.model, "logits [0, :3, :3, :3]", largest, row.allowed)
    assert largest <= row.allowed, f"{row.model}: {largest:.3g} from the logits of the {row.source}, allowed {row.allowed:.3g}"


def found(row: Stated, folder: Path | None) -> tuple[Path, np.ndarray]:
    """The weights and what the network sees. Raises NotChecked, which says what is missing."""
    if folder is None:
        raise NotChecked(f"{row.model}, {row.source}: not checked, no weights ({VARIABLE} is not set)")
    path = next((folder / name for name in row.files if (folder / name).exists()), None)
    if path is None:
        raise NotChecked(f"{row.model}, {row.source}: not checked, no weights ({' or '.join(row.files)} in {VARIABLE})")
    if not (folder / row.image).is_file():
        raise NotChecked(f"{row.model}, {row.source}: not checked, no image ({row.image} in {VARIABLE}: {row.address})")
    return path, network_input(folder / row.image)


def network(path: Path) -> tuple[SegFormer, dict[str, np.ndarray]]:
    """The spec in transformers' profile, which the stated logits were computed in, and the arrays."""
    weights = read(path, numerics="hf")
    return weights.architecture.spec("hf"), network_arrays(weights)


def network_input(path: Path) -> np.ndarray:
    """(1, 3, 512, 512) float32: as transformers' SegformerImageProcessor makes it, with Pillow's filter."""
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    scaled = pixels.astype(np.float32) / np.float32(255)
    normal = (scaled - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
