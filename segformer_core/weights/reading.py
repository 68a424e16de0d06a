"""Reads weights from any recognised file: unwraps them, recognises their names, cuts them into atoms, notes what is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segformer_core.errors import ConfigError, WeightsError, one_line
from segformer_core.files import sha256_of_files
from segformer_core.spec.model import NUMERICS
from segformer_core.weights import containers
from segformer_core.weights.architecture import BATCHES_TRACKED, Architecture
from segformer_core.weights.containers.stored import BFLOAT16, Stored
from segformer_core.weights.detect import Match, detect
from segformer_core.weights.dialect import Arrays, Dialect, entries, put, take
from segformer_core.weights.dialects import CANONICAL
from segformer_core.weights.flattening import NOT_AN_ARRAY, OUTSIDE, below, flat
from segformer_core.weights.stated import Stated, stated_of
from segformer_core.weights.store import check_hashes

FLOATS = ("float16", BFLOAT16, "float32", "float64")
INERT = "of a class that no weights need; nothing of it was run"
FUSE_CONV_BIAS = "decode_head.linear_fuse.conv.bias"
FUSE_MEAN = "decode_head.linear_fuse.bn.running_mean"


@dataclass(frozen=True)
class Weights:
    """The content of a weight file: atoms in PyTorch's layout, float32 (counters int64).

    `dropped` maps each name that was left out to the reason; `warnings` and `notes` are sentences. `numerics_stated` is True if
    the file or the user named the profile, False if it is the usual one of the code base. `stated` is what lies beside the
    arrays and is true of them.
    """

    architecture: Architecture
    atoms: Arrays
    dialect: Dialect
    numerics: str
    numerics_stated: bool
    container: str
    source: str
    files: tuple[Path, ...]
    dropped: Mapping[str, str]
    warnings: tuple[str, ...]
    stated: Stated
    notes: tuple[str, ...] = ()

    @property
    def provenance(self) -> dict[str, str]:
        """Where the weights come from, as metadata for a canonical file."""
        return {
            "source": one_line(Path(self.source).name),
            "source_format": f"{self.dialect.title} ({self.container})",
            "source_sha256": sha256_of_files(*self.files),
            "dropped": "; ".join(f"{why}: {len(names)}" for why, names in reasons(self.dropped).items()),
        }


def read(path: str | Path, family: str = "auto", drop_head: bool = False, numerics: str = "", part: str = "") -> Weights:
    """The weights in a file or folder of any recognised form.

    `family` is a dialect's name or auto; with `drop_head` the encoder alone is taken if the head is not SegFormer's; `numerics`
    overrides the profile; `part` selects one of several copies in the file by its key or prefix. Raises WeightsError.
    """
    if numerics and numerics not in NUMERICS:
        raise ConfigError(f"unknown numerics profile {numerics!r}; known profiles: {', '.join(NUMERICS)}")
    path = Path(path)
    with containers.opened(path) as content:
        check_hashes(content, path)
        arrays, dropped = flat(content.tree, str(path))
        if part:
            chosen = below(part.rstrip("./"), arrays, str(path))
            dropped |= {name: OUTSIDE for name in arrays if name not in chosen}
            arrays = chosen
        match = detect({name: stored.shape for name, stored in arrays.items()}, str(path), family, drop_head)
        described = stated_of(content.files[0], match.dialect.name, match.architecture, content.metadata)
        atoms, warnings = _atoms(match, arrays, str(path))
        stated = numerics or content.metadata.get("numerics", "")
        return Weights(
            match.architecture,
            atoms,
            match.dialect,
            stated or match.dialect.numerics,
            bool(stated),
            content.container,
            str(path),
            content.files,
            {**dropped, **match.dropped, **dict.fromkeys(content.inert, INERT)},
            (*described.warnings, *warnings),
            described,
        )


def network_arrays(weights: Weights) -> Arrays:
    """The arrays of the network's spec by canonical name, writable, without the ImageNet classifier."""
    atoms = folded(weights.atoms)
    network = entries(CANONICAL, replace(weights.architecture, image_classes=None))
    arrays = {name: put(CANONICAL, entry, atoms) for name, entry in network.items() if not entry.optional}
    return {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}


def folded(atoms: Mapping[str, np.ndarray]) -> Arrays:
    """The atoms without a bias of the fusion's convolution. BatchNorm subtracts its mean next: it becomes mean - bias."""
    rest = dict(atoms)
    bias = rest.pop(FUSE_CONV_BIAS, None)
    if bias is not None:
        rest[FUSE_MEAN] = rest[FUSE_MEAN] - bias
    return rest


def left_out(dropped: Mapping[str, str]) -> list[str]:
    """For each reason a phrase: how many names, why, and the first of them."""
    phrases = []
    for why, names in reasons(dropped).items():
        one, many = ("entry", "entries") if why in (NOT_AN_ARRAY, INERT) else ("array", "arrays")
        first = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        phrases.append(f"{len(names)} {one if len(names) == 1 else many}, {why}: {first}")
    return phrases


def reasons(dropped: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason -> the names that were left out for it."""
    grouped: dict[str, list[str]] = {}
    for name, why in dropped.items():
        grouped.setdefault(why, []).append(name)
    return grouped


def _atoms(match: Match, arrays: Mapping[str, Stored], source: str) -> tuple[Arrays, tuple[str, ...]]:
    """The atoms of all arrays, and warnings."""
    atoms: Arrays = {}
    narrowed, bad = [], []
    for name, entry in match.entries.items():
        stored = arrays[match.prefix + name]
        counter = entry.atoms[0].leaf == BATCHES_TRACKED
        if stored.type_name not in FLOATS and not (counter and "int" in stored.type_name):
            raise WeightsError(
                f"{source}: {match.prefix}{name} is of type {stored.type_name}; expected floats of type {', '.join(FLOATS)} (a "
                "quantised or complex model cannot be converted); save the network in one of these"
            )
        array = stored.load().astype(np.int64 if counter else np.float32, copy=False)
        if stored.type_name == "float64" and not counter:
            narrowed.append(name)
        if not np.isfinite(array).all():
            bad.append(match.prefix + name)
        atoms |= take(match.dialect, entry, array)
    warnings = []
    if bad:
        warnings.append(f"{_arrays(bad, 'holds', 'hold')} NaN or infinity, first {bad[0]}: the network cannot work")
    if narrowed:
        warnings.append(f"{_arrays(narrowed, 'is', 'are')} float64 and {'become' + 's' * (len(narrowed) == 1)} float32")
    return atoms, tuple(warnings)


def _arrays(names: list[str], one: str, many: str) -> str:
    """Their count with the verb."""
    return f"1 array {one}" if len(names) == 1 else f"{len(names)} arrays {many}"
