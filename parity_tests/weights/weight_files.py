"""Shared by the tests of weight files: the lists of names, random arrays for them, and files of both."""

from pathlib import Path

import numpy as np

from segformer_core.spec.model import VARIANTS
from segformer_core.weights import containers
from segformer_core.weights.architecture import BATCHES_TRACKED, Architecture, atoms
from segformer_core.weights.containers import safetensors_file
from segformer_core.weights.containers.stored import Stored
from segformer_core.weights.dialect import Arrays, Dialect, put
from segformer_core.weights.dialect import entries as entries_of
from segformer_core.weights.dialects import CANONICAL
from segformer_core.weights.reading import Weights, read

LISTS = Path(__file__).parent / "names"
"""Names and shapes of live models of each code base: B0, 19 classes."""


def listed_shapes(name: str) -> dict[str, tuple[int, ...]]:
    lines = (LISTS / f"{name}.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines)
    return {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in pairs}


def random_arrays(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Arrays:
    """Distinct numbers in every array; scalars are counters."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype(np.float32) if shape else np.array(rng.integers(1, 1000))
        for name, shape in shapes.items()
    }


def architecture(variant: str, **parts: int) -> Architecture:
    return Architecture(VARIANTS[variant].widths, VARIANTS[variant].depths, parts.pop("in_channels", 3), **parts)


def segmenter(variant: str = "b0", class_count: int = 19, decoder_width: int = 0) -> Architecture:
    return architecture(variant, class_count=class_count, decoder_width=decoder_width or VARIANTS[variant].decoder_width)


def random_atoms(network: Architecture, seed: int = 0) -> Arrays:
    """The atoms of a network, with the counter of batches and without a bias in the fusion."""
    shapes = {atom.name: atom.shape for atom in atoms(network) if not atom.optional or atom.leaf == BATCHES_TRACKED}
    return random_arrays(shapes, seed)


def foreign_arrays(dialect: Dialect, network: Architecture, seed: int = 0) -> Arrays:
    """A file of this dialect, with every array it can hold and distinct numbers in each."""
    return random_arrays({name: entry.shape for name, entry in entries_of(dialect, network).items()}, seed)


def saved(path: Path, arrays: Arrays, metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file of any names: the dialects do not depend on the form of the file."""
    safetensors_file.write(path, arrays, "float32", metadata or {})
    return path


def loaded(path: Path) -> dict[str, np.ndarray]:
    """The arrays at the top of a file."""
    with containers.opened(path) as content:
        return {name: np.array(stored.load()) for name, stored in content.tree.items() if isinstance(stored, Stored)}


def weights_of(tmp_path: Path, network: Architecture, seed: int = 0) -> Weights:
    """Random weights of a network, as read from a canonical file."""
    values = random_atoms(network, seed)
    entries = {name: entry for name, entry in entries_of(CANONICAL, network).items() if entry.atoms[0].name in values}
    return read(saved(tmp_path / "random.safetensors", {name: put(CANONICAL, entry, values) for name, entry in entries.items()}))


def as_torch(arrays):
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def assert_equal_arrays(got: Arrays, want: Arrays) -> None:
    """Same names, types and bits."""
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].shape == array.shape and got[name].dtype == array.dtype, name
        assert np.array_equal(got[name], array), name
