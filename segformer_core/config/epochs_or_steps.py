"""Keys of a training run that count in epochs, and their counterparts in steps: which of the two holds.

Where the key in steps is not 0 it holds. But a file, or the command line, that gives a key in epochs and not its counterpart
overrides both in the files below it.
"""

from collections.abc import Mapping
from typing import TypeVar

from segformer_core.errors import ConfigError

T = TypeVar("T")

IN_STEPS = {
    "epoch_size": "max_steps",
    "eval_interval": "eval_interval_steps",
    "save_checkpoint_epoch_interval": "save_interval_steps",
}
"""Key in epochs -> its counterpart in steps, 0 where epochs are counted."""


def overridden(values: Mapping[str, T], newer: Mapping[str, T]) -> dict[str, T]:
    """`values` with those of `newer` in their place, which take a counterpart in steps away."""
    replaced = {steps for epochs, steps in IN_STEPS.items() if epochs in newer}
    return {name: value for name, value in values.items() if name not in replaced} | dict(newer)


def check_one_of_each(flags: Mapping[str, object]) -> None:
    """Raise ConfigError if the command line, key -> value, counts the same in epochs and in steps."""
    for epochs, steps in IN_STEPS.items():
        if epochs in flags and flags.get(steps):
            raise ConfigError(
                f"--{epochs} {flags[epochs]} and --{steps} {flags[steps]} say the same thing in epochs and in steps; leave one "
                "of them out"
            )
