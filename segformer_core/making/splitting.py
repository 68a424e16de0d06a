"""Divides images between train and val: by name, by list, by group or by order; the same names always give the same split."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segformer_core.errors import ConfigError, DataError, brief
from segformer_core.making.classes import read_lines
from segformer_core.making.example import TRAIN, VAL

SHARE = 0.2
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class SplitRule:
    """`val` is the share of the images that are held out; `last` takes the last ones in natural order, `names` a list.

    `group` is a pattern: images for which its first group gives the same text stay together.
    """

    val: float | None = None
    seed: int = 0
    last: float | None = None
    names: Path | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        given = [word for word, value in (("--val", self.val), ("--val_last", self.last), ("--val_list", self.names)) if value]
        if len(given) > 1:
            raise ConfigError(f"{given[0]} and {given[1]} are two ways to split; keep one")
        if self.group is not None and (self.last or self.names):
            raise ConfigError(f"--group keeps images together when --val draws; leave it out with {given[0]}")

    @property
    def given(self) -> bool:
        return any((self.val, self.last, self.names, self.group))

    def words(self) -> str:
        """How the split came about, as the options that say so."""
        if self.names:
            return f"--val_list {self.names}"
        if self.last:
            return f"--val_last {self.last:g}: the last in natural order"
        group = f", whole groups of --group {self.group}" if self.group else ""
        return f"--val {self.val or SHARE:g} --seed {self.seed}: by name{group}"


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """A key that sorts slice2 before slice10."""
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in DIGITS.split(name))


def split(names: Sequence[str], rule: SplitRule) -> dict[str, str]:
    """Name -> train or val; neither is empty. Raises DataError or ConfigError."""
    if len(names) < 2:
        raise DataError(f"there is {len(names)} image; expected at least two, one for {TRAIN} and one for {VAL}")
    if rule.names:
        held = _listed(names, rule.names)
    elif rule.last:
        ordered = sorted(names, key=natural)
        held = set(ordered[len(ordered) - _count(rule.last, len(ordered)) :])
    else:
        held = _drawn(names, rule)
    if len(held) == len(names):
        raise DataError(f"all {len(names)} images would be {VAL}; leave some for {TRAIN}")
    return {name: VAL if name in held else TRAIN for name in names}


def _count(share: float, images: int) -> int:
    return min(max(round(share * images), 1), images - 1)


def _rank(text: str, seed: int) -> bytes:
    """A number that depends on nothing but the text and the seed: new images do not reorder the others."""
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogateescape")).digest()


def _drawn(names: Sequence[str], rule: SplitRule) -> set[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name if rule.group is None else _group(name, rule.group), []).append(name)
    if len(groups) < 2:
        only = brief(next(iter(groups)))
        raise DataError(f"--group {rule.group} puts all {len(names)} images into one group, {only}; expected at least two")
    wanted, held = _count(rule.val or SHARE, len(names)), set[str]()
    for group in sorted(groups, key=lambda text: _rank(text, rule.seed)):
        more = len(held) + len(groups[group])
        if more < len(names) and abs(more - wanted) < abs(len(held) - wanted):
            held |= set(groups[group])
    smallest = min(groups, key=lambda group: len(groups[group]))
    return held or set(groups[smallest])


def _group(name: str, pattern: str) -> str:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"--group {brief(pattern)} is no regular expression: {error}; expected one such as '(video\\d+)_'"
        ) from error
    if compiled.groups < 1:
        raise ConfigError(f"--group {brief(pattern)} has no group in parentheses; expected one such as '(video\\d+)_'")
    found = compiled.search(name)
    if found is None or found[1] is None:
        raise DataError(f"--group {brief(pattern)} does not fit the name {brief(name)}; give a pattern that fits every image")
    return found[1]


def listed(path: Path) -> list[str]:
    """The names in a list of images, a line each: NAME, NAME.jpg or folder/NAME.jpg. Raises ConfigError."""
    return [line for line in read_lines(path) if line and not line.startswith("#")]


def _listed(names: Iterable[str], path: Path) -> set[str]:
    known, held = set(names), set()
    for line in listed(path):
        name = next((each for each in (line, Path(line).name, Path(line).stem) if each in known), None)
        if name is None:
            raise DataError(f"{path} lists {brief(line)}, and no image has this name; correct the list")
        held.add(name)
    if not held:
        raise DataError(f"{path} lists no image; expected a name a line")
    return held
