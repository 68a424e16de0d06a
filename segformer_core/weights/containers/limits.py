"""How much a file may unpack to: nothing is unpacked before its stated size is compared with the file's own."""

from segformer_core.errors import WeightsError

MOST_TIMES, ALWAYS = 32, 2**26
"""A compressed file may state 32 times its size, and 64 MiB in any case. Weights shrink by a tenth, and zeros are few in them."""
MEBIBYTE = 2**20
LONGEST_TEXT = 16 * MEBIBYTE
"""Bytes of a JSON file, index or header; the largest models' have 1 MiB, the names of 22,000 classes too."""


def check_unpacked(source: object, stated: int, byte_count: int) -> None:
    """Raise WeightsError if a file of `byte_count` bytes states that it unpacks to far more."""
    if stated > ALWAYS + MOST_TIMES * byte_count:
        raise WeightsError(
            f"{source} has {byte_count} bytes and states that it unpacks to {brief_size(stated)}, which no weights need; "
            "nothing was unpacked; do not trust the file"
        )


def brief_size(byte_count: int) -> str:
    """A number of bytes for a message: "3 MiB", "5000 GiB"."""
    return f"{byte_count / MEBIBYTE:.0f} MiB" if byte_count < 2**33 else f"{min(byte_count, 2**90) / 2**30:.0f} GiB"
