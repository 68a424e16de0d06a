"""Finds the networks among the names of a file: below any prefix, without a list of prefixes.

The names themselves tell the prefix: whatever precedes a name that a dialect knows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from segformer_core.weights.architecture import Architecture
from segformer_core.weights.dialect import Dialect, entries
from segformer_core.weights.dialects import DIALECTS

TYPICAL = Architecture((32, 64, 160, 256), (2, 2, 2, 2), 3, 256, 19, 1000)
"""Its names are looked for. A deeper network has them too."""

BOUNDARY = re.compile(r"[./]")

PREFERRED = (
    *("", "state_dict", "model", "model_state_dict", "params", "net", "network", "weights"),
    *("module", "segmentor", "student"),
)
COPIES = ("teacher", "ema", "imnet", "swa", "averaged", "avg")
"""Which of several networks a file is about: one below the first word here comes before the others; one below a word of
COPIES comes last. This orders networks, it does not find them."""


@dataclass(frozen=True)
class Candidate:
    """A dialect and a prefix, and the names of the file that this dialect has below this prefix."""

    dialect: Dialect
    prefix: str
    names: frozenset[str]


@dataclass(frozen=True)
class Network:
    """The ways to read one network of a file: the candidates that know the most of its names, equally many.

    `whole` is False if these are so few of an encoder's names that they may be another network's.
    """

    candidates: tuple[Candidate, ...]
    whole: bool

    @property
    def prefix(self) -> str:
        """What precedes the names of the network; of several readings the longer part of the file, but not all of it."""
        prefixes = sorted((candidate.prefix for candidate in self.candidates), key=len)
        return next(filter(None, prefixes), "")

    @property
    def part(self) -> str:
        """The prefix as a user gives it."""
        return self.prefix.rstrip("./")

    def comes_before(self, other: "Network") -> bool:
        """Whether a file that holds both is about this one."""
        ours, theirs = self.prefix.split("."), other.prefix.split(".")
        while ours and theirs and ours[0] == theirs[0]:
            ours, theirs = ours[1:], theirs[1:]
        return _rank(ours) < _rank(theirs)


def networks(names: Iterable[str], family: str = "auto") -> list[Network]:
    """The networks that have some of these names, the one with the most names first; no name belongs to two.

    `family` restricts the search to the dialects of that name.
    """
    names = list(names)
    found: dict[tuple[str, int], list[str]] = {}
    for name in names:
        for start in (0, *(match.end() for match in BOUNDARY.finditer(name))):
            for index in _readers().get(name[start:], ()):
                if family in ("auto", DIALECTS[index].name):
                    found.setdefault((name[:start], index), []).append(name)
    order = sorted(found, key=lambda key: (-len(found[key]), len(key[0]), key[1]))
    candidates = [Candidate(DIALECTS[index], prefix, frozenset(found[prefix, index])) for prefix, index in order]
    readers: dict[str, list[int]] = {}
    for index, candidate in enumerate(candidates):
        for name in candidate.names:
            readers.setdefault(name, []).append(index)
    result: list[Network] = []
    claimed: set[str] = set()
    for first in candidates:
        if claimed.isdisjoint(first.names):
            others = sorted({index for name in first.names for index in readers[name]})
            equal = [candidates[index] for index in others if len(candidates[index].names) == len(first.names)]
            claimed.update(*(it.names for it in equal))
            result.append(Network(tuple(equal), 3 * len(first.names) >= _encoder_sizes()[first.dialect.title]))
    return [network for network in result if network.whole or _tells(network, len(names))]


@cache
def _readers() -> dict[str, list[int]]:
    """Name of an array -> the numbers of the dialects that have it."""
    readers: dict[str, list[int]] = {}
    for index, dialect in enumerate(DIALECTS):
        for name in entries(dialect, TYPICAL):
            readers.setdefault(name, []).append(index)
    return readers


@cache
def _encoder_sizes() -> dict[str, int]:
    """Title of a dialect -> how many arrays its typical encoder has."""
    return {dialect.title: len(entries(dialect, TYPICAL.encoder_only())) for dialect in DIALECTS}


def _tells(network: Network, count: int) -> bool:
    """Whether a part of a network is worth a message: much of a SegFormer, or much of the file."""
    known = len(network.candidates[0].names)
    return 10 * known >= _encoder_sizes()[network.candidates[0].dialect.title] or 2 * known >= count


def _rank(components: list[str]) -> tuple[int, int]:
    word = components[0] if components else ""
    if word in PREFERRED:
        return 0, PREFERRED.index(word)
    parts = re.split(r"[\W_]+", word.lower())
    return next(((2, index) for index, copy in enumerate(COPIES) if copy in parts), (1, 0))
