"""The arrays of a file by one name each, however deep its dictionaries lie in one another."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from segformer_core.errors import WeightsError, brief
from segformer_core.weights.containers.stored import Stored

NOT_AN_ARRAY = "not an array"
OUTSIDE = "outside the part that was asked for"

LONGEST_NAME = 1000
"""Of an array, with the names of all dictionaries around it."""

COUNTED_MODEL = re.compile(r"/(tf_segformer_[a-z_]+)_\d+/")
"""Keras counts the models of a process: the second of a class has "_1" after its name."""
WRAPPED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and activation checkpointing put into a name, wherever the module is that they wrap."""


def flat(tree: Mapping[str, Any], source: str) -> tuple[dict[str, Stored], dict[str, str]]:
    """Every array by its keys, joined with dots, and the reason for each entry that is none.

    The containers have bounded the tree. Raises WeightsError, which names `source`, if the file has no arrays, two of one
    name, or a name of no reasonable length.
    """
    arrays, others = dict[str, Stored](), dict[str, str]()
    for name, value in _entries(tree, ""):
        if len(name) > LONGEST_NAME:
            raise WeightsError(f"{source} has a name of {len(name)} characters; save the network's state_dict() alone")
        if not isinstance(value, Stored):
            others[name] = NOT_AN_ARRAY
            continue
        name = WRAPPED.sub("", COUNTED_MODEL.sub(r"/\1/", name))
        if name in arrays:
            raise WeightsError(f"{source} has two arrays of the name {brief(name)}; save the network's state_dict() alone")
        arrays[name] = value
    if not arrays:
        raise WeightsError(
            f"{source} holds no arrays; its first keys are: {', '.join(_text(key)[:80] for key in list(tree)[:5]) or 'none'}"
        )
    return arrays, _shortened(others, arrays)


def below(part: str, arrays: Mapping[str, Stored], source: str) -> dict[str, Stored]:
    """The arrays below a key or prefix, which may itself lie below others. Raises WeightsError."""
    marked = f".{part}."
    places = {name[: index + len(marked) - 1] for name in arrays if (index := f".{name}".find(marked)) >= 0}
    depth = min((place.count(".") for place in places), default=0)
    nearest = [place for place in places if place.count(".") == depth]
    if not nearest:
        raise WeightsError(f"{source} has nothing below {brief(part)}; its first names are: {', '.join(list(arrays)[:3])}")
    if len(nearest) > 1:
        names = " and ".join(sorted(place.removesuffix(".") for place in nearest)[:2])
        raise WeightsError(f"{source} has {brief(part)} at several places: {names}; name the part in full")
    return {name: array for name, array in arrays.items() if name.startswith(nearest[0])}


def _entries(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a tree; an empty dictionary is one."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _entries(value, f"{prefix}{_text(key)}.")
        else:
            yield prefix + _text(key), value


def _text(key: object) -> str:
    return key if isinstance(key, str) else brief(key)


def _shortened(others: Mapping[str, str], arrays: Mapping[str, Stored]) -> dict[str, str]:
    """The same entries; those of a dictionary without any array become one, by the dictionary's name."""
    holders = {name[:index] for name in arrays for index in range(len(name)) if name[index] == "."}
    short = {}
    for name, why in others.items():
        ends = [index for index in range(len(name)) if name[index] == "."] + [len(name)]
        short[next((name[:end] for end in ends if name[:end] not in holders), name)] = why
    return short
