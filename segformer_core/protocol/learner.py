"""The verbs of a backend, over numpy arrays. Everything that is not arithmetic of a network is written once, in core."""

import resource
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, SupportsFloat

import numpy as np

from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.data.pipeline import TrainingStream
from segformer_core.protocol.bands import Arrays, Read
from segformer_core.protocol.form import Form
from segformer_core.protocol.groups import ParameterGroup
from segformer_core.protocol.masks import KeepMasks
from segformer_core.protocol.plan import Plan
from segformer_core.protocol.probe import Probe
from segformer_core.spec.model import SegFormer

Batch = tuple[np.ndarray, np.ndarray]
"""(B, 3, H, W) float32 normalised RGB and (B, H, W) int32 labels, 255 ignored."""

LogLine = Callable[[str], object]
"""Takes one line for the user."""

COLLECTIVE_TIMEOUT_SECONDS = 600
"""How long a process waits for the others before it gives up."""


@dataclass(frozen=True)
class Precision:
    """The type of linear layers and convolutions: fp32, fp16 or bf16. Norms, softmax, statistics and the loss are always fp32."""

    inference: str = "fp32"
    training: str = "fp32"


@dataclass(frozen=True)
class Processes:
    """The processes that train one network together.

    `all_reduce` sums an integer or float array over them; integers exactly. `leave` ends the connection.
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
class Training:
    """The parts of training that the configuration does not hold as they are needed.

    `groups` are the parameter groups, in the order of the learning rates that `Learner.step` takes; `class_weights` has one
    weight per class, or is None where all classes count alike.
    """

    groups: tuple[ParameterGroup, ...]
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Step:
    """The report of a training step. A value stays on the device until it is converted to a float.

    A step that overflowed changed nothing; `skipped` counts those in a row up to and with this one.
    """

    loss: SupportsFloat
    overflowed: SupportsFloat = False
    loss_scale: SupportsFloat = 1.0
    skipped: SupportsFloat = 0.0


class Predictor(Protocol):
    """One network on one device."""

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 normalised RGB for each view, of its size -> (B, *size) uint8 labels: the arg-max of the scores.

        A view's logits, or with windows the mean over them of the logits at the view's resolution, are resized to the plan's
        size. These are the scores; where the plan averages, they are the softmax summed over views and mirror images.
        """

    def bands(self, read: Read, plan: Plan, confidences: bool = False) -> Iterator[tuple[int, Arrays]]:
        """`predict`'s labels in bands of rows, from the top: the first row, and an array of (B, rows, W) uint8.

        With `confidences` the largest probabilities, too, (B, rows, W) float32. No more of the scores is kept than the rest of
        the image needs. `read` is asked for the windows one by one.
        """

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """`predict`'s labels, and (B, *size) float32: the largest of `probabilities`, 1/K..1. Only these leave the device."""

    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 for each view -> (B, K, *size) float32, 0..1; the classes of a pixel sum to 1.

        The softmax of the scores; where the plan averages, the mean softmax over views and mirror images.
        """


class Learner(Predictor, Protocol):
    """A network with its optimizer. Only a learner that was made with a `Training` can step."""

    def forward(self, images: np.ndarray) -> np.ndarray:
        """(B, 3, H, W) float32 normalised RGB -> (B, K, H/4, W/4) float32 logits, as `predict` takes them."""

    def labels_and_losses(self, images: Sequence[np.ndarray], plan: Plan, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`predict`'s labels, and (B,) float64: each image's sum of -log p of the true class, p from the scores.

        `truth`: (B, *size) int32, 255 where a pixel does not count.
        """

    def scores(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 for each view -> (B, K, *size) float32, of which `predict` takes the arg-max."""

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of every array of the spec, under its canonical name."""

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over all arrays of the spec. Raises WeightsError."""

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        """A copy of moment1.NAME and moment2.NAME of every trainable array, and of the optimizer's and loss scale's counters.

        With `ema_decay` also of average.NAME of every array.
        """

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what `optimizer_arrays` gives."""

    def averaged(self) -> AbstractContextManager[None]:
        """Within this block the network has the moving averages of its weights; its own weights where `ema_decay` is 0."""

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        """Forward, backward and one AdamW update; one learning rate per group of `Training.groups`.

        The batch is this process's share; its gradients are taken in `accumulation_steps` parts and summed over the processes.
        """


class MakeLearner(Protocol):
    """A backend's learner, made; `log` is called with what takes long, such as a compilation.

    Not `fused`: attention is written out, in operators that every device has.
    """

    def __call__(
        self, spec: SegFormer, config: Config, log: LogLine, training: Training | None = None, fused: bool = True
    ) -> Learner: ...


Session = Callable[[np.ndarray], np.ndarray]
"""An exported file, ready to run: its input -> its output, as its `Form` says."""


class OpenFile(Protocol):
    """`runtime` is the package to run the file with, one of its format's `runtimes`; auto: the first."""

    def __call__(self, path: Path, runtime: str = "auto") -> Session: ...


class Quantizer(Protocol):
    """A file of an `int8` form that is still in fp32, after it was calibrated."""

    @property
    def groups(self) -> Sequence[str]:
        """The layers that can compute in int8: those of one kind and stage together."""

    def write(self, groups: Collection[str], path: Path) -> None:
        """Write the file with these groups in int8, the others in fp32."""


@dataclass(frozen=True)
class Exports:
    """How a backend writes and runs files of a network for other runtimes."""

    write: Callable[[SegFormer, Mapping[str, np.ndarray], Form, Path], None]
    """(spec, arrays, form, path): write the file; that of an int8 form in fp32, ready for `quantizer`. Raises OSError."""
    open: OpenFile
    predictor: Callable[[Session], Predictor]
    """Of a session that maps (B, 3, H, W) float32 to (B, K, h, w) float32 logits."""
    probe: Probe | None = None
    """None in a backend whose graphs cannot be run operator by operator; another backend's answer holds for its files."""
    quantizer: Callable[[Path, Iterator[np.ndarray]], Quantizer] | None = None
    """(file of an int8 form, as `write` writes it, inputs of it): calibrate."""


def resident_peak() -> int:
    """Bytes: the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True)
class Backend:
    """A framework that is installed and has a device."""

    name: str
    device: str
    precision: Precision
    learner: MakeLearner
    batches: Callable[[TrainingStream, int, int], Iterator[Batch]]
    """(stream, workers, first step) -> the run's batches from that step on, read ahead."""
    exports: Exports
    processes: Processes = ALONE
    peak_memory: Callable[[], int] = resident_peak
    """-> bytes: the most that was in use so far of the device's own memory; on a CPU, of the process' resident memory."""
    device_id: int = 0
    chosen: str = ""
    """Who chose among several devices, for the log."""
    no_fused_attention: str = ""
    """Why attention is always written out on this device; empty where fp16 and bf16 have a fused kernel."""
    compiles_later: bool = False
    """Whether `compile: auto` may compile long after the first image."""


Connect = Callable[[RuntimeConfig], Backend]
"""Opens a backend on the device, and in the precision, that the configuration asks for. Raises BackendError."""
