"""Learning rates of the paper's recipe, as pure functions."""

from collections.abc import Sequence

from segformer_core.config.keys import OptimizerConfig
from segformer_core.protocol.groups import ParameterGroup


def group_rates(groups: Sequence[ParameterGroup], rate: float, encoder_frozen: bool) -> list[float]:
    """The learning rate of each group, from the encoder's; a frozen encoder has rate 0, so its weights stay bit for bit."""
    return [0.0 if encoder_frozen and not group.in_head else rate * group.learning_rate_factor for group in groups]


def learning_rate(step: int, steps: int, optimizer: OptimizerConfig) -> float:
    """The encoder's learning rate at step 0 <= `step` < `steps`.

    Poly decay from lr towards 0; during the first `warmup_steps` that value is also scaled by a line from `warmup_ratio` to 1.
    """
    rate = optimizer.lr * (1.0 - step / steps) ** optimizer.poly_power
    if step < optimizer.warmup_steps:
        rate *= 1.0 - (1.0 - step / optimizer.warmup_steps) * (1.0 - optimizer.warmup_ratio)
    return rate
