"""The samples of a whole training run as one flat sequence."""

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segformer_core.config.keys import DataConfig
from segformer_core.data.dataset import Dataset, read_pair
from segformer_core.data.transforms import augment
from segformer_core.errors import DataError, UserError
from segformer_core.memory import memory_for
from segformer_core.seeds import generator

MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class TrainingStream:
    """One process's share of a training run's samples: position p is sample p % n of step p // n; n is its share of a batch.

    An epoch's order is drawn from (seed, epoch), a sample's augmentation from (seed, epoch, index in the dataset). So both
    frameworks, any number of workers and any number of devices see the same pixels, and a run can go on from any position.
    The shares of all processes, in the order of their ranks, are the batch that a single process would see.
    The run has `max_steps` steps where this is not 0, else `epochs` epochs.
    """

    dataset: Dataset
    config: DataConfig
    seed: int
    batch_size: int
    epochs: int
    rank: int = 0
    processes: int = 1
    max_steps: int = 0

    def __post_init__(self) -> None:
        if len(self.dataset) < self.batch_size:
            raise DataError(
                f"{self.dataset.root} has {len(self.dataset)} {self.dataset.split} images and batch_size is {self.batch_size}; "
                "expected at least one whole batch"
            )

    @property
    def steps_per_epoch(self) -> int:
        return len(self.dataset) // self.batch_size

    @property
    def steps(self) -> int:
        return self.max_steps or self.epochs * self.steps_per_epoch

    @property
    def last_epoch(self) -> int:
        """The epoch, from 1, in which the run ends."""
        return -(-self.steps // self.steps_per_epoch)

    def steps_in(self, epoch: int) -> int:
        """The run's steps in an epoch, from 1: fewer than `steps_per_epoch` in the last one if `max_steps` ends within it."""
        return min(self.steps_per_epoch, self.steps - (epoch - 1) * self.steps_per_epoch)

    @property
    def share(self) -> range:
        """This process's places in the whole batch."""
        size = self.batch_size // self.processes
        return range(self.rank * size, (self.rank + 1) * size)

    @property
    def workers(self) -> int:
        """Those that read: no more than there are cores, more of which MindSpore would refuse, and no more than samples."""
        return min(self.config.dataset_num_parallel_workers, os.cpu_count() or 1, len(self))

    def names(self, step: int) -> list[str]:
        """The names of the images in a step's whole batch."""
        return [self.dataset.items[self._sample(step, place)[1]].name for place in range(self.batch_size)]

    def __len__(self) -> int:
        return self.steps * len(self.share)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """(C, *crop_size) float32 and (*crop_size) int32. Raises DataError."""
        step, place = divmod(int(position), len(self.share))
        epoch, index = self._sample(step, self.share[place])
        item = self.dataset.items[index]
        with memory_for(f"image {item.name} in training", "lower base_size, scale_range or crop_size"):
            image, label = read_pair(item, self.dataset.classes, self.dataset.form)
            return augment(image, label, generator("augmentation", self.seed, epoch, index), self.config)

    def _sample(self, step: int, place: int) -> tuple[int, int]:
        """Epoch, and index in the dataset, of a place in the whole batch of a step."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        return epoch, int(self._order(epoch)[step_of_epoch * self.batch_size + place])

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:  # threads share the stream, and another may clear `_orders` at any moment
            order = generator("order", self.seed, epoch).permutation(len(self.dataset))
            self._orders.clear()
            self._orders[epoch] = order
        return order

    @cached_property
    def _orders(self) -> dict[int, np.ndarray]:
        return {}


@dataclass(frozen=True)
class GuardedStream:
    """A stream that returns a user error with the sample: frameworks wrap a worker's exception in long text of their own."""

    stream: TrainingStream

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, label and a (1024,) uint8 message, all zero if there was no error."""
        message = np.zeros(MESSAGE_BYTES, np.uint8)
        try:
            return *self.stream[position], message
        except UserError as error:
            text = str(error).encode()[:MESSAGE_BYTES]
            message[: len(text)] = np.frombuffer(text, np.uint8)
            size = self.stream.config.crop_size
            return np.zeros((self.stream.dataset.form.channels, *size), np.float32), np.zeros(size, np.int32), message


def raise_message(messages: np.ndarray) -> None:
    """Raise DataError with the first message of a batch, (B, 1024) uint8, if there is one."""
    for message in messages:
        if message.any():
            raise DataError(message.tobytes().rstrip(b"\0").decode(errors="ignore"))
