"""Weights from any recognised file: unwrapped, recognised, cut into atoms, with a note of everything that was left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.errors import ConfigError, WeightsError
from segformer_core.files import sha256_of_files
from segformer_core.spec.model import NUMERICS
from segformer_core.weights import containers
from segformer_core.weights.architecture import BATCHES_TRACKED, Architecture
from segformer_core.weights.containers.stored import BFLOAT16, Content, Stored
from segformer_core.weights.detect import Match, detect
from segformer_core.weights.dialect import Arrays, Dialect, entries, put, take
from segformer_core.weights.dialects import CANONICAL

WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "params", "net", "network", "weights"),
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema"),
)
"""Keys below which a training run puts the weights; the first in this order is taken."""

FLOATS = ("float16", BFLOAT16, "float32", "float64")
FUSE_CONV_BIAS = "decode_head.linear_fuse.conv.bias"
FUSE_MEAN = "decode_head.linear_fuse.bn.running_mean"


@dataclass(frozen=True)
class Weights:
    """What a file holds, in our terms: atoms in PyTorch's layout, float32 (counters int64).

    `dropped` maps names of the file to the reason; `warnings` are sentences; `numerics_stated` says whether the file or the user
    named the profile, or it is only what the code base usually computes with.
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

    @property
    def provenance(self) -> dict[str, str]:
        """For a canonical file's metadata."""
        return {
            "source": Path(self.source).name,
            "source_format": f"{self.dialect.title} ({self.container})",
            "source_sha256": sha256_of_files(*self.files),
            "dropped": "; ".join(f"{why}: {len(names)}" for why, names in reasons(self.dropped).items()),
        }


def read(path: str | Path, family: str = "auto", drop_head: bool = False, numerics: str = "", part: str = "") -> Weights:
    """The weights in a file or folder of any recognised form.

    `family` is a dialect's name or auto; `drop_head` takes the encoder from beside a head that is not SegFormer's; `numerics`
    overrides the profile; `part` names one of several copies in the file by its key or prefix. Raises WeightsError.
    """
    if numerics and numerics not in NUMERICS:
        raise ConfigError(f"unknown numerics profile {numerics!r}; known profiles: {', '.join(NUMERICS)}")
    path = Path(path)
    with containers.opened(path) as content:
        held, dropped = _unwrapped(content, part, str(path))
        match = detect({name: stored.shape for name, stored in held.items()}, str(path), family, drop_head)
        atoms, warnings = _atoms(match, held, str(path))
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
            {**dropped, **match.dropped},
            warnings,
        )


def network_arrays(weights: Weights) -> Arrays:
    """The arrays of the network's spec, by canonical name and writable; the ImageNet classifier stays out."""
    atoms = folded(weights.atoms)
    network = entries(CANONICAL, replace(weights.architecture, image_classes=None))
    arrays = {name: put(CANONICAL, entry, atoms) for name, entry in network.items() if not entry.optional}
    return {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}


def folded(atoms: Mapping[str, np.ndarray]) -> Arrays:
    """Without a bias of the fusion's convolution: BatchNorm subtracts its mean next, so the mean takes the bias."""
    rest = dict(atoms)
    bias = rest.pop(FUSE_CONV_BIAS, None)
    if bias is not None:
        rest[FUSE_MEAN] = rest[FUSE_MEAN] - bias
    return rest


def reasons(dropped: Mapping[str, str]) -> dict[str, list[str]]:
    """Why -> names."""
    grouped: dict[str, list[str]] = {}
    for name, why in dropped.items():
        grouped.setdefault(why, []).append(name)
    return grouped


def _unwrapped(content: Content, part: str, source: str) -> tuple[dict[str, Stored], dict[str, str]]:
    """The arrays by name, and what lies beside them."""
    tree, dropped = content.tree, dict[str, str]()
    while not part or part not in tree:
        key = next((key for key in WRAPPERS if _has_arrays(tree.get(key))), None)
        if key is None:
            break
        copies = [other for other in WRAPPERS if other != key and _has_arrays(tree.get(other))]
        dropped |= {other: f"another copy; --part {other} takes it" for other in copies}
        tree = tree[key]
    if part in tree and isinstance(tree[part], Mapping):
        tree = tree[part]
    elif part:
        tree = {name.removeprefix(f"{part}."): value for name, value in tree.items() if name.startswith(f"{part}.")}
        if not tree:
            raise WeightsError(f"{source} has nothing below {part!r}")
    held = {name: value for name, value in tree.items() if isinstance(value, Stored)}
    dropped |= {str(name): "not an array" for name in tree if name not in held}
    if not held:
        raise WeightsError(f"{source} holds no arrays; its first keys are: {', '.join(map(str, list(tree)[:5])) or 'none'}")
    return held, dropped


def _has_arrays(value: Any) -> bool:
    """Whether a dictionary holds arrays, or a wrapper's dictionary of them."""
    if not isinstance(value, Mapping):
        return False
    return any(isinstance(item, Stored) for item in value.values()) or any(_has_arrays(value.get(key)) for key in WRAPPERS)


def _atoms(match: Match, held: Mapping[str, Stored], source: str) -> tuple[Arrays, tuple[str, ...]]:
    atoms: Arrays = {}
    narrowed, bad = [], []
    for name, entry in match.entries.items():
        stored = held[match.prefix + name]
        counter = entry.atoms[0].leaf == BATCHES_TRACKED
        if stored.type_name not in FLOATS and not (counter and "int" in stored.type_name):
            raise WeightsError(
                f"{source}: {match.prefix}{name} is of type {stored.type_name}; expected floats (a quantised model cannot be "
                "converted)"
            )
        array = stored.load().astype(np.int64 if counter else np.float32, copy=False)
        if stored.type_name == "float64" and not counter:
            narrowed.append(name)
        if not np.isfinite(array).all():
            bad.append(match.prefix + name)
        atoms |= take(match.dialect, entry, array)
    warnings = []
    if bad:
        warnings.append(f"{len(bad)} arrays hold NaN or infinity, first {bad[0]}: the network cannot work")
    if narrowed:
        warnings.append(f"{len(narrowed)} arrays are float64 and become float32")
    return atoms, tuple(warnings)
