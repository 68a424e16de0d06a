"""Recognises the one complete network in a file: its code base, its architecture, and what lies beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from segformer_core.errors import WeightsError
from segformer_core.spec.model import HEADS
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.dialect import Dialect, Entry, Missing, Shapes, architecture_of, entries
from segformer_core.weights.networks import BOUNDARY, TYPICAL, Network, networks
from segformer_core.weights.other_networks import PROFILER, TRAINING, refuse_other_networks, refuse_unknown

LEFT_OVER = "left by a training run or another head"
PROFILED = "left by a profiler"
BESIDE = "beside the network, no part of it"

NAMES_SHOWN = 3
MOST_NETWORKS = 16


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
    """Why a dialect does not fit a network: names that the file lacks, names that the dialect lacks, names of another shape.

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


@dataclass(frozen=True)
class Reading:
    """One network of a file as the dialect that fits it best reads it."""

    network: Network
    result: Match | Mismatch

    def comes_before(self, other: "Reading") -> bool:
        """Whether a file with both is about this one: a decode head counts first, then the prefix."""
        headed = [isinstance(it.result, Match) and it.result.architecture.class_count is not None for it in (self, other)]
        if isinstance(self.result, Match) and isinstance(other.result, Match) and headed[0] != headed[1]:
            return headed[0]
        return self.network.comes_before(other.network)


def detect(shapes: Shapes, source: str, family: str = "auto", drop_head: bool = False) -> Match:
    """The dialect and the architecture of the one complete network among arrays with these names and shapes.

    `family` restricts the search to the dialects of that name. With `drop_head` the encoder alone is taken if the head is not
    SegFormer's. Raises WeightsError, which names `source`, also if there are several networks and no reason to prefer one.
    """
    refuse_other_networks(shapes, source)
    weights = [name for name in shapes if not TRAINING.search(name)]
    found = networks(weights, family)
    if not found:
        refuse_unknown(shapes, source, family)
    whole = [network for network in found if network.whole] or found[:1]
    if len(whole) > MOST_NETWORKS:
        raise WeightsError(f"{source} holds {len(whole)} networks; name one: {choice(whole[0].part)}")
    readings = [_reading(network, shapes, whole, source) for network in whole]
    if drop_head:
        readings = [replace(it, result=getattr(it.result, "encoder", None) or it.result) for it in readings]
    complete = [it for it in readings if isinstance(it.result, Match)]
    chosen = _first(complete or readings, source)
    headless = isinstance(chosen.result, Match) and chosen.result.architecture.class_count is None
    damaged = [
        it
        for it in readings
        if isinstance(it.result, Mismatch)
        and (
            it is chosen or it.network.comes_before(chosen.network) or (headless and not chosen.network.comes_before(it.network))
        )
    ]
    if damaged:  # an error, unless a whole network comes before it
        raise WeightsError(_why(_first(damaged, source), complete, source))
    match = chosen.result
    assert isinstance(match, Match)
    _refuse_undivided(match.architecture, source)
    return replace(match, dropped=dict(match.dropped) | _copies(readings, chosen, match, shapes))


def _first(readings: list[Reading], source: str) -> Reading:
    """The one that comes before all others. Raises WeightsError if there is none."""
    for reading in readings:
        if all(reading.comes_before(other) for other in readings if other is not reading):
            return reading
    tied = [it for it in readings if not any(other.comes_before(it) for other in readings)]
    places = [f"below {it.network.part}" if it.network.part else f"by {it.result.dialect.title}" for it in tied]
    part, family = tied[0].network.part, tied[0].result.dialect.name
    raise WeightsError(
        f"{source} holds {len(tied)} networks, {' and '.join(places)}, and nothing says which is meant; name one: "
        f"{choice(part) if part else f'--from {family}'}"
    )


def choice(part: str) -> str:
    """How a user names one of several networks in a file."""
    return f"--part {part} (convert_model) or --ckpt_part {part} (other commands)"


def _why(reading: Reading, complete: list[Reading], source: str) -> str:
    """The sentence on a network that is not complete."""
    nearest = reading.result
    assert isinstance(nearest, Mismatch)
    elsewhere = f"; {choice(complete[0].network.part)} takes the complete one" if complete else ""
    if nearest.encoder is None:
        return f"{source} is not recognised; nearest is {nearest.dialect.title}: {nearest}{elsewhere}"
    why = nearest.dialect.refused_head or f"its decode head is incomplete or another function ({nearest})"
    return (
        f"{source} holds {nearest.encoder.architecture.encoder_only()}, by {nearest.dialect.title}, but {why}; "
        f"convert_model --drop_head writes the encoder alone{elsewhere}"
    )


def _copies(readings: list[Reading], chosen: Reading, match: Match, shapes: Shapes) -> dict[str, str]:
    """The reason for each name of another network in the file."""
    own = {match.prefix + name for name in match.entries}
    why: dict[str, str] = {}
    for other in readings:
        part = other.network.part
        reason = f"an incomplete network, below {part or 'no prefix'}"
        if isinstance(other.result, Match):
            reason = f"another copy, below {part}; {choice(part)} takes it" if part else "another copy, below no prefix"
        if other is not chosen:
            why |= {name: reason for name in _names_of(other.network, chosen.network, shapes) if name not in own}
    return why


def _names_of(network: Network, beside: Network, shapes: Shapes) -> Iterator[str]:
    """The names that belong to a network, seen from another network of the file."""
    for name in shapes:
        inside = name.startswith(beside.prefix) and len(beside.prefix) > len(network.prefix)
        if name.startswith(network.prefix) and not inside and network.prefix != beside.prefix:
            yield name


