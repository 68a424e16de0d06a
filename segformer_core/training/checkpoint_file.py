"""A checkpoint as a file: weights, optimizer, and in its metadata the step and the values that decide a run's result."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.errors import TrainingError, WeightsError
from segformer_core.protocol.learner import Learner
from segformer_core.spec.arrays import array_specs, check_arrays
from segformer_core.spec.model import SegFormer
from segformer_core.weights import containers
from segformer_core.weights.containers.stored import Content, Stored
from segformer_core.weights.dialects.own import OPTIMIZER
from segformer_core.weights.store import (
    ARRAYS_HASH,
    METADATA_HASH,
    SUFFIX,
    check_arrays_hash,
    check_hashes,
    check_metadata,
    save_described,
)

VERSION = 2
"""The version of what a checkpoint holds besides the weights."""

VERSION_WITHOUT_METADATA_HASH = 1

STEP = "step"
"""The word before the number of a step in a checkpoint's name; the number of an epoch has none."""
NAME = re.compile(rf"segformer_mit_\w+_({STEP})?\d+{re.escape(SUFFIX)}")
"""The names of checkpoints, after an epoch or a step; `…_best` holds weights alone."""

DAMAGE = (KeyError, ValueError, TypeError, RecursionError)
"""What reading the metadata of a damaged file of version 1, which has no hash of them, may raise."""


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `step` steps."""

    path: Path
    step: int
    weights: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Header:
    """What a checkpoint's metadata say. `decisive` maps names of values, those that decide a run's result among them, to them."""

    version: int
    step: int
    decisive: Mapping[str, Any]


def write_checkpoint(
    path: Path, learner: Learner, spec: SegFormer, step: int, config: Mapping[str, Any], described: Mapping[str, str]
) -> None:
    """Write the learner's weights and optimizer, atomically. Raises UserError.

    `config` holds the values that decide a run's result and others; `described` is more to say in the metadata.
    """
    arrays = learner.arrays() | {OPTIMIZER + name: array for name, array in learner.optimizer_arrays().items()}
    run = {"checkpoint": str(VERSION), "step": str(step), "config": json.dumps(config)}
    save_described(path, spec, arrays, {**described, **run})


def read_header(path: Path) -> Header:
    """Raises WeightsError if the file is damaged or no checkpoint."""
    with containers.opened(path) as content:
        return _header(content, path)


@contextmanager
def opened_checkpoint(path: Path, spec: SegFormer) -> Iterator[tuple[Header, Callable[[], Checkpoint]]]:
    """(header, a function that reads the Checkpoint). Both raise as `read_header` does; TrainingError for a newer version."""
    with containers.opened(path) as content:
        header = _header(content, path)
        if header.version > VERSION:
            raise TrainingError(f"{path} was written by a newer version of this project; update this one to resume from it")
        yield header, lambda: _checkpoint(content, header, path, spec)


def read_best(path: Path) -> tuple[int, float]:
    """(step, mIoU) of a file of the best weights. Raises WeightsError if it is damaged or does not say them."""
    with containers.opened(path) as content:
        check_hashes(content, path)
        try:
            step, miou = int(content.metadata["step"]), float(content.metadata["miou"])
        except DAMAGE as error:
            raise WeightsError(f"{path} is damaged: it does not say of which step and mIoU it is") from error
        if not math.isfinite(miou):
            raise WeightsError(f"{path} is damaged: its mIoU is no finite number")
        return step, miou


def _header(content: Content, path: Path) -> Header:
    check_metadata(content.metadata, path)
    if "checkpoint" not in content.metadata:
        raise WeightsError(
            f"{path} holds weights but no state of a training run; to start from the weights, use --pretrained_ckpt_path"
        )
    try:
        return _read_fields(content.metadata)
    except DAMAGE as error:
        raise WeightsError(f"{path} is damaged: what it says of its run cannot be read; copy it again") from error


def _read_fields(metadata: Mapping[str, str]) -> Header:
    """Raises one of DAMAGE."""
    version, step = int(metadata["checkpoint"]), int(metadata["step"])
    needed = {ARRAYS_HASH} if version == VERSION_WITHOUT_METADATA_HASH else {ARRAYS_HASH, METADATA_HASH}
    if version < VERSION_WITHOUT_METADATA_HASH or step < 1 or not needed <= metadata.keys():
        raise ValueError
    return Header(version, step, dict(json.loads(metadata["config"])))


def _checkpoint(content: Content, header: Header, path: Path, spec: SegFormer) -> Checkpoint:
    arrays = {name: stored.load() for name, stored in content.tree.items() if isinstance(stored, Stored)}
    check_arrays_hash(arrays, arrays.__getitem__, content.metadata[ARRAYS_HASH], path)
    check_arrays(spec, {name: array for name, array in arrays.items() if not name.startswith(OPTIMIZER)}, str(path))
    weights = {array.name: arrays.pop(array.name) for array in array_specs(spec)}
    return Checkpoint(path, header.step, weights, {name.removeprefix(OPTIMIZER): array for name, array in arrays.items()})
