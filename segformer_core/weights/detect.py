"""Finds the code base whose names a file has. Every dialect is tried; one of them fits, or the error says why none does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from segformer_core.errors import WeightsError
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.dialect import Dialect, Entry, Missing, Shapes, architecture_of, entries
from segformer_core.weights.dialects import DIALECTS

PREFIXES = (
    *("module.", "_orig_mod.", "model.", "net.", "network.", "segmentor.", "student.", "backbone.", "encoder.", "glpn."),
    *("teacher.", "ema_model.", "imnet_model."),
)
"""Prefixes that wrappers put before every name. If a file holds several copies of a network, the first in this order is taken."""

LEFT_OVER = "left by a training run or another head"

NAMES_SHOWN = 3


@dataclass(frozen=True)
class Match:
    """What a file was recognised as. `prefix` precedes each of its names; `dropped` is the reason for each array left out."""

    dialect: Dialect
    architecture: Architecture
    entries: Mapping[str, Entry]
    prefix: str
    dropped: Mapping[str, str]


@dataclass(frozen=True)
class Mismatch:
    """Why a dialect does not fit a file: names that the file lacks, names that the dialect lacks, names of another shape.

    `distance` is how many they are, or how many names differ if the architecture cannot be read. `encoder` is the encoder alone,
    if the file holds all of it.
    """

    dialect: Dialect
    missing: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    distance: int = 0
    encoder: Match | None = None

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "unknown": self.unknown, "of another shape": self.misshapen}
        parts = [
            f"{len(names)} {what} ({', '.join(names[:NAMES_SHOWN])}{', …' if len(names) > NAMES_SHOWN else ''})"
            for what, names in kinds.items()
            if names
        ]
        return ", ".join(parts)


def detect(shapes: Shapes, source: str, family: str = "auto", drop_head: bool = False) -> Match:
    """The dialect and the architecture of arrays with these names and shapes.

    `family` restricts the search to the dialects of that name. With `drop_head` the encoder alone is taken if the head is not
    SegFormer's. Raises WeightsError, which names `source`.
    """
    _refuse_other_networks(shapes, source)
    dialects = [dialect for dialect in DIALECTS if family in ("auto", dialect.name)]
    nearest: Mismatch | None = None
    for prefix, group, copies in _groups(shapes):
        results = [_fit(dialect, group, prefix, copies) for dialect in dialects]
        matches = _distinct([result for result in results if isinstance(result, Match)])
        if len(matches) > 1:
            titles = " and as ".join(match.dialect.title for match in matches)
            raise WeightsError(f"{source} can be read as {titles}; say which with --from")
        if matches:
            return matches[0]
        nearest = min((result for result in results if isinstance(result, Mismatch)), key=lambda it: it.distance, default=None)
        if nearest is not None:  # a damaged network is an error, also if another prefix holds a copy
            break
    if nearest is None:
        first = ", ".join(list(shapes)[:NAMES_SHOWN]) or "none"
        network = "any known SegFormer" if family == "auto" else f"{family}'s SegFormer"
        raise WeightsError(f"{source} does not hold the weights of {network}; its first names are: {first}")
    if nearest.encoder is None:
        raise WeightsError(f"{source} is not recognised; nearest is {nearest.dialect.title}: {nearest}")
    if drop_head:
        return nearest.encoder
    why = nearest.dialect.refused_head or f"its decode head is incomplete or another function ({nearest})"
    raise WeightsError(
        f"{source} holds {nearest.encoder.architecture.encoder_only()}, by {nearest.dialect.title}, but {why}; "
        "--drop_head takes the encoder alone"
    )


def _groups(shapes: Shapes, prefix: str = "", copies: Mapping[str, str] | None = None) -> Iterator[tuple[str, Shapes, Mapping]]:
    """Each prefix, the arrays below it by the rest of their names, and the reason for each array beside it that is left out.

    The first prefix is empty.
    """
    copies = copies or {}
    yield prefix, shapes, copies
    if prefix.count(".") >= 3:
        return
    for wrapper in PREFIXES:
        below = {name.removeprefix(wrapper): shape for name, shape in shapes.items() if name.startswith(wrapper)}
        if not below:
            continue
        beside = {name for name in shapes if not name.startswith(wrapper)}
        why = {prefix + name: reason for name in beside if (reason := _beside(name, prefix))}
        if len(why) == len(beside):
            yield from _groups(below, prefix + wrapper, {**copies, **why})


def _beside(name: str, prefix: str) -> str:
    """The reason why a name outside a wrapper is no part of the network inside; empty if it may be a part."""
    if any(fnmatchcase(name, pattern) for dialect in DIALECTS for pattern in dialect.leftovers):
        return LEFT_OVER
    return next((f"another copy, below {prefix}{other}" for other in PREFIXES if name.startswith(other)), "")


def _fit(dialect: Dialect, shapes: Shapes, prefix: str, copies: Mapping[str, str]) -> Match | Mismatch | None:
    """How the arrays fit the dialect; None if they have no name in common."""
    try:
        architecture = architecture_of(dialect, shapes)
    except Missing as error:
        distance = _unlike(dialect, shapes)
        return None if distance is None else Mismatch(dialect, (error.name,), distance=distance)
    expected = entries(dialect, architecture)
    dropped = dict(copies)
    for name in shapes.keys() - expected.keys():
        if name in dialect.unused:
            dropped[prefix + name] = dialect.unused_why
        elif any(fnmatchcase(name, pattern) for pattern in dialect.leftovers):
            dropped[prefix + name] = LEFT_OVER
    missing = tuple(name for name, entry in expected.items() if name not in shapes and not entry.optional)
    unknown = tuple(name for name in shapes if name not in expected and prefix + name not in dropped)
    misshapen = tuple(
        f"{name} is {shapes[name]}, expected {entry.shape}"
        for name, entry in expected.items()
        if name in shapes and shapes[name] != entry.shape
    )
    present = {name: entry for name, entry in expected.items() if name in shapes}
    if not (missing or unknown or misshapen):
        return Match(dialect, architecture, present, prefix, dropped)
    return Mismatch(
        dialect,
        missing,
        unknown,
        misshapen,
        len(missing) + len(unknown) + len(misshapen),
        _encoder(dialect, architecture, shapes, prefix, dropped),
    )


def _encoder(
    dialect: Dialect, architecture: Architecture, shapes: Shapes, prefix: str, dropped: Mapping[str, str]
) -> Match | None:
    """The encoder alone, if it is complete."""
    encoder = architecture.encoder_only()
    expected = entries(dialect, encoder)
    if any(shapes.get(name) != entry.shape for name, entry in expected.items()):
        return None
    inside = ("norm1", "patch_embed.proj", "norm")
    stems = {dialect.names[slot].partition("{")[0] for slot in inside}
    head = {name for name in shapes if name not in expected and prefix + name not in dropped}
    if any(stem and name.startswith(stem) for name in head for stem in stems):
        return None
    why = dialect.refused_head or "a head that is not SegFormer's"
    return Match(dialect, encoder, expected, prefix, {**dropped, **{prefix + name: why for name in head}})


def _unlike(dialect: Dialect, shapes: Shapes) -> int | None:
    """The distance of a file from a dialect if the architecture cannot be read; None if they have no name in common."""
    names = entries(dialect, Architecture((32, 64, 160, 256), (2, 2, 2, 2), 3, 256, 19, 1000)).keys()
    common = len(names & shapes.keys())
    return len(names) + len(shapes) - 2 * common if common else None


def _distinct(matches: list[Match]) -> list[Match]:
    """The matches, without those that read the arrays in the same way as an earlier one."""
    seen: list[Match] = []
    for match in matches:
        if not any(match.entries == other.entries and match.dialect.axes == other.dialect.axes for other in seen):
            seen.append(match)
    return seen


def _refuse_other_networks(shapes: Shapes, source: str) -> None:
    """Raise WeightsError for networks that are often mistaken for SegFormer."""
    if "mit.stages.0.1.weight" in shapes:
        raise WeightsError(
            f"{source} is of lucidrains/segformer-pytorch, another network (InstanceNorm, keys and values from one strided "
            "convolution, no bias in attention): it cannot be converted"
        )
    wide = [name for name, shape in shapes.items() if name.endswith("mlp.fc1.weight") and shape[0] == 8 * shape[-1]]
    if wide:
        raise WeightsError(
            f"{source} is a PVTv2-B0…B4 ({wide[0]} widens its input eightfold), not MiT, which widens it fourfold everywhere: it "
            "cannot be converted"
        )
