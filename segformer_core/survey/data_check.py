"""Reads every image and label before the first step, so that a broken one does not end a run hours later.

A class that no label of the training set has is named, too.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from segformer_core.data.ahead import prefetch
from segformer_core.data.classes import COLOURS
from segformer_core.data.dataset import IGNORED, Dataset
from segformer_core.data.label_form import as_label_map
from segformer_core.errors import DataError, brief
from segformer_core.protocol.learner import Processes
from segformer_core.survey.pair import examined

SHOWN = 3
"""How many faults an error names."""


def check_data(datasets: Sequence[Dataset], workers: int, processes: Processes, log: Callable[[str], None]) -> None:
    """Raises DataError that names the first pairs that cannot be read, and says how many there are; or on one class alone.

    The first dataset is the one to train on: `log` gets a warning of its classes that no label has. The processes share the
    pairs and agree on the faults, so that all of them stop, or none.
    """
    pairs = [(item, dataset.classes, dataset.form) for dataset in datasets for item in dataset.items]
    log(f"reading {len(pairs)} images and their labels once before the first step; --check_data False leaves it out")
    share = range(processes.rank, len(pairs), processes.count)
    faults, seen = np.zeros(len(pairs), np.int64), np.zeros(IGNORED + 1, np.int64)
    found = prefetch(lambda index: examined(*pairs[index]), share, workers)
    bar = tqdm(
        found, "check data", len(share), unit="image", leave=False, dynamic_ncols=True, disable=not processes.first or None
    )
    for index, one in zip(share, bar, strict=True):
        faults[index] = bool(one.fault)
        if index < len(datasets[0]):
            seen += one.values
    wrong = np.flatnonzero(processes.all_reduce(faults))
    if len(wrong):
        first = [(examined(*pairs[index]), pairs[index][0].image) for index in wrong[:SHOWN]]
        if first[0][0].asks:
            raise DataError(f"{first[0][0].fault}; {len(wrong)} of {len(pairs)} images ask this or cannot be used")
        sentences = [one.fault or f"{image} was unusable to another process" for one, image in first]
        rest = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(f"{len(wrong)} of {len(pairs)} images or labels cannot be used: {'; '.join(sentences)}{rest}")
    seen = processes.all_reduce(seen)
    if refusal := one_class(datasets[0], seen):
        raise DataError(f"{refusal}; --check_data False leaves this check out")
    if warning := absent_classes(datasets[0], seen):
        log(f"WARNING: {warning}")


def one_class(dataset: Dataset, seen: np.ndarray) -> str:
    """A sentence on a dataset with fewer than two classes in its labels, and what to write; empty if there are two.

    `seen`: as in `absent_classes`.
    """
    classes, labelling = dataset.classes, dataset.classes.labelling
    present = [index for index in range(len(classes)) if seen[index]]
    if len(present) > 1:
        return ""
    held = f"class {brief(classes.names[present[0]])} ({present[0]}) alone" if present else "no class at all"
    void = f", and {seen[IGNORED]} of them have ignored pixels" if seen[IGNORED] else ""
    source = classes.source or "a dataset.yaml"
    if labelling.form == COLOURS:
        answer = f"write in {source} each class with the colour that it has in the labels, and in ignore what does not count"
    else:
        answer = f"write in {source} what the values mean, {_answer(dataset, present)}, and in ignore only what does not count"
    return f"the {len(dataset)} labels of {dataset.split} hold {held}{void}, so there is nothing to learn: {answer}"


def _answer(dataset: Dataset, present: Sequence[int]) -> str:
    """A label_map for the class that is there and for the ignored value, which may be the next one."""
    classes, labelling = dataset.classes, dataset.classes.labelling
    values = {value: index for value, index in labelling.class_values(len(classes)).items() if index in present}
    absent = (index for index in range(len(classes)) if index not in present)
    meant = values | dict(zip(labelling.ignored_values(len(classes)), absent, strict=False))
    return as_label_map({value: classes.names[index] for value, index in sorted(meant.items())})


def absent_classes(dataset: Dataset, seen: np.ndarray) -> str:
    """A sentence on the classes that no label of the dataset has; empty if there are none.

    `seen`: (256,) the number of labels that have each value, 255 where ignored.
    """
    classes = dataset.classes
    absent = [f"{name} ({index})" for index, name in enumerate(classes.names) if not seen[index]]
    if not absent:
        return ""
    names = ", ".join(absent[:SHOWN]) + (", …" if len(absent) > SHOWN else "")
    sentence = (
        f"{len(absent)} of {len(classes)} classes are in none of the {len(dataset)} labels of {dataset.split} and cannot be "
        f"learnt: {names}"
    )
    if not seen[IGNORED]:
        return sentence
    return (
        f"{sentence}; {seen[IGNORED]} labels have ignored pixels: if they mean a class, name their value in label_map of "
        f"{classes.source or 'a dataset.yaml'}"
    )
