"""Whose weights are these? Every dialect is tried by enumeration; exactly one accepts, or the refusal says why."""

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
"""What wrappers put before every name. Of several copies of a network in one file the first in this order is taken."""

LEFT_OVER = "left by a training run or another head"

NAMES_SHOWN = 3


@dataclass(frozen=True)
class Match:
    """What a file was recognised as. `prefix` precedes each of its names; `dropped` says why an array is left out."""

    dialect: Dialect
    architecture: Architecture
    entries: Mapping[str, Entry]
    prefix: str
    dropped: Mapping[str, str]


@dataclass(frozen=True)
class Mismatch:
    """Why a dialect did not accept: names it misses, names it does not know, names of another shape."""

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
    """What the arrays of these shapes are, in whose names.

    `family` restricts the search to the dialects of that name; `drop_head` allows the encoder to be taken from beside a head that
    is not SegFormer's. Raises WeightsError, which names `source`.
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
        if nearest is not None:  # a damaged network is not passed over for its copy below another prefix
            break
    if nearest is None:
        first = ", ".join(list(shapes)[:NAMES_SHOWN]) or "none"
        wanted = "any known SegFormer" if family == "auto" else f"{family}'s SegFormer"
        raise WeightsError(f"{source} does not hold the weights of {wanted}; its first names are: {first}")
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
    """(prefix, the arrays below it without it, the arrays beside it that are another wrapper's copy): no prefix first."""
    copies = copies or {}
    yield prefix, shapes, copies
    if prefix.count(".") >= 3:
        return
    for found in PREFIXES:
        below = {name.removeprefix(found): shape for name, shape in shapes.items() if name.startswith(found)}
        if not below:
            continue
        beside = {name for name in shapes if not name.startswith(found)}
        why = {prefix + name: reason for name in beside if (reason := _beside(name, prefix))}
        if len(why) == len(beside):
            yield from _groups(below, prefix + found, {**copies, **why})


def _beside(name: str, prefix: str) -> str:
    """Why a name outside a wrapper is no part of the network in it; empty if it may be one."""
    if any(fnmatchcase(name, pattern) for dialect in DIALECTS for pattern in dialect.leftovers):
        return LEFT_OVER
    return next((f"another copy, below {prefix}{other}" for other in PREFIXES if name.startswith(other)), "")


def _fit(dialect: Dialect, shapes: Shapes, prefix: str, copies: Mapping[str, str]) -> Match | Mismatch | None:
    """None if the file has nothing of the dialect."""
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
    """How far a file is from a dialect whose architecture it does not tell; None if it shares no name with it."""
    names = entries(dialect, Architecture((32, 64, 160, 256), (2, 2, 2, 2), 3, 256, 19, 1000)).keys()
    common = len(names & shapes.keys())
    return len(names) + len(shapes) - 2 * common if common else None


def _distinct(matches: list[Match]) -> list[Match]:
    """Without those that take the same arrays to the same places as an earlier one."""
    seen: list[Match] = []
    for match in matches:
        if not any(match.entries == other.entries and match.dialect.axes == other.dialect.axes for other in seen):
            seen.append(match)
    return seen


def _refuse_other_networks(shapes: Shapes, source: str) -> None:
    """Raise WeightsError for networks that are often taken for SegFormer and are another function."""
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
