"""Published weights, from a folder that a user has filled, against stated logits (transformers) and a stated mIoU (the paper)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from parity_tests import ROOT
from parity_tests.report.records import NAMES, RECORDS, Sides
from parity_tests.support import DEVICES, LEARNERS, difference, logits
from parity_tests.tolerances import tolerance
from segformer_core.commands.evaluate import RESULT, evaluate_command
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.spec.model import SegFormer
from segformer_core.weights.reading import network_arrays, read

VARIABLE, CITYSCAPES = "SEGFORMER_WEIGHTS", "SEGFORMER_CITYSCAPES"
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


@dataclass(frozen=True)
class Scored:
    """The mIoU in percent that the paper states of a network, with the flags that evaluate as the paper does."""

    model: str
    files: tuple[str, ...]
    flags: tuple[str, ...]
    miou: float


def scored(table: Mapping[str, Any]) -> list[Scored]:
    """The rows of the table that have an mIoU."""
    return [
        Scored(
            model,
            (model, f"{model}.safetensors", entry["paper"]),
            ("--config_path", str(ROOT / entry["recipe"]), *entry.get("flags", ())),
            entry["miou"],
        )
        for model, entry in table["models"].items()
        if "miou" in entry
    ]


def published() -> list[Stated]:
    return stated(yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def published_scores() -> list[Scored]:
    return scored(yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def weights_folder() -> Path | None:
    """The folder that the user names; None if none is named."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def cityscapes_folder() -> Path | None:
    """Cityscapes with label images, as the user names it; None if it is not named."""
    return Path(os.environ[CITYSCAPES]) if os.environ.get(CITYSCAPES) else None


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


def check_miou(row: Scored, folder: Path | None, data: Path | None, backend: str, output: Path) -> None:
    """As `check`, for the mIoU on Cityscapes' validation images in `data`; the evaluation writes to `output`."""
    path = weights(row.model, "mIoU", row.files, folder)
    if data is None:
        raise NotChecked(f"{row.model}, mIoU: not checked, no Cityscapes ({CITYSCAPES} is not set)")
    keys = {"eval_ckpt_path": path, "data_path": data, "eval_output_path": output, "device_target": DEVICES[backend]}
    flags = [*row.flags, *(f"--{key}={value}" for key, value in keys.items())]
    evaluate_command(load_config(flags, READS["evaluate"]), connector(backend))
    miou = 100 * json.loads((output / RESULT).read_text())["miou"]
    RECORDS.begin(Sides(RECORDS.sides.test, NAMES[backend], "the paper"))
    allowed = tolerance("published mIoU, in points", DEVICES[backend])
    RECORDS.comparison(row.model, "mIoU in percent", abs(miou - row.miou), allowed)
    assert abs(miou - row.miou) <= allowed, f"{row.model}: mIoU {miou:.2f}, the paper states {row.miou}, allowed {allowed}"


def found(row: Stated, folder: Path | None) -> tuple[Path, np.ndarray]:
    """The weights and what the network sees. Raises NotChecked, which says what is missing."""
    path = weights(row.model, row.source, row.files, folder)
    assert folder is not None
    if not (folder / row.image).is_file():
        raise NotChecked(f"{row.model}, {row.source}: not checked, no image ({row.image} in {VARIABLE}: {row.address})")
    return path, network_input(folder / row.image)


def weights(model: str, what: str, files: tuple[str, ...], folder: Path | None) -> Path:
    """The first of the files that the folder has. Raises NotChecked."""
    if folder is None:
        raise NotChecked(f"{model}, {what}: not checked, no weights ({VARIABLE} is not set)")
    path = next((folder / name for name in files if (folder / name).exists()), None)
    if path is None:
        raise NotChecked(f"{model}, {what}: not checked, no weights ({' or '.join(files)} in {VARIABLE})")
    return path


def network(path: Path) -> tuple[SegFormer, dict[str, np.ndarray]]:
    """The spec in transformers' profile, which the stated logits were computed in, and the arrays."""
    content = read(path, numerics="hf")
    return content.architecture.spec("hf"), network_arrays(content)


def network_input(path: Path) -> np.ndarray:
    """(1, 3, 512, 512) float32: as transformers' SegformerImageProcessor makes it, with Pillow's filter."""
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    scaled = pixels.astype(np.float32) / np.float32(255)
    normal = (scaled - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
