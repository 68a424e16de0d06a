"""Fonts that have the characters of a text: Matplotlib's DejaVu Sans, and of the installed ones what it lacks.

Pillow and Matplotlib both draw with them. A character counts as drawn only if its glyph is in the font's file, and has ink.
"""

import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PREFERRED = (
    *("notosanssc", "notosanscjksc", "notosanscjk", "sourcehansans", "wqy-microhei", "wqy-zenhei"),
    *("pingfang", "hiragino sans gb", "stheiti", "arial unicode", "msyh", "simhei", "yugoth", "malgun", "arialuni"),
    *("notosans", "dejavusans"),
)
"""How the names of the files begin that are asked first, of Linux, macOS and Windows; then all others."""

BOXES = "lastresort"
"""In the name of a font that has a box for every character."""

EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH")
"""How Unicode's names of such characters begin."""

INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
"""Unicode's categories of joiners, marks of direction, and spaces."""

NAMED = 6
"""How many characters a sentence shows."""


def fonts_of(text: str) -> Mapping[str, Path]:
    """Each character that some font has -> that font's file."""
    return _fonts_of(frozenset(text))


def undrawn(text: str) -> str:
    """The characters that no font has, each once. What has no ink is not among them."""
    fonts = fonts_of(text)
    return "".join(dict.fromkeys(character for character in text if character not in fonts and not _invisible(character)))


def advice(characters: str) -> str:
    """The sentence on characters that no font has: what to install."""
    east_asian = unicodedata.name(characters[0], "").startswith(EAST_ASIAN)
    fonts = "Noto Sans CJK (Debian and Ubuntu: fonts-noto-cjk)" if east_asian else "a font of that script, such as one of Noto's"
    more = f" and {len(characters) - NAMED} more" if len(characters) > NAMED else ""
    return f"no installed font has {' '.join(characters[:NAMED])}{more}: install {fonts}"


@cache
def _fonts_of(characters: frozenset[str]) -> dict[str, Path]:
    fonts = dict.fromkeys(_had(_dejavu(), characters), _dejavu())
    missing = {character for character in characters - fonts.keys() if not _invisible(character)}
    for path in _installed() if missing else ():
        fonts |= dict.fromkeys(_had(path, missing), path)
        missing -= fonts.keys()
        if not missing:
            break
    return fonts


def _had(path: Path, characters: frozenset[str] | set[str]) -> list[str]:
    """Those of the characters that the file has glyphs for; none if it is damaged, or holds bitmaps."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
        if not font.scalable:
            return []
        font.set_size(12, 72)
        return [character for character in characters if _has_glyph(font, character)]
    except (OSError, RuntimeError):
        return []


def _has_glyph(font: Any, character: str) -> bool:
    code = ord(character)
    return bool(font.get_char_index(code)) and (_invisible(character) or font.load_char(code).width > 0)


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in INVISIBLE or "\ufe00" <= character <= "\ufe0f"  # the latter select a variant


@cache
def _dejavu() -> Path:
    import matplotlib  # slow

    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def _installed() -> list[Path]:
    """The files of all installed fonts, in the order to ask them. Matplotlib's own list would be that of an earlier day."""
    from matplotlib.font_manager import findSystemFonts  # slow

    def rank(path: Path) -> tuple[int, bool, str]:
        name = path.name.lower()
        places = (place for place, start in enumerate(PREFERRED) if name.startswith(start))
        return next(places, len(PREFERRED)), "regular" not in name, name

    return sorted((path for path in map(Path, findSystemFonts()) if BOXES not in path.name.lower()), key=rank)
