"""PaddlePaddle's .pdparams: a pickled dictionary of numpy arrays."""

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.pickled_tree import plain_tree
from segformer_core.weights.containers.pickles import SafeUnpickler, unpickle
from segformer_core.weights.containers.stored import BFLOAT16, Content
from segformer_core.weights.containers.torch_tensors import PICKLED_ALONE

STRUCTURED_NAMES = "StructuredToParameterName@@"
"""Paddle's table from the names of the weights to the names of its variables; not a weight itself."""


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    inert: dict[str, None] = {}
    with path.open("rb") as file:
        tree = unpickle(SafeUnpickler(file, str(path), PICKLED_ALONE, inert=inert))
    arrays = plain_tree(tree, str(path))
    arrays.pop(STRUCTURED_NAMES, None)
    yield Content("PaddlePaddle", arrays, {}, (path,), tuple(inert))


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str) -> None:
    """Write the arrays as paddle.save(model.state_dict()) does. Raises WeightsError for bfloat16, which numpy lacks."""
    if type_name == BFLOAT16:
        raise WeightsError("a .pdparams file holds numpy arrays, which cannot be bf16; choose --dtype fp32 or fp16")
    plain = {name: value.astype(type_name, copy=False) if value.dtype.kind == "f" else value for name, value in arrays.items()}
    with path.open("wb") as file:
        pickle.dump({**plain, STRUCTURED_NAMES: {name: name for name in arrays}}, file, protocol=4)
