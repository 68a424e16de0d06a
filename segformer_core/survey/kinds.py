"""What an image file is, in words: how many bits and which colours it stores."""

from segformer_core.data.image_bytes import JPEG, JPEG_MARKER, JPEG_SCAN, JPEG_WITHOUT_LENGTH
from segformer_core.data.stored_label import stored_kind

JPEG_CHANNELS = {1: "gray", 3: "colour", 4: "CMYK"}
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers that begin a frame: the sixth byte behind their length is the number of channels."""


def image_kind(data: bytes) -> str:
    """ "8-bit RGB PNG", "8-bit gray JPEG"."""
    if not data.startswith(JPEG):
        return stored_kind(data)
    bits, channels = jpeg_form(data)
    return f"{bits}-bit {JPEG_CHANNELS.get(channels, 'strange')} JPEG"


def jpeg_form(data: bytes) -> tuple[int, int]:
    """Bits a channel, and channels; (0, 0) if the file's header is damaged."""
    at = 2
    while marker := JPEG_MARKER.search(data, at):
        code, at = marker[1][0], marker.end()
        if code in FRAMES and len(data) > at + 7:
            return data[at + 2], data[at + 7]
        if code == JPEG_SCAN:
            break
        if code not in JPEG_WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return 0, 0
