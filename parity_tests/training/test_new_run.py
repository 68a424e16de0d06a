"""A run that cannot go on as asked says the command that starts a new one from its weights."""

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests.support import CONFIG
from parity_tests.training.test_checkpoints import SPEC, Weights
from segformer_core.commands.train import find_start, starting_weights
from segformer_core.config.load import load_config
from segformer_core.errors import TrainingError
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.new_run import new_run_command

PYTHON = "python -m backend_torch.train"


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("", "--pretrained_ckpt_path w --load_ckpt True --checkpoint_path run_2"),
        (
            "--lr 1e-3 --epoch_size=4",
            "--lr 1e-3 --epoch_size=4 --pretrained_ckpt_path w --load_ckpt True --checkpoint_path run_2",
        ),
        (
            "--checkpoint_path run --lr 1 --load_ckpt=False --resume auto --pretrained_ckpt_path=x --seed 2",
            "--lr 1 --seed 2 --pretrained_ckpt_path w --load_ckpt True --checkpoint_path run_2",
        ),
        ("--data_path 'my data'", "--data_path 'my data' --pretrained_ckpt_path w --load_ckpt True --checkpoint_path run_2"),
    ],
)
def test_the_users_own_words_are_kept(typed, command):
    words = shlex.split(f"{PYTHON} {typed}")
    assert new_run_command(Path("w"), Path("run"), words=words) == f"{PYTHON} {command}"


def test_a_part_of_another_file_is_not_asked_of_these_weights():
    words = shlex.split(f"{PYTHON} --ckpt_part ema --lr 1")
    command = f"{PYTHON} --lr 1 --pretrained_ckpt_path w --load_ckpt True --checkpoint_path run_2 --ckpt_part ''"
    assert new_run_command(Path("w"), Path("run"), "ema", words) == command


def test_the_launcher_is_named(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python", "-u", "-m", "backend_torch.train", "--lr", "1"])
    assert new_run_command(Path("w"), Path("run")).startswith(
        "torchrun … -m backend_torch.train --lr 1 --pretrained_ckpt_path w "
    )


def test_the_new_folder_is_not_there_yet(tmp_path):
    (tmp_path / "run_2").mkdir()
    assert new_run_command(Path("w"), tmp_path / "run", words=[]).endswith(f"--checkpoint_path {tmp_path / 'run_3'}")


@pytest.mark.parametrize("typed", ["--epoch_size 4", "--max_steps 300", "--lr 1e-3", "--seed 5 --batch_size 4"])
def test_the_command_starts_from_the_weights(typed, tmp_path, monkeypatch):
    words = ["--class_num", "3", "--checkpoint_path", str(tmp_path / "run"), "--load_ckpt", "False"]
    saved = Checkpoints(str(tmp_path / "run"), SPEC, load_config(words), {}).save(Weights(1), 2, 20)
    typed_words = [*words, *typed.split()]
    monkeypatch.setattr(sys, "orig_argv", [*PYTHON.split(), *typed_words])
    with pytest.raises(TrainingError, match="is of another run: .* there and .* here; use the same values to go on") as refusal:
        Checkpoints(str(tmp_path / "run"), SPEC, load_config(typed_words), {}).to_resume("auto", print)
    assert_starts_from(saved, str(refusal.value), load_config(typed_words), tmp_path / "run_2")


def test_the_end_of_a_run_says_the_command(tmp_path, monkeypatch):
    words = ["--class_num", "3", "--checkpoint_path", str(tmp_path / "run")]
    config = load_config(words)
    saved = Checkpoints(str(tmp_path / "run"), SPEC, config, {}).save(Weights(1), 2, 20)
    monkeypatch.setattr(sys, "orig_argv", [*PYTHON.split(), *words])
    stream = type("Stream", (), {"steps": 20})()
    start = find_start(SPEC, config, stream, Checkpoints(str(tmp_path / "run"), SPEC, config, {}))
    (sentence,) = start.sentences
    assert sentence.startswith(
        f"{saved} is the end of this run: nothing is left to train; a new run from its weights starts with: "
    )
    assert_starts_from(saved, sentence, config, tmp_path / "run_2")


def test_a_network_that_could_not_start_from_the_weights_is_sent_to_another_folder(tmp_path):
    Checkpoints(str(tmp_path), SPEC, CONFIG, {}).save(Weights(1), 2, 20)
    other = replace(CONFIG, model=replace(CONFIG.model, numerics="hf"))
    with pytest.raises(
        TrainingError, match="use the same values to go on with it, or choose another checkpoint_path for a new run$"
    ):
        Checkpoints(str(tmp_path), SPEC, other, {}).to_resume("auto", print)


def assert_starts_from(saved: Path, sentence: str, typed, folder: Path) -> None:
    """The sentence's command is the typed one, but from the weights of `saved` and in `folder`."""
    command = re.search(rf"with: {PYTHON} (.*)$", sentence)
    config = load_config(shlex.split(command[1]))
    training = replace(
        typed.training, load_ckpt=True, pretrained_ckpt_path=str(saved), checkpoint_path=str(folder), resume="auto"
    )
    assert config == replace(typed, training=training) and not folder.exists()
    arrays, [source] = starting_weights(SPEC, config)
    assert "loaded all arrays" in source
    assert all(np.array_equal(arrays[name], array) for name, array in Weights(1).arrays().items())
