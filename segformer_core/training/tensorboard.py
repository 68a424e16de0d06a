"""Metrics for TensorBoard, an optional dependency that needs no framework."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from segformer_core.errors import BackendError, UserError, install
from segformer_core.training.metrics import appending


class Board:
    """An event file in `folder`. Unless `step` is 0, TensorBoard then hides what an earlier attempt wrote after it.

    Each event is written when it is given: TensorBoard's own writer does it in a thread, whose errors nobody could catch.
    """

    def __init__(self, folder: Path, step: int):
        """Raises BackendError if TensorBoard is not installed, UserError if the folder cannot be written."""
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise BackendError(f"tensorboard is True and TensorBoard is not installed: {install('tensorboard')}") from error
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        except OSError as error:
            raise UserError(
                f"cannot write in folder {folder}: {error.strerror}; move away what has its name, or set tensorboard False"
            ) from error
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        if step:
            self._write(step=step + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Raises UserError if the file cannot be written."""
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=self._summary(value=scalars))

    def close(self) -> None:
        with suppress(OSError):  # what a full disk did not take stays in the buffer, and `write` has said so
            self._file.close()

    def _write(self, **event: object) -> None:
        with appending(self._path):
            self._writer.write(self._event(wall_time=time.time(), **event).SerializeToString())
            self._file.flush()