def _reading(network: Network, shapes: Shapes, whole: list[Network], source: str) -> Reading:
    """A network as its best dialect reads it. Raises WeightsError if two dialects read it differently."""
    copies = {name for other in whole if other is not network for name in _names_of(other, network, shapes)}
    own = {name: shape for name, shape in shapes.items() if name not in copies}
    results = [_fit(candidate.dialect, candidate.prefix, own) for candidate in network.candidates]
    matches = _distinct([result for result in results if isinstance(result, Match)])
    if len(matches) > 1:
        titles = " and as ".join(match.dialect.title for match in matches)
        raise WeightsError(f"{source} can be read as {titles}; say which with --from")
    mismatches = [result for result in results if isinstance(result, Mismatch)]
    return Reading(network, matches[0] if matches else min(mismatches, key=lambda it: it.distance))


def _fit(dialect: Dialect, prefix: str, shapes: Shapes) -> Match | Mismatch:
    """How the arrays below the prefix fit the dialect."""
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    try:
        architecture = architecture_of(dialect, own)
    except Missing as error:
        return Mismatch(dialect, (error.name,), distance=len(entries(dialect, TYPICAL).keys() ^ own.keys()))
    expected = entries(dialect, architecture)
    left = [name for name in shapes if not (name.startswith(prefix) and name.removeprefix(prefix) in expected)]
    dropped = {name: why for name in left if (why := _harmless(name, prefix, dialect))}
    unknown = _unknown([name for name in left if name not in dropped], prefix, architecture, expected, shapes)
    missing = tuple(name for name, entry in expected.items() if name not in own and not entry.optional)
    misshapen = tuple(
        f"{name} is {own[name]}, expected {entry.shape}"
        for name, entry in expected.items()
        if name in own and own[name] != entry.shape
    )
    dropped |= {name: BESIDE for name in left if name not in dropped and name not in unknown}
    if not (missing or unknown or misshapen):
        return Match(dialect, architecture, {name: entry for name, entry in expected.items() if name in own}, prefix, dropped)
    return Mismatch(
        dialect,
        missing,
        tuple(name.removeprefix(prefix) for name in unknown),
        misshapen,
        len(missing) + len(unknown) + len(misshapen),
        _encoder(dialect, architecture, shapes, prefix, dropped),
    )


def _unknown(
    strangers: list[str], prefix: str, architecture: Architecture, expected: Mapping[str, Entry], shapes: Shapes
) -> list[str]:
    """Those of the strangers that may take part in computing: inside the network's modules, or a head beside an encoder."""
    if architecture.class_count is None and any(_matrix(shapes[name]) for name in strangers):
        return strangers
    modules = {BOUNDARY.split(name, maxsplit=1)[0] for name in expected}
    inside = [name for name in strangers if name.startswith(prefix)]
    return [name for name in inside if BOUNDARY.split(name.removeprefix(prefix), maxsplit=1)[0] in modules]


def _matrix(shape: tuple[int, ...]) -> bool:
    """Whether an array may be a layer's weight: a mean of shape (1, 3, 1, 1) is none."""
    return sum(size > 1 for size in shape) > 1


def _encoder(
    dialect: Dialect, architecture: Architecture, shapes: Shapes, prefix: str, dropped: Mapping[str, str]
) -> Match | None:
    """The encoder alone, if it is complete."""
    expected = entries(dialect, architecture.encoder_only())
    if any(shapes.get(prefix + name) != entry.shape for name, entry in expected.items()):
        return None
    inside = ("norm1", "patch_embed.proj", "norm")
    stems = tuple(prefix + stem for slot in inside if (stem := dialect.names[slot].partition("{")[0]))
    own = {prefix + name for name in expected}
    head = [name for name in shapes if name not in own and name not in dropped]
    if any(name.startswith(stems) for name in head):
        return None
    why = dialect.refused_head or "a head that is not SegFormer's"
    return Match(dialect, architecture.encoder_only(), expected, prefix, {**dropped, **dict.fromkeys(head, why)})


def _harmless(name: str, prefix: str, dialect: Dialect) -> str:
    """The reason why an array that the dialect does not know never takes part in computing; empty if it may."""
    if PROFILER.search(name):
        return PROFILED
    if TRAINING.search(name):
        return LEFT_OVER
    if name.startswith(prefix):
        name = name.removeprefix(prefix)
        if name in dialect.unused:
            return dialect.unused_why
        return LEFT_OVER if any(fnmatchcase(name, pattern) for pattern in dialect.leftovers) else ""
    return ""


def _distinct(matches: list[Match]) -> list[Match]:
    """The matches, without those that read the arrays in the same way as an earlier one."""
    seen: list[tuple[object, Match]] = []
    for match in matches:
        atoms = {match.prefix + name: (entry.shape, entry.atoms) for name, entry in match.entries.items()}
        read = (atoms, match.dialect.axes)
        if all(read != other for other, _ in seen):
            seen.append((read, match))
    return [match for _, match in seen]


def _refuse_undivided(architecture: Architecture, source: str) -> None:
    """Raise WeightsError for a stage whose channels cannot be shared out to its attention heads."""
    for stage, (width, heads) in enumerate(zip(architecture.widths, HEADS, strict=True), 1):
        if width % heads:
            raise WeightsError(
                f"{source} holds {architecture}: stage {stage} has {width} channels, expected a multiple of its {heads} heads; "
                f"attention with other heads than {HEADS} is another network and cannot be converted"
            )
