"""What a backend supplies: verbs over numpy arrays. Everything that is not arithmetic is written once, in core."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, SupportsFloat

import numpy as np

from segformer_core.evaluation.plan import Plan
from segformer_core.training.masks import KeepMasks

if TYPE_CHECKING:
    from pathlib import Path

    from segformer_core.data.pipeline import TrainingStream
    from segformer_core.export.form import Form
    from segformer_core.spec.model import SegFormer

Batch = tuple[np.ndarray, np.ndarray]
"""(B, 3, H, W) float32 normalised RGB and (B, H, W) int32 labels, 255 ignored."""


COLLECTIVE_TIMEOUT_SECONDS = 600
"""How long a process waits for the others before it gives up."""


@dataclass(frozen=True)
class Precision:
    """Of products and convolutions: fp32, fp16 or bf16. Norms, softmax, statistics and the loss are fp32 in any case."""

    inference: str = "fp32"
    training: str = "fp32"


@dataclass(frozen=True)
class Processes:
    """The processes that train one network together; `all_reduce` sums an integer or float array over them, exactly.

    `leave` ends the connection.
    """

    rank: int
    count: int
    all_reduce: Callable[[np.ndarray], np.ndarray]
    leave: Callable[[], None] = lambda: None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0


ALONE = Processes(0, 1, np.array)


@dataclass(frozen=True)
class Step:
    """What a training step reports. Everything stays on the device until it is asked for its float.

    A step that overflowed changed nothing; `skipped` counts those in a row up to and with this one.
    """

    loss: SupportsFloat
    overflowed: SupportsFloat = False
    loss_scale: SupportsFloat = 1.0
    skipped: SupportsFloat = 0.0


class Predictor(Protocol):
    """One network on one device."""

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, *canvas) float32 normalised RGB for each view -> (B, *size) uint8 labels.

        A view's logits, or with windows the mean over them of the logits at the canvas' resolution, are resized to the plan's
        size; then the arg-max is taken, of the softmax summed over views and mirror images where the plan averages.
        """


class Learner(Predictor, Protocol):
    """A network with its optimizer."""

    def forward(self, images: np.ndarray) -> np.ndarray:
        """(B, 3, H, W) float32 normalised RGB -> (B, K, H/4, W/4) float32 logits, as `predict` takes them."""

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array of the spec, under its canonical name."""

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over all arrays of the spec. Raises WeightsError."""

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        """A copy of moment1.NAME and moment2.NAME of every trainable array, and of the scalars of OPTIMIZER_SCALARS."""

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what `optimizer_arrays` gives."""

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        """Forward, backward and one AdamW update; a learning rate per parameter group of the spec.

        The batch is this process's share; its gradients are taken in `accumulation_steps` parts and summed over the processes.
        """


Session = Callable[[np.ndarray], np.ndarray]
"""An exported file, ready to run: what it takes -> what it gives, as its `Form` says."""


@dataclass(frozen=True)
class Exports:
    """How a backend writes and runs files of a network for other runtimes."""

    write: "Callable[[SegFormer, Mapping[str, np.ndarray], Form, Path], None]"
    """(spec, arrays, form, path): write the file. Raises OSError."""
    open: "Callable[[Path], Session]"
    predict: "Callable[[Session], Callable[[Sequence[np.ndarray], Plan], np.ndarray]]"
    """`Predictor.predict` of what maps (B, 3, H, W) float32 to (B, K, h, w) float32 logits."""


@dataclass(frozen=True)
class Backend:
    """A framework that is installed and has a device."""

    name: str
    device: str
    precision: Precision
    learner: "Callable[..., Learner]"
    """(spec, config, class weights or None, what to say a line with) -> the learner."""
    batches: "Callable[[TrainingStream, int, int], Iterator[Batch]]"
    """(stream, workers, first step) -> the run's batches from that step on, read ahead."""
    exports: Exports
    processes: Processes = ALONE
