"""Metrics for TensorBoard, an optional dependency that needs no framework."""

import time
from pathlib import Path

from segformer_core.errors import BackendError, install


class Board:
    """An event file in `folder`. Unless `step` is 0, TensorBoard then hides what an earlier attempt wrote after it."""

    def __init__(self, folder: Path, step: int):
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise BackendError(f"tensorboard is True and TensorBoard is not installed: {install('tensorboard')}") from error
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder))
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(self._event(step=step + 1, wall_time=time.time(), session_log=start))

    def write(self, step: int, values: dict[str, float]) -> None:
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(self._event(step=step, wall_time=time.time(), summary=self._summary(value=scalars)))

    def close(self) -> None:
        self._writer.close()
