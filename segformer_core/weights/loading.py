"""The arrays for a network, from any recognised weight file."""

from collections.abc import Mapping

import numpy as np

from segformer_core.config.agreement import check_agreement
from segformer_core.config.keys import DataConfig
from segformer_core.errors import WeightsError, brief, plural
from segformer_core.spec.model import DECODE_HEAD, NUMERICS, TRANSFORMERS_NUMERICS, SegFormer, segformer
from segformer_core.weights.detect import LEFT_OVER
from segformer_core.weights.dialect import Arrays
from segformer_core.weights.flattening import NOT_AN_ARRAY, OUTSIDE
from segformer_core.weights.hub import local_path, stated_numerics
from segformer_core.weights.one_logit import as_two_classes
from segformer_core.weights.preprocessor import Preparation
from segformer_core.weights.reading import Weights, left_out, network_arrays, read

WHOLE = "all arrays"


def load_weights(
    path: str, spec: SegFormer, data: DataConfig | None = None, part: str = "", class_names: tuple[str, ...] = ()
) -> tuple[Arrays, str]:
    """The arrays of a file that holds exactly `spec`, and a sentence that says what was loaded. Raises WeightsError.

    The sentence warns if the file states that images are normalised otherwise than by `data`, or that its classes are
    `class_names` in another order. `part` is the key or prefix of one of several networks in the file, here and below.
    `class_names` are those of the data to label, if there are any.
    """
    return checked_weights(read_network(path, part), spec, path, data, class_names)


def checked_weights(
    weights: Weights, spec: SegFormer, path: str, data: DataConfig | None = None, class_names: tuple[str, ...] = ()
) -> tuple[Arrays, str]:
    """As `load_weights`, of a file that is read already."""
    _check_network(weights, spec, path, with_head=True, data_classes=bool(class_names))
    sentence = _sentence(weights, spec, data, path, WHOLE)
    return network_arrays(weights), sentence + _other_order(weights.stated.classes, class_names)


def load_network(
    path: str, data: DataConfig | None = None, part: str = "", numerics: str = ""
) -> tuple[SegFormer, Arrays, tuple[str, ...]]:
    """The network that a file describes, its arrays, and warnings, each a sentence. Raises WeightsError.

    `numerics` is the profile to compute with; empty: the file's. One that the file contradicts is refused.
    """
    return network_in(read_network(path, part), path, data, numerics)


def network_in(
    weights: Weights, path: str, data: DataConfig | None = None, numerics: str = ""
) -> tuple[SegFormer, Arrays, tuple[str, ...]]:
    """As `load_network`, of a file that is read already."""
    if weights.numerics_stated and numerics:
        check_agreement(f"{path} has", {"numerics": (weights.numerics, numerics)})
    notes = (*_warnings(weights, data), *_beside(weights))
    return weights.architecture.spec(numerics or weights.numerics), network_arrays(weights), notes


def load_pretrained(
    path: str, spec: SegFormer, fresh: Mapping[str, np.ndarray], data: DataConfig | None = None, part: str = ""
) -> tuple[Arrays, str]:
    """The arrays to start training from, and a sentence that says what was loaded.

    Only one partial load is allowed: if the file has no decode head, or one of another number of classes, its encoder is taken
    and the head stays as in `fresh`. Any other difference raises WeightsError.
    """
    weights = _read(path, part)
    count = weights.architecture.class_count
    whole = count == spec.class_count
    _check_network(weights, spec, path, whole)
    if whole:
        return network_arrays(weights), _sentence(weights, spec, data, path, WHOLE)
    head = {name: array for name, array in fresh.items() if name.startswith(DECODE_HEAD)}
    encoder = {name: array for name, array in network_arrays(weights).items() if not name.startswith(DECODE_HEAD)}
    there = f"its head has {plural(count or 0, 'class')} and class_num is {spec.class_count}"
    why = "it has no decode head" if count is None else there
    return encoder | head, _sentence(weights, spec, data, path, f"the encoder ({len(encoder)} arrays)") + (
        f"; {why}, so the head starts fresh ({len(head)} arrays)"
    )


