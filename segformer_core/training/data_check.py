"""Reads every image and label before the first step, so that a broken one does not end a run hours later."""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from segformer_core.data.dataset import Classes, Dataset, Item, read_label, read_pair
from segformer_core.data.image_bytes import sound_png_size
from segformer_core.data.image_file import read_bytes
from segformer_core.data.pipeline import prefetch
from segformer_core.errors import DataError
from segformer_core.protocol.learner import Processes

SHOWN = 3
"""How many faults an error names."""

Pair = tuple[Item, Classes]


def check_data(datasets: Sequence[Dataset], workers: int, processes: Processes, log: Callable[[str], None]) -> None:
    """Raises DataError that names the first pairs that cannot be read, and says how many there are.

    The processes share the pairs and agree on the faults, so that all of them stop, or none.
    """
    pairs = [(item, dataset.classes) for dataset in datasets for item in dataset.items]
    log(f"reading {len(pairs)} images and their labels once before the first step; --check_data False leaves it out")
    share = range(processes.rank, len(pairs), processes.count)
    faults = np.zeros(len(pairs), np.int64)
    found = prefetch(lambda index: fault(pairs[index]), share, workers)
    bar = tqdm(
        found, "check data", len(share), unit="image", leave=False, dynamic_ncols=True, disable=not processes.first or None
    )
    for index, sentence in zip(share, bar, strict=True):
        faults[index] = bool(sentence)
    wrong = np.flatnonzero(processes.all_reduce(faults))
    if len(wrong):
        sentences = [fault(pairs[index]) or f"{pairs[index][0].image} was unusable to another process" for index in wrong[:SHOWN]]
        rest = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(f"{len(wrong)} of {len(pairs)} images or labels cannot be used: {'; '.join(sentences)}{rest}")


def fault(pair: Pair) -> str:
    """The sentence that says why an image and its label cannot be used together; empty if they can.

    Labels are decoded, and images as well, except PNGs: their check sums say whether they are sound.
    """
    item, classes = pair
    assert item.label is not None
    try:
        size = sound_png_size(read_bytes(item.image))
        if size is None or read_label(item.label, classes).shape != size:
            read_pair(item, classes)
    except DataError as error:
        return str(error)
    return ""
