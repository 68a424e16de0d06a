"""The command that starts a new run from the weights of an earlier one."""

import os
import shlex
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

REPLACED = ("pretrained_ckpt_path", "load_ckpt", "ckpt_part", "checkpoint_path", "resume")
"""Keys that the new command gives itself."""


LAUNCHERS = {"MS_ROLE": "msrun", "RANK_TABLE_FILE": "bash tools/run_distribute_train.sh", "RANK": "torchrun"}
"""Variable -> who has started this process with it: its own words are then not what the user typed."""


def new_run_command(weights: Path, folder: Path, part: str = "", words: Sequence[str] | None = None) -> str:
    """The user's own command, `words`, but from `weights` and into a folder beside `folder` that is not there yet.

    `part` is the configuration's ckpt_part, which these weights do not have.
    """
    names = (folder.parent / f"{folder.name or 'checkpoint'}_{number}" for number in count(2))
    new_folder = next(path for path in names if not path.exists())
    chosen = {"pretrained_ckpt_path": weights, "load_ckpt": True, "checkpoint_path": new_folder}
    if part:
        chosen["ckpt_part"] = ""
    flags = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    command = shlex.join([*_kept(sys.orig_argv if words is None else words), *flags])
    launcher = next((name for variable, name in LAUNCHERS.items() if variable in os.environ), "")
    return f"{launcher} … {command[command.find('-m ') :]}" if launcher and words is None else command


def _kept(words: Sequence[str]) -> list[str]:
    """The words without the flags that the new command gives itself, each `--key value` or `--key=value`."""
    kept, remaining = [], list(words)
    while remaining:
        word = remaining.pop(0)
        name, equals, _ = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in REPLACED:
            del remaining[: 0 if equals else 1]
        else:
            kept.append(word)
    return kept
