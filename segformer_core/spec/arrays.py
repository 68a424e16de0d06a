"""The arrays of a spec: their table, their first values, and the check that a set of arrays is exactly that table."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segformer_core.errors import WeightsError, plural
from segformer_core.seeds import generator
from segformer_core.spec.layers import (
    RUNNING_STATISTICS,
    BatchNorm2d,
    Conv2d,
    LayerNorm,
    Leaf,
    fan_out_std,
)
from segformer_core.spec.model import SegFormer, leaves


@dataclass(frozen=True)
class ArraySpec:
    """One array: its full name, its shape and the layer it belongs to."""

    name: str
    shape: tuple[int, ...]
    owner: Leaf

    @property
    def leaf_name(self) -> str:
        """The last part of the name: weight, bias, running_mean or running_var."""
        return self.name.rpartition(".")[2]

    @property
    def trainable(self) -> bool:
        return self.leaf_name not in RUNNING_STATISTICS


def array_specs(spec: SegFormer) -> tuple[ArraySpec, ...]:
    """Every array of the network, in the order of the tree."""
    return tuple(ArraySpec(f"{path}.{name}", shape, leaf) for path, leaf in leaves(spec) for name, shape in leaf.shapes().items())


def parameter_count(spec: SegFormer) -> int:
    """How many numbers are trained; as in the paper's counts, BatchNorm's running statistics are left out."""
    return sum(int(np.prod(array.shape)) for array in array_specs(spec) if array.trainable)


def init_arrays(spec: SegFormer, seed: int) -> dict[str, np.ndarray]:
    """The network's first values, float32, by the paper code's rules.

    Each array has its own generator, seeded by `seed` and its name: an array does not change when another does, so two
    networks that differ only in the class count start with the same encoder.
    """
    return {array.name: _first_value(array, seed) for array in array_specs(spec)}


def check_arrays(spec: SegFormer, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Raise one WeightsError that lists every missing, unknown and misshapen array of `source`."""
    expected = {array.name: array.shape for array in array_specs(spec)}
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    differences = [f"missing {name} {shape}" for name, shape in expected.items() if name not in shapes]
    differences += [f"unknown {name} {shape}" for name, shape in shapes.items() if name not in expected]
    differences += [
        f"{name} has shape {shapes[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in shapes and shapes[name] != shape
    ]
    if differences:
        raise WeightsError(
            f"{source} does not hold the weights of mit_{spec.variant} with {plural(spec.class_count, 'class')} and "
            f"decoder width {spec.decoder_width}: {len(differences)} differences: " + "; ".join(differences)
        )


def _first_value(array: ArraySpec, seed: int) -> np.ndarray:
    owner, shape = array.owner, array.shape
    if isinstance(owner, LayerNorm | BatchNorm2d):
        one = array.leaf_name in ("weight", "running_var")
        return np.full(shape, float(one), np.float32)
    rng = generator("first weights", seed, zlib.crc32(array.name.encode()))
    if owner.init == "fan_in_uniform":
        bound = owner.fan_in**-0.5
        return rng.uniform(-bound, bound, shape).astype(np.float32)
    if array.leaf_name == "bias":
        return np.zeros(shape, np.float32)
    if isinstance(owner, Conv2d):
        return (fan_out_std(owner) * rng.standard_normal(shape)).astype(np.float32)
    return (0.02 * rng.standard_normal(shape)).astype(np.float32)
