"""Parameter groups of the paper's recipe, and the small constants that both backends' arithmetic shares."""

from dataclasses import dataclass

from segformer_core.config.keys import OptimizerConfig
from segformer_core.spec.arrays import ArraySpec, array_specs
from segformer_core.spec.layers import LayerNorm
from segformer_core.spec.model import DECODE_HEAD, SegFormer

ADAM_EPS = 1e-8
CLIP_EPS = 1e-6
"""Added to the norm that a gradient is clipped by, as PyTorch does."""
SMALLEST_WEIGHT = 1e-12
"""The smallest divisor of a loss: the weight of a batch whose pixels are all ignored is 0."""


@dataclass(frozen=True)
class ParameterGroup:
    """Arrays that share a factor on the learning rate and a (decoupled) weight decay."""

    learning_rate_factor: float
    weight_decay: float
    in_head: bool
    names: tuple[str, ...]


def parameter_groups(spec: SegFormer, optimizer: OptimizerConfig) -> tuple[ParameterGroup, ...]:
    """Encoder, its LayerNorms (not decayed), and the head (faster, and all of it decayed, as in the paper's code)."""
    members: dict[tuple[float, float, bool], list[str]] = {}
    for array in array_specs(spec):
        if array.trainable:
            members.setdefault(_treatment(array, optimizer), []).append(array.name)
    return tuple(ParameterGroup(*treatment, tuple(names)) for treatment, names in members.items())


def _treatment(array: ArraySpec, optimizer: OptimizerConfig) -> tuple[float, float, bool]:
    """Learning rate factor, weight decay, whether it is the head's."""
    if array.name.startswith(DECODE_HEAD):
        return optimizer.head_lr_multiplier, optimizer.weight_decay, True
    return 1.0, 0.0 if isinstance(array.owner, LayerNorm) else optimizer.weight_decay, False
