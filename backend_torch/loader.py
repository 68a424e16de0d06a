"""Batches of a training stream through PyTorch's DataLoader; `backend_mindspore/loader.py` is its twin."""

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
    )
    for images, labels, messages in loader:
        raise_message(messages.numpy())
        yield images.numpy(), labels.numpy()


def _stack(samples: list[tuple[np.ndarray, ...]]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))
