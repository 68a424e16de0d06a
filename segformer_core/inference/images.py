"""What a program may give as an image: a file, an array, a tensor, a picture of Pillow; and how it becomes an array.

A framework is looked for among the loaded modules: whoever gives a tensor has loaded it.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
from PIL import ImageOps
from PIL.Image import Image as Picture

from segformer_core.data.image_file import read_image
from segformer_core.data.image_form import GRAY, LARGEST, RGB, RGB_CHANNELS, ImageForm, may_have, on_scale, with_channels
from segformer_core.errors import DataError, brief
from segformer_core.files import usable
from segformer_core.inference.video import VIDEO_SUFFIXES
from segformer_core.memory import memory_for


class Tensor(Protocol):
    """A tensor of PyTorch or MindSpore, (C, H, W)."""

    @property
    def ndim(self) -> int: ...
    def permute(self, *axes: int) -> Any: ...


Image: TypeAlias = str | os.PathLike[str] | np.ndarray[Any, Any] | Picture | Tensor
"""A file's name, or an image that is in memory already."""

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
UNNAMED = "image"
"""The name of an image that is no file, for its results."""
ACCEPTED = "a file's name, a NumPy array (H, W, 3), a tensor (3, H, W) or a Pillow image"
BATCH = "give the images of a batch one by one, as network(list(images))"


@dataclass(frozen=True)
class Read:
    """`pixels` (H, W, C), uint8, or float32 on the scale 0..255; `source` is the file, or None; `name` begins the results'."""

    pixels: np.ndarray
    source: Path | None
    name: str


def is_one(images: object) -> "TypeGuard[Image]":
    """Whether this is one image, or what nobody can iterate; else it holds several."""
    kinds = str | bytes | os.PathLike | np.ndarray | Picture
    return isinstance(images, kinds) or bool(_framework(images)) or not isinstance(images, Iterable)


def read(image: object, form: ImageForm = RGB, what: str = "the image", name: str = UNNAMED) -> Read:
    """The image as an array of `form`. Raises DataError: `what` is what is given, and `name` that of an image in memory.

    A file is read as `read_image` reads it, and a Pillow image is turned as its EXIF orientation says. An array is (H, W, C) or
    (H, W), a tensor (C, H, W). uint8 is 0..255, and uint16 as in a file; floats are 0..1, as dividing by 255 makes them, unless
    the form has a range.
    """
    if isinstance(image, str | os.PathLike):
        path = _file(os.fspath(image))
        with memory_for("the image", "make it smaller"):
            return Read(read_image(path, form), path, path.stem)
    if isinstance(image, np.ndarray):
        values = image
    elif isinstance(image, Picture):
        values = _of_pillow(image, form.channels)
    elif framework := _framework(image):
        values = _channels_last(TENSORS[framework](image), form.channels, what)
    else:
        raise DataError(f"{what} is {brief(image)}, of type {type(image).__name__}; expected {ACCEPTED}")
    return Read(_of_form(values, form, what), None, name)


def _file(text: str) -> Path:
    """The path of an image file. Raises DataError for an address, a folder and a video, which are no image."""
    if ADDRESS.match(text):
        raise DataError(f"{brief(text)} is an address, and nothing is downloaded; save the image as a file and give its name")
    path = Path(usable(text, DataError))
    if path.is_dir():
        raise DataError(f'{path} is a folder; give its images, such as network(sorted(Path({brief(text)}).glob("*.jpg")))')
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise DataError(f"{path} is a video; give its frames, as network(frames({brief(text)}))")
    return path


def _of_form(values: np.ndarray, form: ImageForm, what: str) -> np.ndarray:
    """(H, W, C) or (H, W) numbers -> (H, W, form.channels), uint8, or float32 on the scale 0..255. Raises DataError."""
    given = f"{what} is an array of {_shape(values)} {values.dtype}"
    image = values[..., None] if values.ndim == 2 else values
    if image.ndim != 3 or image.dtype.kind not in "uif" or not may_have(image.shape[2], form.channels) or not image.size:
        colours = ", RGB" if form.channels == RGB_CHANNELS else ""
        raise DataError(
            f"{given}; expected height × width × {form.channels}, uint8 0..255 or floats 0..1{colours}{_way_on(image, form)}"
        )
    if image.dtype.kind == "f" and form.range is None:
        low, high = float(image.min()), float(image.max())
        if not 0 <= low <= high <= 1:
            raise DataError(
                f"{given} with values from {low:.6g} to {high:.6g}; expected floats 0..1, not normalised, or uint8 0..255; or "
                "say which values are black and white, as image_range"
            )
        image = np.rint(image.astype(np.float32) * LARGEST).astype(np.uint8)
    return with_channels(on_scale(image, form, what), form.channels, what)


def _way_on(image: np.ndarray, form: ImageForm) -> str:
    """What to do with an array of a shape that is none of an image."""
    if image.ndim == 4:
        return f": {BATCH}"
    if image.ndim == 3 and image.shape[2] == form.channels + 1:
        return f": image[..., :{form.channels}] leaves alpha out"
    channels_first = image.ndim == 3 and image.shape[0] == form.channels
    return ": image.transpose(1, 2, 0) puts the channels last" if channels_first else ""


def _shape(values: np.ndarray) -> str:
    return "×".join(map(str, values.shape)) or "no axes"


def _framework(image: object) -> str:
    """The framework of which this is a tensor, or nothing. One that is not loaded has made none."""
    loaded = (name for name in TENSORS if name in sys.modules)
    return next((name for name in loaded if isinstance(image, getattr(sys.modules[name], "Tensor", ()))), "")


def _of_pillow(picture: Picture, channels: int) -> np.ndarray:
    """Turned as EXIF says; gray and RGB as a viewer shows it, no alpha; more than 8 bits keep their values."""
    turned = ImageOps.exif_transpose(picture)
    deep = turned.mode in ("I", "F") or turned.mode.startswith("I;")
    if deep or channels not in (GRAY, RGB_CHANNELS):
        return np.asarray(turned)
    return with_channels(np.asarray(turned.convert("RGB")), channels, "the image")


def _channels_last(values: np.ndarray, channels: int, what: str) -> np.ndarray:
    """(C, H, W) -> (H, W, C). Raises DataError if the channels do not come first."""
    if values.ndim == 3 and may_have(values.shape[0], channels):
        return np.ascontiguousarray(values.transpose(1, 2, 0))
    way_on = f": {BATCH}" if values.ndim == 4 else ""
    if values.ndim == 3 and may_have(values.shape[2], channels):
        way_on = ": image.permute(2, 0, 1) puts the channels first"
    raise DataError(f"{what} is a tensor of {_shape(values)}; expected {channels} × height × width{way_on}")


TENSORS: dict[str, Callable[[Any], np.ndarray]] = {
    "torch": lambda tensor: _float32(tensor).detach().cpu().numpy(),
    "mindspore": lambda tensor: _float32(tensor).asnumpy(),
}
"""Framework -> from its tensor, on whatever device, to an array. NumPy has no bfloat16."""


def _float32(tensor: Any) -> Any:
    return tensor.float() if tensor.is_floating_point() else tensor
