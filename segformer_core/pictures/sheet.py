"""A legend, and a contact sheet. Pictures are (H, W, 3) uint8 RGB."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segformer_core.data.dataset import Classes
from segformer_core.pictures.painting import colourise

COLUMNS = ("image", "truth", "prediction")
MARGIN, GAP = 24, 12
SWATCH = 18
FONT = cv2.FONT_HERSHEY_SIMPLEX
TITLE_SIZE, TEXT_SIZE = 0.7, 0.5
PAPER, INK, SOFT_INK = 255, (30, 30, 30), (110, 110, 110)


def legend(classes: Classes, width: int) -> np.ndarray:
    """A swatch and a name for every class, and black for ignored, in rows that fill `width` pixels."""
    entries = [*zip(classes.names, classes.colours, strict=True), ("ignored", (0, 0, 0))]
    pitch = SWATCH + 6 + max(_text_width(name) for name, _ in entries) + GAP
    across = max((width - 2 * MARGIN + GAP) // pitch, 1)
    down = -(-len(entries) // across)
    picture = _paper(down * (SWATCH + GAP) - GAP + 2 * MARGIN, width)
    for place, (name, colour) in enumerate(entries):
        x, y = MARGIN + place % across * pitch, MARGIN + place // across * (SWATCH + GAP)
        cv2.rectangle(picture, (x, y), (x + SWATCH, y + SWATCH), colour, cv2.FILLED)
        cv2.rectangle(picture, (x, y), (x + SWATCH, y + SWATCH), SOFT_INK)  # keeps a light colour visible on the paper
        cv2.putText(picture, name, (x + SWATCH + 6, y + 14), FONT, TEXT_SIZE, INK, 1, cv2.LINE_AA)
    return picture


@dataclass(frozen=True)
class SheetRow:
    """One image of a contact sheet: image (H, W, 3) uint8 RGB; truth and prediction (H, W) uint8."""

    caption: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def contact_sheet(rows: Sequence[SheetRow], classes: Classes, width: int = 480) -> np.ndarray:
    """A row for each image: image, truth and prediction side by side, each `width` pixels wide; the legend is below."""
    lefts = [MARGIN + column * (width + GAP) for column in range(len(COLUMNS))]
    total = lefts[-1] + width + MARGIN
    heading = _paper(MARGIN + 34, total)
    for left, title in zip(lefts, COLUMNS, strict=True):
        cv2.putText(heading, title, (left, MARGIN + 20), FONT, TITLE_SIZE, INK, 1, cv2.LINE_AA)
    bands = [heading]
    for row in rows:
        height = max(round(row.image.shape[0] * width / row.image.shape[1]), 1)
        band = _paper(height, total)
        pictures = (row.image, colourise(row.truth, classes), colourise(row.prediction, classes))
        for left, picture in zip(lefts, pictures, strict=True):
            # An average of the colours keeps poles and other thin objects whole; a choice of single labels would not.
            band[:, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        caption = _paper(40, total)
        cv2.putText(caption, row.caption, (MARGIN, 18), FONT, TEXT_SIZE, SOFT_INK, 1, cv2.LINE_AA)
        bands += [band, caption]
    return np.concatenate([*bands, legend(classes, total)])


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def _text_width(text: str) -> int:
    return cv2.getTextSize(text, FONT, TEXT_SIZE, 1)[0][0]
