"""Learning rates of the paper's recipe, as pure functions."""

from collections.abc import Sequence

from segformer_core.config.keys import OptimizerConfig
from segformer_core.errors import ConfigError
from segformer_core.protocol.groups import ParameterGroup


def group_rates(groups: Sequence[ParameterGroup], rate: float, encoder_frozen: bool) -> list[float]:
    """The learning rate of each group, from the encoder's; a frozen encoder has rate 0, so its weights stay bit for bit."""
    return [0.0 if encoder_frozen and not group.in_head else rate * group.learning_rate_factor for group in groups]


def warmup(steps: int, optimizer: OptimizerConfig) -> int:
    """The steps of the warm-up in a run of `steps`: `warmup_steps`, or the whole number nearest to that share of the run."""
    given = optimizer.warmup_steps
    return int(given) if given >= 1 else min(round(given * steps), steps - 1)


def check_warmup(steps: int, optimizer: OptimizerConfig) -> None:
    """Raise ConfigError if a run of `steps` would end before its warm-up."""
    if warmup(steps, optimizer) >= steps:
        raise ConfigError(
            f"warmup_steps is {optimizer.warmup_steps} and the run has {steps} steps: the learning rate would never reach lr; "
            "set --warmup_steps 0.1, a tenth of the run, or a smaller number"
        )


def warmup_warning(steps: int, optimizer: OptimizerConfig) -> str:
    """A sentence on a warm-up that takes more than half of a run of `steps`; empty if it does not."""
    rising = warmup(steps, optimizer)
    if rising <= steps / 2:
        return ""
    return (
        f"the warm-up takes {rising} of the run's {steps} steps, and the learning rate stays far below lr, since it falls "
        "towards 0 over the whole run; set --warmup_steps 0.1, a tenth of the run"
    )


def learning_rate(step: int, steps: int, optimizer: OptimizerConfig) -> float:
    """The encoder's learning rate at step 0 <= `step` < `steps`.

    Poly decay from lr towards 0; during the warm-up that value is also scaled by a line from `warmup_ratio` to 1.
    """
    rate = optimizer.lr * (1.0 - step / steps) ** optimizer.poly_power
    rising = warmup(steps, optimizer)
    if step < rising:
        rate *= 1.0 - (1.0 - step / rising) * (1.0 - optimizer.warmup_ratio)
    return rate
