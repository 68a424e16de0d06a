"""What the bytes of an image file say before they are decoded: whether they are whole, and how their pixels are stored."""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
PNG_HEADER, PNG_DEPTH, PNG_KIND, PNG_INTERLACE, PNG_HEADER_END = 16, 24, 25, 28, 29
"""The bytes of a PNG where its header begins, those that hold the bits a channel, whether it is gray, RGB, a palette, …, and
whether its rows are interlaced, and where the header ends."""

PNG_GRAY, PNG_RGB, PNG_PALETTE, PNG_GRAY_ALPHA, PNG_RGBA = 0, 2, 3, 4, 6
JPEG, JPEG_SCAN, JPEG_END = b"\xff\xd8\xff", 0xDA, b"\xff\xd9"
JPEG_MARKER = re.compile(rb"\xff+([\x01-\xfe])", re.DOTALL)
JPEG_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xD9)])
RIFF, WEBP = b"RIFF", b"WEBP"
WEBP_FRAME, WEBP_FRAME_HEAD = b"ANMF", 16
"""The chunk of a WebP that holds other chunks, those of one picture of a film, after so many bytes."""

WEBP_EXIF = re.compile(rb"EXIF.{4}(?:Exif\0\0)?(?=II\*\0|MM\0\*)", re.DOTALL)
"""The head of a WebP's EXIF chunk: its name, its size and, in some files, JPEG's prefix. A TIFF header follows."""

TIFF, BIG_TIFF = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")
ORIENTATION, BITS, COMPRESSION, COLOURS, CHANNELS, PLANES, FORMAT = 0x112, 0x102, 0x103, 0x106, 0x115, 0x11C, 0x153
ALPHA = 0x152
"""Tags of a TIFF header."""

TIFF_WHITE_IS_ZERO, TIFF_GRAY, TIFF_RGB, TIFF_PALETTE, TIFF_CMYK = 0, 1, 2, 3, 5
"""What a TIFF's values may mean, its tag COLOURS."""

TIFF_KINDS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}
CONVERT = "convert it to PNG or JPEG"
OTHER_KINDS = (
    (4, b"ftyphei", f"is a HEIC image, whatever its name says; {CONVERT}"),
    (4, b"ftypmif1", f"is a HEIC image, whatever its name says; {CONVERT}"),
    (4, b"ftypavi", f"is an AVIF image; {CONVERT}"),
    (0, b"\0\0\0\x0cJXL ", f"is a JPEG XL image; {CONVERT}"),
    (0, b"\xff\x0a", f"is a JPEG XL image; {CONVERT}"),
    (0, b"GIF8", f"is a GIF image that cannot be decoded; {CONVERT}"),
    (0, b"8BPS", f"is a Photoshop file; {CONVERT}"),
    (0, b"%PDF", f"is a PDF; {CONVERT}"),
    (0, b"version https://git-lfs", "is a git-lfs pointer, not the image; run git lfs pull"),
    (0, b"<!doctype html", "is a web page, not the image; download it again"),
    (0, b"<html", "is a web page, not the image; download it again"),
)
"""Offset and bytes by which a file that is often called .jpg or .png shows what it is, and what to say of it."""

MAX_ENTRIES = 1000
"""A damaged header may announce any number of entries."""


def is_complete(data: bytes) -> bool:
    """Whether the bytes of an image file reach its end; cv2 decodes a truncated PNG or JPEG without an error.

    Other data may follow the end: phones append films, chat programs append text.
    """
    if data.startswith(PNG):
        return any(name == PNG_END for name, _, _ in png_chunks(data))
    if data.startswith(JPEG):
        scan = _jpeg_scan(data)
        return scan > 0 and data.find(JPEG_END, scan) > 0
    if is_webp(data):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return bool(data)


def other_kind(data: bytes) -> str:
    """The rest of a sentence on a file that is known, but no image that can be decoded; empty if it is not known."""
    head = data[:64]
    return next((words for at, mark, words in OTHER_KINDS if head[at:].lower().startswith(mark.lower())), "")


def is_webp(data: bytes) -> bool:
    return data.startswith(RIFF) and data[8:12] == WEBP


def webp_chunks(data: bytes) -> Iterator[bytes]:
    """The names of a WebP's chunks, and of those in its films; none of another file."""
    at = 12 if is_webp(data) else len(data)
    while at + 8 <= len(data):
        name = data[at : at + 4]
        yield name
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + (WEBP_FRAME_HEAD if name == WEBP_FRAME else size + size % 2)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each whole chunk of a PNG, up to its end; start and end are those of the content."""
    start = len(PNG) + 8
    while (end := start + int.from_bytes(data[start - 8 : start - 4], "big")) + 4 <= len(data):
        name = data[start - 4 : start]
        yield name, start, end
        if name == PNG_END:
            return
        start = end + 12


def sound_png_size(data: bytes) -> tuple[int, int] | None:
    """Height and width of a PNG whose check sums are right, at a tenth of what decoding takes.

    None for any other image, and for one with EXIF data, which may turn it.
    """
    if not data.startswith(PNG):
        return None
    names = set()
    for name, start, end in png_chunks(data):
        if zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return None
        names.add(name)
    if not names >= {b"IHDR", b"IDAT", PNG_END} or b"eXIf" in names or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The PNG that has these chunks, each a name and its content, from IHDR to IEND."""
    parts = [PNG]
    for name, content in chunks:
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))]
    return b"".join(parts)


