"""labelme's shapes as masks, drawn with Pillow as labelme itself draws them."""

import base64
import binascii
import math
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from segformer_core.data.image_bytes import PNG, sound_png_size
from segformer_core.making.json_file import Place, Points

LINE_WIDTH, POINT_RADIUS = 10, 5
AS_LINES = frozenset(["line", "linestrip", "point"])
CORNERS = {"rectangle": (2, 4), "circle": (2, 2), "line": (2, 2), "point": (1, 1), "mask": (2, 2), "oriented_rectangle": (4, 4)}
"""Kind -> the least and the most points; others take any number from `LEAST`."""
LEAST = {"polygon": 3, "linestrip": 2}
KINDS = (*LEAST, *CORNERS)


def drawn(shape: dict[str, Any], place: Place, height: int, width: int) -> np.ndarray:
    """(H, W) bool. Raises DataError for a kind that labelme does not write, and for points far outside of the image."""
    kind, points = shape["shape_type"], _points(shape, place, height, width)
    if kind == "mask":
        return _patch(shape["mask"], place["mask"], points[0], height, width)
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    if kind == "circle":
        (x, y), (edge_x, edge_y) = points
        _disc(draw, x, y, math.hypot(x - edge_x, y - edge_y))
    elif kind == "point":
        _disc(draw, *points[0], POINT_RADIUS)
    elif kind == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(sides) for sides in zip(*points, strict=True))
        draw.rectangle((left, top, right, bottom), fill=1, outline=1)
    elif kind in AS_LINES:
        draw.line(points, fill=1, width=LINE_WIDTH)
    else:
        draw.polygon(points, fill=1, outline=1)
    return np.array(image, bool)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)


def _points(shape: dict[str, Any], place: Place, height: int, width: int) -> Points:
    kind = shape["shape_type"]
    if kind not in KINDS:
        place["shape_type"].refuse(kind, f"one of {', '.join(KINDS)}")
    here = place["points"]
    values = here.entries(shape["points"])
    least, most = CORNERS.get(kind, (LEAST.get(kind, 0), len(values)))
    if not least <= len(values) <= most:
        here.refuse(values, f"{least} points" + ("" if most == least else " or more") + f" of a {kind}")
    points = []
    for index, value in enumerate(values):
        pair = here[index].entries(value)
        if len(pair) != 2:
            here[index].refuse(pair, "x and y")
        x, y = (here[index].number(number, -side, 2 * side) for number, side in zip(pair, (width, height), strict=True))
        points.append((x, y))
    return points


def _patch(data: object, place: Place, origin: tuple[float, float], height: int, width: int) -> np.ndarray:
    """A mask that labelme stores as a PNG of the shape's box, whose upper left corner is `origin`."""
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        content = b""
    size = sound_png_size(content) if content.startswith(PNG) else None
    if size is None or size[0] > height + 1 or size[1] > width + 1:
        place.refuse(data, "a PNG in base64, no larger than the image")
    patch = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if patch is None:
        place.refuse(data, "a PNG in base64")
    mask = np.zeros((height, width), bool)
    left, top = round(origin[0]), round(origin[1])
    rows, columns = slice(max(top, 0), max(top + size[0], 0)), slice(max(left, 0), max(left + size[1], 0))
    room = mask[rows, columns]
    inside = patch[max(-top, 0) :, max(-left, 0) :][: room.shape[0], : room.shape[1]]
    mask[rows, columns][: inside.shape[0], : inside.shape[1]] = inside > 0
    return mask
