"""Label maps as pictures: colours, overlays, a legend and a contact sheet. All pictures are (H, W, 3) uint8 RGB."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segformer_core.data.dataset import Classes

OPACITY = 0.5
MARGIN = 12
TEXT_HEIGHT = 30
INK, PAPER = (40, 40, 40), 255
FONT = cv2.FONT_HERSHEY_SIMPLEX


def colourise(labels: np.ndarray, classes: Classes) -> np.ndarray:
    """(H, W) uint8 labels -> their classes' colours; black where ignored."""
    return classes.palette()[labels]


def overlay(image: np.ndarray, colours: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """`colours` laid over `image` of the same size."""
    return cv2.addWeighted(image, 1.0 - opacity, colours, opacity, 0.0)


def legend(classes: Classes, width: int) -> np.ndarray:
    """A swatch and a name for every class, in rows that fill `width` pixels."""
    swatch, gap = 18, 14
    places, x, y = [], MARGIN, MARGIN
    for name in classes.names:
        needed = swatch + 6 + cv2.getTextSize(name, FONT, 0.45, 1)[0][0] + gap
        if x + needed > width and x > MARGIN:
            x, y = MARGIN, y + swatch + 8
        places.append((x, y))
        x += needed
    picture = np.full((y + swatch + MARGIN, width, 3), PAPER, np.uint8)
    for name, colour, (x, y) in zip(classes.names, classes.colours, places, strict=True):
        cv2.rectangle(picture, (x, y), (x + swatch, y + swatch), colour, -1)
        cv2.putText(picture, name, (x + swatch + 6, y + 14), FONT, 0.45, INK, 1, cv2.LINE_AA)
    return picture


@dataclass(frozen=True)
class SheetRow:
    """One image of a contact sheet: image (H, W, 3) RGB, truth and prediction (H, W) uint8."""

    caption: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def contact_sheet(rows: Sequence[SheetRow], classes: Classes, width: int = 420) -> np.ndarray:
    """Image, truth and prediction side by side, `width` pixels each, a row an image, with the legend below."""
    titles = ("image", "truth", "prediction")
    total = MARGIN + len(titles) * (width + MARGIN)
    bands = [_text(titles, width, total, 0.6)]
    for row in rows:
        height = round(row.image.shape[0] * width / row.image.shape[1])
        band = np.full((height, total, 3), PAPER, np.uint8)
        seen = [row.image, colourise(row.truth, classes), colourise(row.prediction, classes)]
        for column, picture in enumerate(seen):
            left = MARGIN + column * (width + MARGIN)
            method = cv2.INTER_AREA if column == 0 else cv2.INTER_NEAREST
            band[:, left : left + width] = cv2.resize(picture, (width, height), interpolation=method)
        bands += [band, _text((row.caption,), total, total, 0.45)]
    return np.concatenate([*bands, legend(classes, total)])


def _text(words: Sequence[str], step: int, total: int, size: float) -> np.ndarray:
    band = np.full((TEXT_HEIGHT, total, 3), PAPER, np.uint8)
    for column, word in enumerate(words):
        place = (MARGIN + column * (step + MARGIN), TEXT_HEIGHT - 10)
        cv2.putText(band, word, place, FONT, size, INK, 1, cv2.LINE_AA)
    return band
