"""What the environment says of this process: its device, and the processes that a launcher has started with it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from segformer_core.errors import BackendError, brief
from segformer_core.interrupt import ended_at_once
from segformer_core.output import tell

DEVICE_ID = "DEVICE_ID"
LAUNCHED_BY = ("RANK", "WORLD_SIZE", "MS_ROLE", "RANK_TABLE_FILE")
"""The variables by which a process knows that it is one of several."""


@dataclass(frozen=True)
class Group:
    """Processes that train together: this one's rank, their number, where they meet, and the variables that say so."""

    rank: int
    count: int
    address: str
    variables: str


def variable(name: str, together_with: str) -> str:
    """The value of an environment variable. Raises BackendError if it is not set, though `together_with` is."""
    value = os.environ.get(name, "")
    if not value:
        raise BackendError(
            f"{together_with} is set and {name} is not; start the processes with msrun or torchrun, or unset {together_with} to "
            "run alone"
        )
    return value


def whole_number(name: str, value: str, low: int, high: int | None = None) -> int:
    """The number in an environment variable. Raises BackendError unless it is one from `low` to `high`."""
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
    if number < low or (high is not None and number > high):
        limits = f"from {low}" if high is None else f"from {low} to {high}"
        raise BackendError(f"the environment variable {name} is {brief(value)}; expected a whole number {limits}")
    return number


def chosen_device(device_id: int) -> tuple[int, str]:
    """The device of a process that runs alone, and a word on who chose it: the key `device_id`, else DEVICE_ID.

    Raises BackendError if DEVICE_ID is no number.
    """
    if device_id >= 0:
        return device_id, "as device_id says"
    value = os.environ.get(DEVICE_ID, "")
    return (whole_number(DEVICE_ID, value, 0), f"as the environment variable {DEVICE_ID} says") if value else (0, "")


@contextmanager
def joining(group: Group) -> Iterator[None]:
    """Say whom this process waits for, and let a signal end it meanwhile. Raises BackendError if they do not come in time."""
    since, start = time.strftime("%H:%M:%S"), time.monotonic()
    others = f"{group.count} processes at {group.address}"
    if group.count > 1:
        tell(f"{since} process {group.rank} waits for {others} ({group.variables} is set; unset it to run alone)")
    try:
        with ended_at_once():
            yield
    except (RuntimeError, ValueError, OSError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise BackendError(
            f"process {group.rank} waited {time.monotonic() - start:.0f} s for {others}, and they are not together "
            f"({said[:200]}); start all of them, or run alone without {group.variables}"
        ) from error
