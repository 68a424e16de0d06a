"""One run holds a folder at a time. The hold is a lock of the operating system, which ends with its process however that ends."""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from segformer_core.errors import TrainingError, UserError, brief
from segformer_core.files import special_file

LOCK = "run.lock"
"""The locked file. It names its holder and stays after the run: only the lock counts, not that the file is there."""

HELD = (errno.EACCES, errno.EAGAIN)
"""What a system answers if another process has the lock; any other answer means that it cannot lock there."""

MOST_BYTES = 100_000
"""How much of LOCK is read."""

PATIENCE_SECONDS, PAUSE_SECONDS = 1.0, 0.05
"""Another process may look for a moment whether the folder is free, and a holder needs one to write its name."""


class Hold:
    """A folder that only one process may hold.

    The lock is a POSIX record lock: NFS passes it on to its server, and the forked workers of a data loader do not keep it alive.
    It is lost when this process closes any descriptor of LOCK, so nothing else here opens that file.
    """

    def __init__(self, folder: Path):
        self.path = folder / LOCK
        self._descriptor: int | None = None

    def check(self) -> None:
        """Raise TrainingError if another process holds the folder. Writes nothing."""
        if special_file(self.path):
            raise UserError(f"{self.path} is {special_file(self.path)}; expected a file; move it away")
        if self.path.exists():
            descriptor = _opened(self.path)
            try:
                _lock(descriptor, self.path, fcntl.LOCK_SH)  # shared, so that a thousand processes may look at once
            finally:
                os.close(descriptor)

    def take(self, log: Callable[[str], None]) -> None:
        """Hold the folder until `release` or the end of this process; `log` gets a warning where the system has no locks.

        Raises TrainingError if another process holds it, UserError if the lock's file cannot be written.
        """
        self._descriptor = _opened(self.path)
        try:
            refusal = _lock(self._descriptor, self.path, fcntl.LOCK_EX)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(_holder()).encode() + b"\n", 0)
        except OSError as error:
            self.release()
            raise UserError(f"cannot write {self.path}: {error.strerror}; free some space or choose another folder") from error
        except TrainingError:
            self.release()
            raise
        if refusal:
            log(f"WARNING: {self.path} cannot be locked ({refusal}): a second run in this folder would not be noticed")

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _opened(path: Path) -> int:
    """A descriptor for reading and writing, without which nothing can be locked; the file is made if it is not there."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another folder") from error


def _lock(descriptor: int, path: Path, kind: int) -> str:
    """Lock the file; returns why it cannot be locked at all, or nothing. Raises TrainingError, which names the holder."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:
                return error.strerror or str(error)
            if time.monotonic() > until:
                raise TrainingError(
                    f"{path.parent} is held by another run ({_named(descriptor)}); wait for its end, stop it, or choose another "
                    "checkpoint_path"
                ) from error
            time.sleep(PAUSE_SECONDS)
        else:
            return ""


def _holder() -> dict[str, object]:
    """This process, as the next one will name it: the command without the interpreter's folder, which says little."""
    interpreter, *words = sys.orig_argv
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        "command": shlex.join([Path(interpreter).name, *words]),
    }


def _named(descriptor: int) -> str:
    """The holder that the file names: `host h, process 12, since …, command …`."""
    try:
        return ", ".join(f"{key} {brief(value)}" for key, value in json.loads(os.pread(descriptor, MOST_BYTES, 0)).items())
    except (ValueError, AttributeError, OSError):
        return f"{LOCK} does not say which"
