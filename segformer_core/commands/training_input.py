"""What the input of training costs: CPU seconds of one thread, for the benchmark of the pipeline."""

import time
from collections.abc import Callable
from dataclasses import replace

from segformer_core.config.keys import DataConfig
from segformer_core.data.dataset import Dataset, fitting_image, read_label
from segformer_core.data.one_thread import one_thread
from segformer_core.data.pipeline import TrainingStream

LABEL, IMAGE, WHOLE = STAGES = ("label read", "image read", "training input")
"""The last one is the two before it, the augmentation, and the arrays as the network takes them."""

DRAWS = 4
"""Epochs of a round: what a sample costs depends on the scale that is drawn for it."""


def time_training_input(dataset: Dataset, base_size: tuple[int, int], rounds: int) -> dict[str, list[float]]:
    """Stage -> CPU seconds an image of each round, in turns; one more round before them warms up.

    A crop is a square as high as `base_size`, as in the recipes of 1024×1024 for Cityscapes.
    """
    side = min(base_size)
    config = DataConfig(base_size=base_size, crop_size=(side, side))
    stream = TrainingStream(replace(dataset, split="train"), config, 0, batch_size=1, epochs=DRAWS)
    sizes = [read_label(item.label, dataset.classes).shape for item in dataset.items if item.label]
    read: dict[str, Callable[[], object]] = {
        LABEL: lambda: [read_label(item.label, dataset.classes) for item in dataset.items if item.label],
        IMAGE: lambda: [fitting_image(item, size, dataset.form) for item, size in zip(dataset.items, sizes, strict=True)],
        WHOLE: lambda: [stream[position] for position in range(len(stream))],
    }
    counts = {LABEL: len(dataset), IMAGE: len(dataset), WHOLE: len(stream)}
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with one_thread():
        for _ in range(rounds + 1):
            for stage, run in read.items():
                start = time.process_time()
                run()
                seconds[stage].append((time.process_time() - start) / counts[stage])
    return {stage: times[1:] for stage, times in seconds.items()}
