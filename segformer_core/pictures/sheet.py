"""A legend, and a contact sheet. Pictures are (H, W, 3) uint8 RGB."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from segformer_core.data.dataset import Classes
from segformer_core.pictures.lettering import Colour, Lettering, class_names, readable
from segformer_core.pictures.painting import colourise

COLUMNS = ("image", "truth", "prediction")
MARGIN, GAP = 24, 12
SWATCH = 18
LINE, INDENT, COLUMN_GAP = SWATCH + GAP, SWATCH + 6, 2 * GAP
"""From one entry of a legend to that below it, from its swatch to its name, and from its name to the next column."""
HEADING, CAPTION = 34, 40
"""Pixels above the pictures of a sheet for the columns' titles, and below each row for its caption."""
TITLE_SIZE, TEXT_SIZE = 21, 15
LONGEST_NAME = 260
"""Pixels of a class's name; a longer one is cut."""
MOST_COLUMNS = 4
"""Of a legend beside pictures; where they do not hold it, the sheet is higher than its pictures."""
PAPER, INK, SOFT_INK = (255, 255, 255), (30, 30, 30), (110, 110, 110)
IGNORED_COLOUR = (0, 0, 0)


@dataclass(frozen=True)
class Entry:
    """Of a legend; `width` is its name's, in pixels."""

    name: str
    colour: Colour
    width: int


class Key:
    """A swatch and a name for every class, and black for ignored, in columns; each name within `width` pixels."""

    def __init__(self, classes: Classes, width: int = LONGEST_NAME):
        names = [*class_names(classes.names), "ignored"]
        self.lettering = Lettering(names, TEXT_SIZE)
        short = [self.lettering.shortened(name, width) for name in names]
        colours = [*classes.colours, IGNORED_COLOUR]
        self.entries = [Entry(name, colour, self.lettering.width(name)) for name, colour in zip(short, colours, strict=True)]

    def columns(self, rows: int) -> list[list[Entry]]:
        """The entries from top to bottom, then from left to right; `rows` in a column."""
        return [self.entries[start : start + rows] for start in range(0, len(self.entries), rows)]

    def fitting(self, width: int) -> list[list[Entry]]:
        """As many columns as fit `width` pixels, and one at least."""
        choices = (self.columns(-(-len(self.entries) // count)) for count in range(len(self.entries), 1, -1))
        return next((columns for columns in choices if total_width(columns) <= width), self.columns(len(self.entries)))

    def draw(self, page: ImageDraw.ImageDraw, left: int, top: int, columns: Sequence[Sequence[Entry]]) -> None:
        for column in columns:
            for row, entry in enumerate(column):
                y = top + row * LINE
                page.rectangle((left, y, left + SWATCH, y + SWATCH), entry.colour, SOFT_INK)  # a light one shows on the paper
                self.lettering.draw(page, (left + INDENT, y + 14), entry.name, INK)
            left += INDENT + max(entry.width for entry in column) + COLUMN_GAP


def total_width(columns: Sequence[Sequence[Entry]]) -> int:
    """Pixels from the first column's left to the last one's right."""
    return sum(INDENT + max(entry.width for entry in column) + COLUMN_GAP for column in columns) - COLUMN_GAP


def legend(classes: Classes, width: int) -> np.ndarray:
    """A swatch and a name for every class, and black for ignored, in columns that fill `width` pixels."""
    room = width - 2 * MARGIN
    key = Key(classes, min(LONGEST_NAME, room - INDENT))
    columns = key.fitting(room)
    picture = Image.new("RGB", (width, len(columns[0]) * LINE - GAP + 2 * MARGIN), PAPER)
    key.draw(ImageDraw.Draw(picture), MARGIN, MARGIN, columns)
    return np.array(picture)


@dataclass(frozen=True)
class SheetRow:
    """One image of a contact sheet: image (H, W, 3) uint8 RGB; truth and prediction (H, W) uint8."""

    caption: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray

    def height(self, width: int) -> int:
        """Of its pictures, each `width` pixels wide."""
        return max(round(self.image.shape[0] * width / self.image.shape[1]), 1)


def contact_sheet(rows: Sequence[SheetRow], classes: Classes, width: int = 480) -> np.ndarray:
    """A row for each image: image, truth and prediction side by side, each `width` pixels wide, and right of them the legend."""
    lefts = [MARGIN + column * (width + GAP) for column in range(len(COLUMNS) + 1)]
    top = MARGIN + HEADING
    bottom = top + sum(row.height(width) + CAPTION for row in rows)
    key = Key(classes)
    columns = key.columns(max((bottom - top) // LINE, -(-len(key.entries) // MOST_COLUMNS)))
    height = max(bottom, top + len(columns[0]) * LINE - GAP) + MARGIN
    picture = Image.new("RGB", (lefts[-1] + GAP + total_width(columns) + MARGIN, height), PAPER)
    page = ImageDraw.Draw(picture)
    titles = Lettering(COLUMNS, TITLE_SIZE)
    for left, title in zip(lefts, COLUMNS, strict=False):
        titles.draw(page, (left, MARGIN + 20), title, INK)
    captions = [readable(row.caption) for row in rows]
    lettering = Lettering(captions, TEXT_SIZE)
    key.draw(page, lefts[-1] + GAP, top, columns)
    y = top
    for row, caption in zip(rows, captions, strict=True):
        size = (width, row.height(width))
        pictures = (row.image, colourise(row.truth, classes), colourise(row.prediction, classes))
        for left, pixels in zip(lefts, pictures, strict=False):
            # An average of the colours keeps poles and other thin objects whole; a choice of single labels would not.
            picture.paste(Image.fromarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)), (left, y))
        lettering.draw(page, (MARGIN, y + size[1] + 18), lettering.shortened(caption, lefts[-1] - GAP - MARGIN), SOFT_INK)
        y += size[1] + CAPTION
    return np.array(picture)
