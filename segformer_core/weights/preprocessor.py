"""How images are prepared for a network, as transformers and keras-hub state it in a file beside the weights."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.config.keys import RGB_CHANNELS, DataConfig
from segformer_core.errors import WeightsError, brief
from segformer_core.weights.containers.json_file import is_there, read_object

TRANSFORMERS_FILE = "preprocessor_config.json"
KERAS_FILE = "image_converter.json"
LARGEST_VALUE = 255
"""Of a pixel. transformers divides by it before it normalises."""
TOLERANCE = 0.01
"""Of a pixel's value: files round 123.675 / 255 to three digits."""

FAULTS = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)
"""What values of unexpected types and sizes raise."""

Channels = tuple[float, ...]
"""A number for each channel of an image."""


@dataclass(frozen=True)
class Preparation:
    """(height, width) that images are resized to, and mean and standard deviation of each channel, 0..255. `file` states it."""

    size: tuple[int, int]
    mean: Channels
    std: Channels
    file: str = ""

    def __str__(self) -> str:
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        channels = "R, G, B" if len(self.mean) == RGB_CHANNELS else f"{len(self.mean)} channels"
        return (
            f"mean [{mean}] and deviation [{std}] of {channels} in 0..255, {self.size[0]}×{self.size[1]}, as {self.file} states"
        )

    @staticmethod
    def of(data: DataConfig) -> "Preparation":
        """What the configuration states."""
        return Preparation(data.base_size, data.img_norm_mean, data.img_norm_std)

    def normalises_like(self, other: "Preparation") -> bool:
        if len(self.mean) != len(other.mean):
            return False
        pairs = zip((*self.mean, *self.std), (*other.mean, *other.std), strict=True)
        return all(math.isclose(one, another, abs_tol=TOLERANCE) for one, another in pairs)


def preparation_beside(folder: Path, channels: int) -> tuple[Preparation | None, tuple[str, ...]]:
    """What the folder states of images of so many channels, and warnings: no fault of it stops one who only wants the weights."""
    for name, take in TAKEN.items():
        path = folder / name
        if is_there(path):
            try:
                return take(read_object(path), str(path), channels), ()
            except WeightsError as error:
                return None, (f"mean and deviation of the weights' images are unknown: {error}",)
            except FAULTS:
                return None, (f"{path} is not understood: make sure that img_norm_mean and img_norm_std are the weights'",)
    return None, ()


def preparation_of(keys: Mapping[str, Any], file: str) -> Preparation:
    """From `size`, `img_norm_mean` and `img_norm_std`, as our own files keep them. Raises one of FAULTS."""
    mean, std = (tuple(map(float, keys[name])) for name in ("img_norm_mean", "img_norm_std"))
    return _preparation(keys["size"], mean, std, 1.0, file)


def transformers_preprocessor(preparation: Preparation) -> dict[str, Any]:
    """preprocessor_config.json: SegformerImageProcessor's keys. Labels are class indices, so none is reduced."""
    height, width = preparation.size
    return {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 2,  # PIL's number of bilinear
        "do_rescale": True,
        "rescale_factor": 1 / LARGEST_VALUE,
        "do_normalize": True,
        "image_mean": [value / LARGEST_VALUE for value in preparation.mean],
        "image_std": [value / LARGEST_VALUE for value in preparation.std],
        "do_reduce_labels": False,
    }


def keras_scale_and_offset(preparation: Preparation) -> dict[str, list[float]]:
    """keras-hub computes image * scale + offset."""
    pairs = list(zip(preparation.mean, preparation.std, strict=True))
    return {"scale": [1 / std for _, std in pairs], "offset": [-mean / std for mean, std in pairs]}


def _of_transformers(content: Mapping[str, Any], file: str, channels: int) -> Preparation:
    factor = float(content.get("rescale_factor", 1 / LARGEST_VALUE)) if content.get("do_rescale", True) else 1.0
    stated = (content["image_mean"], content["image_std"]) if content.get("do_normalize", True) else (0, 1)
    mean, std = (_numbers(values, channels) for values in stated)
    return _preparation(content.get("size"), mean, std, factor, file)


def _of_keras(content: Mapping[str, Any], file: str, channels: int) -> Preparation:
    keys = content["config"]
    if "mean" in keys or "std" in keys:
        raise ValueError(f"{file} is of an early keras-hub")
    stated = (default if (value := keys.get(key)) is None else value for key, default in DEFAULTS.items())
    scale, offset = (_numbers(values, channels) for values in stated)
    mean = tuple(-shift / factor for shift, factor in zip(offset, scale, strict=True))
    return _preparation(keys.get("image_size"), mean, tuple(1 / factor for factor in scale), 1.0, file)


DEFAULTS = {"scale": 1.0, "offset": 0.0}
TAKEN: Mapping[str, Callable[[Mapping[str, Any], str, int], Preparation]] = {
    TRANSFORMERS_FILE: _of_transformers,
    KERAS_FILE: _of_keras,
}


def _preparation(size: Any, mean: Channels, std: Channels, factor: float, file: str) -> Preparation:
    """Mean and deviation of an image that was multiplied by `factor` -> those of the image itself. Raises ValueError."""
    mean, std = (tuple(value / factor for value in values) for values in (mean, std))
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0 or len(mean) != len(std):
        raise ValueError(f"{file} states {brief((mean, std))}")
    return Preparation(_size(size), mean, std, file)


def _size(stated: Any) -> tuple[int, int]:
    """A size in each form that transformers and keras-hub have had; the configuration's default if there is none."""
    if isinstance(stated, Mapping):
        stated = [stated.get("height", stated.get("shortest_edge")), stated.get("width", stated.get("shortest_edge"))]
    sides = stated if isinstance(stated, list) else [stated, stated]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        return DataConfig().base_size
    return sides[0], sides[1]


def _numbers(stated: Any, channels: int) -> Channels:
    """One value for all channels, or one for each, also with axes around them as in keras-hub. Raises one of FAULTS."""
    while isinstance(stated, list) and len(stated) == 1:
        stated = stated[0]
    values = tuple(map(float, stated)) if isinstance(stated, list) else (float(stated),) * channels
    if len(values) != channels:
        raise ValueError(f"{len(values)} numbers for {channels} channels")
    return values
