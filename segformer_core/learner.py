"""What a backend supplies: verbs over numpy arrays. Everything that is not arithmetic is written once, in core."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, SupportsFloat

import numpy as np

from segformer_core.spec.model import SegFormer
from segformer_core.training.masks import KeepMasks

if TYPE_CHECKING:
    from segformer_core.config import Config
    from segformer_core.data.pipeline import TrainingStream

Batch = tuple[np.ndarray, np.ndarray]
"""(B, 3, H, W) float32 normalised RGB and (B, H, W) int32 labels, 255 ignored."""


@dataclass(frozen=True)
class Step:
    """What a training step reports. `loss` stays on the device until it is asked for its float."""

    loss: SupportsFloat
    overflowed: bool = False
    loss_scale: float = 1.0


class Learner(Protocol):
    """One network on one device, with its optimizer."""

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array of the spec, under its canonical name."""

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over all arrays of the spec. Raises WeightsError."""

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        """Forward, backward and one AdamW update; a learning rate per parameter group of the spec."""

    def predict(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """(3, h, w) float32 normalised RGB -> (height, width) uint8 labels: the logits are resized, then their arg-max taken."""


@dataclass(frozen=True)
class Backend:
    """A framework that is installed and has a device."""

    name: str
    device: str
    learner: "Callable[[SegFormer, Config], Learner]"
    batches: "Callable[[TrainingStream, int, int], Iterator[Batch]]"
    """(stream, workers, first step) -> the run's batches from that step on, read ahead."""
