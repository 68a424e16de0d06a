"""Writing files so that nobody ever sees half of one, and the hash of what they hold."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from segformer_core.errors import UserError, brief
from segformer_core.paths import expanded, path_fault

BLOCK_BYTES = 2**20
"""How much of a file is read at once, so that a large one need not fit in memory."""


def usable(path: str | os.PathLike[str], mistake: type[UserError]) -> str:
    """The path with its home folder written out. Raises `mistake` if no file can be there."""
    text = expanded(os.fspath(path))
    if fault := path_fault(text):
        raise mistake(f"the path {brief(os.fspath(path))} cannot be used: {fault}")
    return text


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file of the same suffix beside `path`, then put it in place.

    Raises UserError if the file cannot be written, else what `write` raises; `path` is then unchanged.
    """
    temporary = temporary_name(path, os.getpid())
    try:
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if not path.parent.is_dir():
            raise UserError(f"cannot write {path}: its folder is not there any more; choose another") from error
        why = error.strerror or error
        raise UserError(f"cannot write {path}: {why}; free some space or choose another folder") from error


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8, atomically; half characters, as names of files may hold, are written as codes. Raises UserError."""
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"))
    return path


def temporary_name(path: Path, writer: int | str) -> Path:
    """The temporary file that the process of number `writer` fills before it becomes `path`."""
    return path.with_name(f".{path.stem}.{writer}{path.suffix}")


SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What is no regular file, by the type in its mode: to read it may take for ever."""


def special_file(path: Path) -> str:
    """What `path` is, such as "a named pipe", if it is neither a regular file nor a folder; empty if it is, or is not there."""
    try:
        return SPECIAL_FILES.get(stat.S_IFMT(path.stat().st_mode), "")
    except (OSError, ValueError):
        return ""


def sha256_of_files(*paths: Path) -> str:
    """SHA-256 over the bytes of the files, one after the other, in hexadecimal. Raises UserError for a pipe or a device."""
    digest = hashlib.sha256()
    for path in paths:
        if kind := special_file(path):
            raise UserError(f"{path} is {kind}; expected a regular file")
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where a user's programs keep what they can make again. Raises UserError if no folder can be there."""
    return Path(usable(environment.get("XDG_CACHE_HOME") or "~/.cache", UserError)) / "segformer-twins"


def writable_directory(path: Path) -> Path:
    """Make the folder if it is not there. Raises UserError if nothing can be written in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write in folder {path}: {error.strerror}; choose another") from error
    return path
