"""What a Markdown page points to: links, pictures, and the anchors of headings by GitHub's rule."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from parity_tests.documents.blocks import FENCE

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(\s*<?([^)>\s]*)>?(?:\s+\"[^\"]*\")?\s*\)")
PICTURE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
NAMED = re.compile(r"<a\b[^>]*\b(?:id|name)=\"([^\"]+)\"", re.IGNORECASE)
HREF = re.compile(r"<a\b[^>]*\bhref=\"([^\"]+)\"", re.IGNORECASE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
"""How the address of another host begins."""
TOCTREE = re.compile(r"^\.\. toctree::\n((?: .*\n|\n)+)", re.MULTILINE)

LARGEST_PICTURE = 200_000
"""Bytes, so that a page opens at once."""


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading: small letters, digits, `_` and `-` of any script; other signs go and spaces become `-`."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """All anchors of a page; a second heading of the same words gets `-1`."""
    text = COMMENT.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    found: dict[str, int] = {}
    names = set(NAMED.findall(text))
    for heading in HEADING.findall(text):
        name = anchor(heading)
        count = found[name] = found.get(name, -1) + 1
        names.add(f"{name}-{count}" if count else name)
    return frozenset(names)


def faults(page: Path) -> Iterator[str]:
    """A sentence for each link of the page that leads nowhere, and for each picture without text or of too many bytes."""
    text = CODE.sub("", COMMENT.sub("", FENCE.sub("", page.read_text(encoding="utf-8"))))
    for image in PICTURE.findall(text):
        values = dict(re.findall(r"(\w+)=\"([^\"]*)\"", image))
        yield from _picture(page, values.get("src", ""), values.get("alt", ""))
    yield from _links(page, text)
    for target in HREF.findall(text):
        yield from _link(page, target)


def _links(page: Path, text: str) -> Iterator[str]:
    for mark, words, target in LINK.findall(text):
        if mark:
            yield from _picture(page, target, words)
        else:
            yield from _links(page, words)  # a picture that is a link
            yield from _link(page, target)


def _picture(page: Path, source: str, words: str) -> Iterator[str]:
    if not words.strip():
        yield f"the picture {source} has no text for those who do not see it"
    if ELSEWHERE.match(source):
        return
    path = page.parent / unquote(source)
    if not path.is_file():
        yield f"there is no picture {source}"
    elif path.stat().st_size >= LARGEST_PICTURE:
        yield f"the picture {source} has {path.stat().st_size:,} bytes; expected less than {LARGEST_PICTURE:,}"


def _link(page: Path, target: str) -> Iterator[str]:
    if ELSEWHERE.match(target):
        return
    place, _, fragment = unquote(target).partition("#")
    path = page.parent / place if place else page
    if target.startswith("/") or not path.exists():
        yield f"the link {target} leads to no file"
    elif fragment and (path.suffix != ".md" or fragment not in anchors(path)):
        yield f"the link {target} leads to no heading"


def pages_of_the_site(index: Path) -> list[str]:
    """The names in the toctrees of the site's first page."""
    lines = "".join(TOCTREE.findall(index.read_text(encoding="utf-8"))).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(":")]
