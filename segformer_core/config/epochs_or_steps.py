"""Keys of a training run that count in epochs, and their counterparts in steps: which of the two holds.

Where the key in steps is not 0 it holds. But a file, or the command line, that gives a key in epochs overrides both in the files
below it. No place may give both, unless the one in steps is 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from segformer_core.errors import ConfigError, brief

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


def check_one_of_each(values: Mapping[str, Any], file: Path | None = None) -> None:
    """Raise ConfigError if `file`, or the command line, of these keys and values counts the same in epochs and in steps."""
    place, dashes = (f"{file}: ", "") if file else ("", "--")
    for epochs, steps in IN_STEPS.items():
        if epochs in values and values.get(steps):
            raise ConfigError(
                f"{place}{dashes}{epochs} {brief(values[epochs])} and {dashes}{steps} {brief(values[steps])} say the same thing "
                "in epochs and in steps; leave one of them out"
            )