def under_header(data: bytes, header: bytes) -> bytes:
    """The compressed rows of a PNG under another header, the content of an IHDR; all other chunks are left out."""
    rows = [data[start:end] for name, start, end in png_chunks(data) if name == b"IDAT"]
    return png_of([(b"IHDR", header), *((b"IDAT", part) for part in rows), (PNG_END, b"")])


def without_palette(data: bytes) -> bytes:
    """A PNG with a palette -> the gray PNG whose values are the indices."""
    return under_header(data, data[PNG_HEADER:PNG_KIND] + bytes([PNG_GRAY]) + data[PNG_KIND + 1 : PNG_HEADER_END])


@dataclass(frozen=True)
class TiffForm:
    """How a TIFF stores its first picture.

    `kind` is a word such as uint or float, `colours` what its values mean, `compression` the number of the method, `alpha` what
    the first channel beyond the colours is: 0 unknown, 1 alpha by which they are multiplied, 2 alpha by which they are not.
    """

    channels: int
    kind: str
    bits: int
    separate: bool
    colours: int
    compression: int
    alpha: int = 0
    orientation: int = 1


def tiff_form(data: bytes) -> TiffForm | None:
    """None if the data are no TIFF, or a damaged one."""
    if not data.startswith(TIFF + BIG_TIFF):
        return None
    values = tiff_values(data, {BITS, COMPRESSION, CHANNELS, COLOURS, PLANES, FORMAT, ALPHA, ORIENTATION})
    kind = TIFF_KINDS.get(values.get(FORMAT, 1), "uint")
    separate = values.get(PLANES, 1) == 2
    colours, compression = values.get(COLOURS, TIFF_GRAY), values.get(COMPRESSION, 1)
    marks = values.get(ALPHA, 0), values.get(ORIENTATION, 1)
    return TiffForm(values.get(CHANNELS, 1), kind, values.get(BITS, 1), separate, colours, compression, *marks)


def tiff_without_palette(data: bytes) -> bytes:
    """A TIFF with a palette -> the gray TIFF whose values are the indices."""
    changed = bytearray(data)
    for at, size in _tiff_fields(data, {COLOURS}).values():
        changed[at : at + size] = TIFF_GRAY.to_bytes(size, _byte_order(data))
    return bytes(changed)


def tiff_values(data: bytes, tags: set[int]) -> dict[int, int]:
    """Tag -> the first value that a TIFF header's first directory gives it; empty where it is damaged."""
    order = _byte_order(data)
    return {tag: int.from_bytes(data[at : at + size], order) for tag, (at, size) in _tiff_fields(data, tags).items()}


def _tiff_fields(data: bytes, tags: set[int]) -> dict[int, tuple[int, int]]:
    """Tag -> where the first value lies that the first directory gives it, and its size in bytes."""
    order, big = _byte_order(data), data.startswith(BIG_TIFF)
    width, count_width, entry_size, inside = (8, 8, 20, 8) if big else (4, 2, 12, 4)
    sizes = {1: 1, 3: 2, 4: 4, 16: 8}

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    first = number(8 if big else 4, width)
    fields: dict[int, tuple[int, int]] = {}
    for index in range(min(number(first, count_width), MAX_ENTRIES)):
        at = first + count_width + index * entry_size
        size = sizes.get(number(at + 2, 2), 0)
        if number(at, 2) in tags and size:
            field = at + entry_size - inside
            outside = number(at + 4, width) * size > inside
            fields.setdefault(number(at, 2), (number(field, inside) if outside else field, size))
    return fields


def _byte_order(data: bytes) -> Literal["little", "big"]:
    return "little" if data.startswith(b"II") else "big"


def png_orientation(data: bytes) -> int:
    """The EXIF orientation in a PNG, 1..8; 1, as stored, for any other file, and where there is none."""
    exif = (
        next((data[start:end] for name, start, end in png_chunks(data) if name == b"eXIf"), b"") if data.startswith(PNG) else b""
    )
    return tiff_values(exif, {ORIENTATION}).get(ORIENTATION, 1) if exif.startswith(TIFF) else 1


def webp_orientation(data: bytes) -> int:
    """The EXIF orientation in a WebP, 1..8; 1, as stored, if there is none or the EXIF data are damaged.

    Pillow is no help here: it warns of damaged data, which cannot be silenced for one thread, and refuses large images.
    """
    chunk = WEBP_EXIF.search(data)
    return tiff_values(data[chunk.end() :], {ORIENTATION}).get(ORIENTATION, 1) if chunk else 1


def _jpeg_scan(data: bytes) -> int:
    """Where the first scan begins, after the headers and the thumbnails in them; 0 if it is not reached."""
    at = 2
    while marker := JPEG_MARKER.search(data, at):
        code = marker[1][0]
        if code == JPEG_SCAN:
            return marker.end()
        at = marker.end()
        if code not in JPEG_WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return 0
