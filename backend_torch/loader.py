"""Batches of a training stream through PyTorch's DataLoader; `backend_mindspore/loader.py` is its twin."""

import os
import signal
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

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
        collate_fn=_stack,
        worker_init_fn=_end_in_peace,
    )
    for images, labels, messages in loader:
        raise_message(messages.numpy())
        yield images.numpy(), labels.numpy()


def _end_in_peace(_: int) -> None:
    """A SIGTERM to all processes of a run ends the workers, too. It must not look like a failure, which PyTorch would raise in
    the middle of the step that is to be finished and saved."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _stack(samples: list[tuple[np.ndarray, ...]]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))
