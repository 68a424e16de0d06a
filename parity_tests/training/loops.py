"""The training loop without a framework: a learner that only counts."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.training_runs import SMALL, flags
from segformer_core.commands.train import training_stream
from segformer_core.config.load import load_config
from segformer_core.data.dataset import Classes, Dataset, Item
from segformer_core.interrupt import StopRequest
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import ALONE, Processes, Step
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.log import Log
from segformer_core.training.loop import Evaluate, Run, train

SPEC = segformer("b0", class_count=3)
EPOCHS, STEPS_OF_EPOCH = 2, 4


class CountingLearner:
    def __init__(self, at: Callable[[int], object]):
        self.at, self.count = at, 0

    def step(self, batch: Any, keep: Any, rates: Sequence[float]) -> Step:
        self.count += 1
        self.at(self.count)
        return Step(loss=1.0)

    def averaged(self) -> AbstractContextManager[None]:
        return nullcontext()

    def arrays(self) -> dict[str, np.ndarray]:
        return init_arrays(SPEC, 0)

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        return {}


def looped(
    folder: Path,
    stop: StopRequest,
    at: Callable[[int], object] = lambda number: None,
    evaluate: Evaluate | None = None,
    processes: Processes = ALONE,
    step: int = 0,
    batch_seconds: float = 0.0,
    **keys: object,
) -> None:
    """Train in epochs of four steps, two of them or `max_steps`, from `step` on; `at` is called in each step with its number.

    A batch takes `batch_seconds` to come.
    """
    length = {} if "max_steps" in keys else {"epoch_size": EPOCHS}
    config = load_config(flags(SMALL | length | {"batch_size": 1, "train_log_interval": 1} | keys))
    items = (Item(Path("image.png"), Path("label.png"), "image"),) * STEPS_OF_EPOCH
    dataset = Dataset(Path("data"), "train", Classes(("a", "b", "c"), ((0, 0, 0),) * 3), items)
    log = Log(quiet=not processes.first)
    log.lost = stop.output_lost
    checkpoints = Checkpoints(str(folder), SPEC, config, {})
    earlier = log.record(folder, step, tensorboard=False)
    stream = training_stream(dataset, config)
    learner: Any = CountingLearner(at)
    groups = parameter_groups(SPEC, config.optimizer)
    run = Run(learner, SPEC, stream, groups, config, checkpoints, evaluate, log, processes, step, earlier)

    def batches(first: int) -> Iterator[Any]:
        for _ in range(first, stream.steps):
            time.sleep(batch_seconds)
            yield np.zeros(1), np.zeros(1)

    try:
        train(run, batches, stop)
    finally:
        log.close()
