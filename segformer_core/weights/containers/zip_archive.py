"""Zip archives, whose members are unpacked only within bounds."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.limits import LONGEST_TEXT, check_unpacked
from segformer_core.weights.containers.tree import printable

END, END_LENGTH, LONGEST_COMMENT = b"PK\x05\x06", 22, 2**16
READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, KeyError, IndexError)
"""What the library raises for a damaged archive or member."""


class ZipArchive:
    """The members of an archive by name."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self.archive = path, archive
        self.names = archive.namelist()

    def size(self, name: str) -> int:
        """The stated size of a member in bytes. Raises KeyError."""
        return self.archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        """The bytes of a member, never more than it states. Raises WeightsError."""
        try:
            info = self.archive.getinfo(name)
            if info.compress_type not in READABLE:
                raise NotImplementedError("its compression is neither none nor deflate")
            with self.archive.open(info) as member:
                content = member.read(info.file_size)  # a read without a length unpacks two GiB before it compares
            if len(content) != info.file_size:
                raise EOFError("it ends too early")
            return content
        except DAMAGE as error:
            raise damaged(f"{self.path}", f" in {printable(name)}", error) from error


@contextmanager
def opened_archive(path: Path) -> Iterator[ZipArchive]:
    """An archive whose members together state no more than a file of its size may. Raises WeightsError."""
    byte_count = path.stat().st_size
    if _directory_length(path) > LONGEST_TEXT:
        raise WeightsError(f"{path} is a zip archive of more members than weights need; do not trust the file")
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise damaged(f"{path}", "", error, "truncated or damaged") from error
    with archive:
        check_unpacked(path, sum(info.file_size for info in archive.infolist()), byte_count)
        yield ZipArchive(path, archive)


def damaged(source: str, where: str, error: Exception, what: str = "damaged") -> WeightsError:
    return WeightsError(f"{source} is {what}{where} ({printable(str(error))}); fetch or write it again")


def _directory_length(path: Path) -> int:
    """The bytes of the table of members, as the archive's end states it; 0 if it has none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_LENGTH - LONGEST_COMMENT))
        tail = file.read()
    at = tail.rfind(END)
    length = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if length != 2**32 - 1:
        return length
    at = tail.rfind(b"PK\x06\x06")  # the end of a zip64 archive
    return int.from_bytes(tail[at + 40 : at + 48], "little") if at >= 0 else length
