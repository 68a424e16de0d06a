"""A font for tests: what a machine has installed must not decide them."""

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from segformer_core.pictures import fonts

FAMILY = "Bars of a test"
UNCACHED = fonts._fonts_of.__wrapped__

BITMAPS = """STARTFONT 2.1
FONT bitmaps
SIZE 12 72 72
FONTBOUNDINGBOX 12 12 0 0
STARTPROPERTIES 2
FONT_ASCENT 12
FONT_DESCENT 0
ENDPROPERTIES
CHARS 1
STARTCHAR u8f66
ENCODING 36710
SWIDTH 1000 0
DWIDTH 12 0
BBX 8 2 0 0
BITMAP
FF
FF
ENDCHAR
ENDFONT
"""
"""A BDF font that has 车 in one size."""


def write_font(path: Path, characters: str, blank: str = "", family: str = FAMILY) -> Path:
    """A TrueType font in which each character is an upright bar, thicker from one to the next; `blank` ones have no ink."""
    names = [".notdef", *(f"bar{index}" for index in range(len(characters + blank)))]
    glyphs = [_bar(1000), *(_bar(100 + 50 * index) for index in range(len(characters))), *(_bar(0) for _ in blank)]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters + blank), names[1:], strict=True)))
    builder.setupGlyf(dict(zip(names, glyphs, strict=True)))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def _bar(width: int) -> object:
    pen = TTGlyphPen(None)
    if width:
        pen.moveTo((0, 0))
        for corner in ((0, 800), (width, 800), (width, 0)):
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def install(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Let these files be all that is installed, in this order."""
    monkeypatch.setattr(fonts, "_installed", lambda: list(paths))
    monkeypatch.setattr(fonts, "_fonts_of", UNCACHED)
