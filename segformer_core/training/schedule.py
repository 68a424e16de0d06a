"""Learning rates and parameter groups of the paper's recipe, as pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segformer_core.spec.arrays import ArraySpec, array_specs
from segformer_core.spec.layers import LayerNorm
from segformer_core.spec.model import SegFormer

if TYPE_CHECKING:
    from segformer_core.config import OptimizerConfig

HEAD = "decode_head."
ADAM_EPS = 1e-8
CLIP_EPS = 1e-6
"""Added to the norm that a gradient is clipped by, as PyTorch does."""
SMALLEST_WEIGHT = 1e-12
"""What a loss is at least divided by: with every pixel ignored it is 0."""


@dataclass(frozen=True)
class ParameterGroup:
    """Arrays that share a factor on the learning rate and a (decoupled) weight decay."""

    learning_rate_factor: float
    weight_decay: float
    in_head: bool
    names: tuple[str, ...]


def parameter_groups(spec: SegFormer, optimizer: "OptimizerConfig") -> tuple[ParameterGroup, ...]:
    """Encoder, its LayerNorms (not decayed), and the head (faster, and all of it decayed, as in the paper's code)."""
    members: dict[tuple[float, float, bool], list[str]] = {}
    for array in array_specs(spec):
        if array.trainable:
            members.setdefault(_treatment(array, optimizer), []).append(array.name)
    return tuple(ParameterGroup(*treatment, tuple(names)) for treatment, names in members.items())


def group_rates(groups: Sequence[ParameterGroup], rate: float, encoder_frozen: bool) -> list[float]:
    """The learning rate of each group, from the encoder's; a frozen encoder has rate 0, so its weights stay bit for bit."""
    return [0.0 if encoder_frozen and not group.in_head else rate * group.learning_rate_factor for group in groups]


def learning_rate(step: int, steps: int, optimizer: "OptimizerConfig") -> float:
    """The encoder's learning rate at step 0 <= `step` < `steps`.

    Poly decay from lr towards 0; during the first `warmup_steps` that value is also scaled by a line from `warmup_ratio` to 1.
    """
    rate = optimizer.lr * (1.0 - step / steps) ** optimizer.poly_power
    if step < optimizer.warmup_steps:
        rate *= 1.0 - (1.0 - step / optimizer.warmup_steps) * (1.0 - optimizer.warmup_ratio)
    return rate


def _treatment(array: ArraySpec, optimizer: "OptimizerConfig") -> tuple[float, float, bool]:
    """Learning rate factor, weight decay, whether it is the head's."""
    if array.name.startswith(HEAD):
        return optimizer.head_lr_multiplier, optimizer.weight_decay, True
    return 1.0, 0.0 if isinstance(array.owner, LayerNorm) else optimizer.weight_decay, False
