"""What a pickle held, as plain dictionaries of arrays."""

from collections.abc import Iterator, Mapping
from typing import Any

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.pickled_arrays import PickledArray
from segformer_core.weights.containers.pickles import Inert
from segformer_core.weights.containers.stored import Stored
from segformer_core.weights.containers.tree import tree_of


def plain_tree(tree: Any, source: str) -> dict[str, Any]:
    """Dictionaries whose leaves are Stored or other objects. Raises WeightsError if the pickle is an object in their place."""
    if not isinstance(tree, Mapping) or (isinstance(tree, Inert) and not tree):
        raise _not_a_dictionary(tree, source)
    try:
        plain = tree_of(tree, _leaf)
    except ValueError as error:
        raise WeightsError(f"{source} holds no weights: {error}") from error
    leaves = list(_leaves("", plain))
    module = next((leaf for _, leaf in leaves if isinstance(leaf, Inert) and leaf.is_module), None)
    if module is not None and not any(isinstance(leaf, Stored) and "." in name for name, leaf in leaves):
        raise _not_a_dictionary(module, source)  # what lies beside it are moments of an optimizer
    return plain


def _leaf(value: Any) -> Any:
    return value.stored or value if isinstance(value, PickledArray) else value


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(key, item)
    else:
        yield name, value


def _not_a_dictionary(value: Any, source: str) -> WeightsError:
    what = value.name.rpartition(".")[2] if isinstance(value, Inert) else type(value).__name__
    return WeightsError(
        f"{source} holds a {what}, not a dictionary of arrays; load it where it was made and save its state_dict()"
    )
