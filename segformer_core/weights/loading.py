"""The arrays for a network, from any recognised weight file."""

from collections.abc import Mapping

import numpy as np

from segformer_core.config.agreement import check_agreement
from segformer_core.errors import WeightsError
from segformer_core.spec.model import DECODE_HEAD, SegFormer
from segformer_core.weights.dialect import Arrays
from segformer_core.weights.hub import local_path, stated_numerics
from segformer_core.weights.reading import Weights, network_arrays, read


def load_weights(path: str, spec: SegFormer, data_classes: bool = False) -> tuple[Arrays, str]:
    """The arrays of a file that holds exactly `spec`, and a sentence that says what was loaded. Raises WeightsError.

    `data_classes`: the classes of `spec` are those of the data to label.
    """
    weights = _with_head(path)
    _check_network(weights, spec, path, with_head=True, data_classes=data_classes)
    return network_arrays(weights), _sentence(weights, spec, path, "all arrays")


def load_network(path: str) -> tuple[SegFormer, Arrays, tuple[str, ...]]:
    """The network that a file describes, its arrays, and warnings, each a sentence. Raises WeightsError."""
    weights = _with_head(path)
    return weights.architecture.spec(weights.numerics), network_arrays(weights), weights.warnings


def load_pretrained(path: str, spec: SegFormer, fresh: Mapping[str, np.ndarray]) -> tuple[Arrays, str]:
    """The arrays to start training from, and a sentence that says what was loaded.

    Only one partial load is allowed: if the file has no decode head, or one of another number of classes, its encoder is taken
    and the head stays as in `fresh`. Any other difference raises WeightsError.
    """
    weights = _read(path)
    count = weights.architecture.class_count
    whole = count == spec.class_count
    _check_network(weights, spec, path, whole)
    if whole:
        return network_arrays(weights), _sentence(weights, spec, path, "all arrays")
    head = {name: array for name, array in fresh.items() if name.startswith(DECODE_HEAD)}
    encoder = {name: array for name, array in network_arrays(weights).items() if not name.startswith(DECODE_HEAD)}
    why = "it has no decode head" if count is None else f"its head has {count} classes and class_num is {spec.class_count}"
    return encoder | head, _sentence(weights, spec, path, f"the encoder ({len(encoder)} arrays)") + (
        f"; {why}, so the head starts fresh ({len(head)} arrays)"
    )


def _read(path: str) -> Weights:
    return read(local_path(path), numerics=stated_numerics(path))


def _with_head(path: str) -> Weights:
    weights = _read(path)
    if weights.architecture.class_count is None:
        raise WeightsError(f"{path} holds {weights.architecture}: without a decode head there are no labels; train it first")
    return weights


def _check_network(weights: Weights, spec: SegFormer, path: str, with_head: bool, data_classes: bool = False) -> None:
    """Raise one WeightsError that lists the keys to set if the file is of another network than the configuration."""
    stored = weights.architecture
    pairs: dict[str, tuple[object, object]] = {
        "backbone": (f"mit_{stored.variant}", f"mit_{spec.variant}"),
        "in_channels": (stored.in_channels, spec.in_channels),
    }
    if with_head:
        pairs["class_num"] = stored.class_count, spec.class_count
        pairs["decoder_width"] = stored.decoder_width, spec.decoder_width
    if weights.numerics_stated:
        pairs["numerics"] = (weights.numerics, spec.numerics)
    check_agreement(f"{path} has", pairs, data_classes)


def _sentence(weights: Weights, spec: SegFormer, path: str, what: str) -> str:
    sentence = f"loaded {what} of {path}: {weights.dialect.title}, {weights.architecture}"
    notes = list(weights.warnings)
    if weights.numerics != spec.numerics:
        notes.append(f"that code computes with numerics {weights.numerics!r}, this run with {spec.numerics!r}")
    return ". ".join([sentence, *(f"WARNING: {note}" for note in notes)])
