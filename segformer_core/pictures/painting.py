"""Label maps painted: colours, and colours laid over the image. Pictures are (H, W, 3) uint8 RGB."""

import math
from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.dataset import Classes
from segformer_core.errors import DataError
from segformer_core.files import atomic_write

ALPHA = 0.5

BRIGHTNESS = 0.3
"""Mean of 0..1 that a darker image is lifted to, by a power: 0.3 is a street on a cloudy day."""
STRONGEST_LIFT = 0.4
"""The smallest power: below it a night's noise shows more than its things."""

OUTLINE_SIDE = 2048
"""Pixels of the longer side for each pixel of an outline's line."""
LIGHT = 128
"""Luma, 0..255, from which a class's colour is edged with black; a darker one is edged with white."""


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W) uint8 gray or (H, W, 3) uint8 RGB. Raises UserError."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", pixels)[1]  # cv2's default settings: others take at least twice the time and save little
    atomic_write(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))


def colourise(labels: np.ndarray, classes: Classes) -> np.ndarray:
    """(H, W) uint8 labels -> (H, W, 3) uint8 RGB, the colours of their classes; black where ignored."""
    return cv2.applyColorMap(labels, classes.palette()[:, None])


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Classes,
    alpha: float = ALPHA,
    outlines: bool = False,
    part_of: tuple[int, int] | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB and (H, W) uint8 labels -> (H, W, 3) uint8 RGB: the classes' colours laid over the image.

    `alpha` is the colours' share: 0 leaves the image as it is, 1 shows only colours. A dark image is lifted first. `outlines`
    draws the borders of the classes. Ignored pixels show the image unchanged. `part_of`: height and width of an image of which
    these are some rows; they are not lifted, as others are brighter or darker, and outlines are as thick as in the whole. Raises
    DataError if the sizes differ, or alpha is not in 0..1.
    """
    if labels.shape != image.shape[:2]:
        raise DataError(f"labels of shape {labels.shape} for an image of shape {image.shape}; expected the same height and width")
    if not 0 <= alpha <= 1:
        raise DataError(f"an overlay's alpha is {alpha}; expected 0 (only the image) to 1 (only the colours)")
    colours = colourise(labels, classes)
    coloured = (labels < len(classes)).view(np.uint8)
    under = _lifted(image, coloured) if alpha and part_of is None else image
    picture = cv2.addWeighted(under, 1.0 - alpha, colours, alpha, 0.0)
    if outlines:
        _draw_outlines(picture, labels, colours, classes, outline_width(part_of or labels.shape))
    return cv2.copyTo(image, 1 - coloured, picture)


def _lifted(image: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The image, brighter if the mean of its counted pixels is below BRIGHTNESS. Black stays black, and white white."""
    mean = sum(cv2.mean(image, counted)[:3]) / 3 / 255
    if not 0 < mean < BRIGHTNESS:
        return image
    power = max(math.log(BRIGHTNESS) / math.log(mean), STRONGEST_LIFT)
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8))


def outline_width(size: tuple[int, ...]) -> int:
    """Of an image of `size`, in pixels."""
    return max(round(max(size) / OUTLINE_SIDE), 1)


def outline_reach(size: tuple[int, int]) -> int:
    """How many rows above and below a pixel decide whether an outline of an image of `size` is there."""
    return 2 * outline_width(size)


def _draw_outlines(picture: np.ndarray, labels: np.ndarray, colours: np.ndarray, classes: Classes, width: int) -> None:
    """Draw each class's border in its colour, and between two classes a line of black or white that stands out from both."""
    cv2.copyTo(colours, _near_border(labels, 2 * width, 2 * width), picture)
    luma = cv2.cvtColor(classes.palette()[None], cv2.COLOR_RGB2GRAY)[0]
    edges = np.where(luma < LIGHT, 255, 0).astype(np.uint8)[:, None].repeat(3, 1)
    cv2.copyTo(cv2.applyColorMap(labels, edges[:, None]), _near_border(labels, 0, width), picture)


def _near_border(labels: np.ndarray, before: int, after: int) -> np.ndarray:
    """(H, W) uint8, 255 where the labels from `before` pixels above and left to `after` below and right are not all the same."""
    window, anchor = np.ones((before + 1 + after, before + 1 + after), np.uint8), (before, before)
    return cv2.compare(cv2.dilate(labels, window, anchor=anchor), cv2.erode(labels, window, anchor=anchor), cv2.CMP_NE)
