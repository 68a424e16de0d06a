"""Batches of a training stream through PyTorch's DataLoader; `backend_mindspore/loader.py` is its twin."""

import os
import signal
from collections.abc import Iterator
from typing import cast

from torch.utils.data import DataLoader, Dataset

from segformer_core.data.one_thread import without_pool
from segformer_core.data.pipeline import GuardedStream, TrainingStream, raise_message
from segformer_core.protocol.learner import Batch


def batches(stream: TrainingStream, workers: int, first_step: int) -> Iterator[Batch]:
    """The run's batches from `first_step` on, read ahead by `workers` processes. Raises DataError."""
    size = len(stream.share)
    loader: DataLoader = DataLoader(
        cast(Dataset, GuardedStream(stream)),  # PyTorch asks for the two methods alone
        batch_size=size,
        sampler=range(first_step * size, len(stream)),
        num_workers=workers,
        worker_init_fn=_start,
    )
    for images, labels, messages in loader:
        raise_message(messages.numpy())
        yield images.numpy(), labels.numpy()


def _start(_: int) -> None:
    """Before a worker's first sample: it keeps to one core, and ends in peace.

    A SIGTERM to all processes of a run ends the workers, too. It must not look like a failure, which PyTorch would raise in
    the middle of the step that is to be finished and saved.
    """
    without_pool()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