def _read(path: str, part: str) -> Weights:
    return as_two_classes(read(local_path(path), numerics=stated_numerics(path), part=part))


def read_network(path: str, part: str = "") -> Weights:
    """A file that holds a whole network. Raises WeightsError."""
    weights = _read(path, part)
    if weights.architecture.class_count is None:
        raise WeightsError(f"{path} holds {weights.architecture}: without a decode head there are no labels; train it first")
    return weights


def network_keys(weights: Weights) -> dict[str, object]:
    """The keys by which a file says which network it holds, without class_num; `_check_network` refuses a configuration with
    others. Of a file that does not state its numerics these are left out, unless its decoder's width tells them.
    """
    stored = weights.architecture
    keys: dict[str, object] = {"decoder_width": stored.decoder_width}
    told = weights.numerics_stated
    if stored.variant != "custom":
        keys["backbone"] = f"mit_{stored.variant}"
        profiles_width = NUMERICS[weights.numerics].wide_decoder
        told |= stored.decoder_width == profiles_width != segformer(stored.variant).decoder_width
    return keys | ({"numerics": weights.numerics} if told else {})


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
    profiles_width = NUMERICS[weights.numerics].wide_decoder if weights.numerics != spec.numerics else None
    wide = with_head and stored.decoder_width == profiles_width != spec.decoder_width
    if weights.numerics_stated or wide:
        pairs["numerics"] = (weights.numerics, spec.numerics)
    if wide:
        del pairs["decoder_width"]  # it comes with the profile
    subject = f"{path} ({'; '.join(weights.notes)}) has" if weights.notes else f"{path} has"
    check_agreement(subject, pairs, data_classes)


def _warnings(weights: Weights, data: DataConfig | None) -> tuple[str, ...]:
    theirs = weights.stated.preparation
    if data is None or theirs is None or theirs.normalises_like(Preparation.of(data)):
        return weights.warnings
    mean, std = ("[" + ",".join(f"{value:.6g}" for value in values) + "]" for values in (theirs.mean, theirs.std))
    return *weights.warnings, (
        f"{theirs.file} normalises images otherwise than this run; set --img_norm_mean {mean} --img_norm_std {std} to do the same"
    )


def _other_order(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """A warning if both name the same classes by other indices; other names may be other words for the same."""
    plain, names = ([name.casefold().replace("_", " ").strip() for name in classes] for classes in (theirs, ours))
    if plain == names or sorted(plain) != sorted(names):
        return ""
    index = next(index for index, (one, other) in enumerate(zip(plain, names, strict=True)) if one != other)
    return (
        f". WARNING: the weights' classes are in another order than the data's: label {index} is {brief(theirs[index])} there "
        f"and {brief(ours[index])} here; name a dataset_file in the weights' order"
    )


def _sentence(weights: Weights, spec: SegFormer, data: DataConfig | None, path: str, what: str) -> str:
    sentence = f"loaded {what} of {path}: {weights.dialect.title}, {weights.architecture}"
    notes = list(_warnings(weights, data))
    if weights.numerics != spec.numerics:
        but = ", but not for the paper's own weights" if weights.numerics == TRANSFORMERS_NUMERICS else ""
        advice = (
            f"; set --numerics {weights.numerics} to do the same{but}" if what == WHOLE else ""
        )  # an encoder may be the paper's
        notes.append(f"that code computes with numerics {weights.numerics!r}, this run with {spec.numerics!r}{advice}")
    return ". ".join([sentence, *_beside(weights), *(f"WARNING: {note}" for note in notes)])


def _beside(weights: Weights) -> list[str]:
    """The notes, and a sentence for each kind of array that was left out, except what was not asked for and what is usual."""
    usual = (NOT_AN_ARRAY, OUTSIDE, LEFT_OVER, weights.dialect.unused_why)
    rest = {name: why for name, why in weights.dropped.items() if why not in usual}
    return [*weights.notes, *(f"left out: {phrase}" for phrase in left_out(rest))]
