"""Text on a picture, in every script that an installed font has."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

from segformer_core.errors import one_line
from segformer_core.pictures.fonts import advice, fonts_of, undrawn

Colour = tuple[int, int, int]
ELLIPSIS = "…"
LONGEST = 200
"""Characters of a text, of which no more is measured."""


class Lettering:
    """How to draw some texts at one size, in pixels. Some font has each character: see `class_names` and `readable`."""

    def __init__(self, texts: Iterable[str], size: int):
        self.size, self.fonts = size, fonts_of("".join(texts) + ELLIPSIS)

    def width(self, text: str) -> int:
        """Pixels from the text's left to its right."""
        return round(sum(font.getlength(run) for font, run in self._runs(text)))

    def shortened(self, text: str, width: int) -> str:
        """The text, or as much of its beginning as fits `width` with a … behind it."""
        if len(text) <= LONGEST and self.width(text) <= width:
            return text
        ends = range(min(len(text) - 1, LONGEST), 0, -1)
        return next((short for end in ends if self.width(short := text[:end].rstrip() + ELLIPSIS) <= width), ELLIPSIS)

    def draw(self, page: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: Colour) -> None:
        """Draw the text; `place` is the left end (x, y) of the line that it stands on."""
        x, y = place
        for font, run in self._runs(text):
            page.text((x, y), run, colour, font, anchor="ls")
            x += font.getlength(run)

    def _runs(self, text: str) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
        for path, run in groupby(text, self.fonts.__getitem__):
            yield _font(path, self.size), "".join(run)


@cache
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def class_names(names: Sequence[str]) -> list[str]:
    """The names of classes 0, 1, … as they can be drawn: in one line, and by number where no font has all characters."""
    lines = [one_line(name) for name in names]
    fonts = fonts_of("".join(lines))
    return [_numbered(index, line, "".join(filter(fonts.__contains__, line))) for index, line in enumerate(lines)]


def _numbered(index: int, name: str, drawn: str) -> str:
    if not undrawn(name):
        return drawn
    return f"{index}: {drawn.strip()}" if any(map(str.isalnum, drawn)) else f"class {index}"


def complaint(names: Iterable[str]) -> str:
    """The sentence on the characters of the names that no font has, and what to install; empty if all can be drawn."""
    missing = undrawn(one_line("".join(names)))
    return advice(missing) if missing else ""


def readable(text: str) -> str:
    """The text in one line; a character that no font has is an escape such as \\u8f66."""
    line = one_line(text)
    escapes = {character: ascii(character)[1:-1] for character in undrawn(line)}
    as_drawn = dict(zip(fonts_of(line), fonts_of(line), strict=True)) | escapes
    return "".join(as_drawn.get(character, "") for character in line)
