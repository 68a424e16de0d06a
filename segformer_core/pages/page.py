"""Turns a Jinja template of another room into a page, and pictures into a part of it.

Templates import the macros of common.html; every page begins with the styles colours.css and common.css, and common.js moves the
divider of each picture.
"""

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from segformer_core.pages import COLOURS

LONG_SIDE = 1024
"""Pixels; a picture with a longer side is reduced to this."""

JPEG_QUALITY = 85


def rendered(package: str, name: str, data: Any, **values: Any) -> str:
    """The page of the template NAME.html of a package, with the styles of NAME.css and, if there is one, the program NAME.js.

    `data` is what the page embeds as JSON. The template gets the `values` and `style`, `script` and `json`.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(lambda shared: _file(__package__, shared)),
    )
    environment.filters |= {"percent": percent, "css": css_share}
    program = _file(package, f"{name}.js") if files(package).joinpath(f"{name}.js").is_file() else ""
    return environment.from_string(_file(package, f"{name}.html")).render(
        style=Markup(_file(__package__, COLOURS) + _file(__package__, "common.css") + _file(package, f"{name}.css")),
        script=Markup(_file(__package__, "common.js") + program),
        json=Markup(as_json(data).replace("<", "\\u003c")),  # so that nothing in it ends the script
        **values,
    )


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def percent(share: float | None) -> str:
    """0..1 as a percentage with two decimals; a dash for None."""
    return "–" if share is None else f"{100 * share:.2f}%"


def css_share(value: float | None) -> str:
    """0..1 as a CSS percentage; for None a negative one, which is out of sight."""
    return "-1%" if value is None else f"{100 * value:.2f}%"


def css_colour(colour: Sequence[int]) -> str:
    red, green, blue = colour[:3]
    return f"rgb({red} {green} {blue})"


def figure(name: str, caption: str, image: np.ndarray, layers: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the macro `figure` shows: an image under layers, of which the page's style shows one at a time.

    image   (H, W, 3) uint8 RGB of any size; it is reduced
    layers  kind -> (H', W', 3 or 4) uint8 RGB or RGBA, already reduced
    """
    image = reduced(image, cv2.INTER_AREA)
    height, width = image.shape[:2]
    return {
        "name": name,
        "caption": caption,
        "width": width,
        "height": height,
        "image": _jpeg(image),
        "layers": {kind: _png(layer) for kind, layer in layers.items()},
    }


def reduced(pixels: np.ndarray, interpolation: int, long_side: int = LONG_SIDE) -> np.ndarray:
    """(H, W) or (H, W, C) uint8, made smaller where a side is longer than `long_side`."""
    height, width = pixels.shape[:2]
    factor = long_side / max(height, width)
    if factor >= 1:
        return pixels
    return cv2.resize(pixels, (max(round(width * factor), 1), max(round(height * factor), 1)), interpolation=interpolation)


def _file(package: str | None, name: str) -> str:
    assert package is not None
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _jpeg(image: np.ndarray) -> str:
    return _inline("jpeg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)


def _png(pixels: np.ndarray) -> str:
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return _inline("png", cv2.cvtColor(pixels, order), cv2.IMWRITE_PNG_COMPRESSION, 9)


def _inline(kind: str, pixels: np.ndarray, setting: int, value: int) -> str:
    """(H, W, 3 or 4) uint8 BGR or BGRA -> a data URI."""
    _, data = cv2.imencode(f".{kind}", pixels, [setting, value])
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
