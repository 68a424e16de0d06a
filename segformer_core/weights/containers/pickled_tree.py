"""What a pickle held, as plain dictionaries of arrays."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.limits import check_unpacked
from segformer_core.weights.containers.pickled_arrays import PickledArray
from segformer_core.weights.containers.pickles import Inert
from segformer_core.weights.containers.stored import STORED_TYPES, Stored
from segformer_core.weights.containers.tree import tree_of


def plain_tree(tree: Any, source: str) -> dict[str, Any]:
    """Dictionaries whose leaves are Stored or other objects. Raises WeightsError if the pickle is an object in their place.

    Arrays may share numbers, so that a small file states large ones; it is refused if they are far larger than itself.
    """
    if not isinstance(tree, Mapping) or (isinstance(tree, Inert) and not tree):
        raise _not_a_dictionary(tree, source)
    try:
        plain = tree_of(tree, _leaf)
    except ValueError as error:
        raise WeightsError(f"{source} holds no weights: {error}") from error
    leaves = list(_leaves(plain))
    module = next((leaf for _, leaf in leaves if isinstance(leaf, Inert) and leaf.is_module), None)
    if module is not None and not any(isinstance(leaf, Stored) and not counted for counted, leaf in leaves):
        raise _not_a_dictionary(module, source)
    arrays = (leaf for _, leaf in leaves if isinstance(leaf, Stored) and leaf.type_name in STORED_TYPES)
    stated = sum(math.prod(array.shape) * STORED_TYPES[array.type_name].itemsize for array in arrays)
    check_unpacked(source, stated, Path(source).stat().st_size)
    return plain


def _leaf(value: Any) -> Any:
    """An array as Stored; so too Paddle's pair of a variable's name and its array."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], PickledArray):
        value = value[1]
    return value.stored or value if isinstance(value, PickledArray) else value


def _leaves(tree: dict[str, Any], counted: bool = False) -> Iterator[tuple[bool, Any]]:
    """Every leaf, and whether it lies below a number, as an optimizer's moments do."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, counted or key.isdigit())
        else:
            yield counted, value


def _not_a_dictionary(value: Any, source: str) -> WeightsError:
    what = value.name.rpartition(".")[2] if isinstance(value, Inert) else type(value).__name__
    return WeightsError(
        f"{source} holds a {what}, not a dictionary of arrays; load it where it was made and save its state_dict()"
    )
