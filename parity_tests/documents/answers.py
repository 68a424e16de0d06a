"""What the program says to a user: of a command, or of a call that is refused, as one line."""

import contextlib
import io
from collections.abc import Callable

import pytest

from backend_mindspore.device import connect as connect_mindspore
from backend_torch.device import connect as connect_torch
from segformer_core.cli import main, program
from segformer_core.errors import UserError

Case = Callable[[pytest.MonkeyPatch], str]
"""Makes the mistake, and gives what the program says as one line."""


def output(run: Callable[[], object]) -> str:
    """Everything that is printed, or the sentence that a refusal would print, as one line."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            run()
        except UserError as error:
            said.write(f"error: {error}")
    return " ".join(said.getvalue().split())


def torch_command(command: str, *words: str) -> str:
    return output(lambda: main(command, connect_torch, words))


def mindspore_command(command: str, *words: str) -> str:
    return output(lambda: main(command, connect_mindspore, words))


def convert(*words: str) -> str:
    return output(lambda: program(("convert_model", *words)))


DATA = ("--data_path=my_data", "--class_num=3", "--base_size=[64,96]", "--device_target=CPU")
TRAIN = (
    *DATA,
    "--crop_size=[64,96]",
    "--load_ckpt=False",
    "--epoch_size=1",
    "--warmup_steps=0.1",
    "--batch_size=2",
    "--run_eval=False",
)
QUICK = (*TRAIN, "--dataset_num_parallel_workers=0", "--train_log_interval=1", "--check_data=False")


def train(*words: str) -> str:
    return torch_command("train", *TRAIN, *words)
