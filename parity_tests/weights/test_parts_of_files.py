"""Every command takes `ckpt_part`: which of several networks in a file is meant."""

import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.weights.weight_files import saved
from segformer_core.api import load
from segformer_core.commands import compare_backends
from segformer_core.commands.evaluate import evaluate_command
from segformer_core.commands.export import export_command
from segformer_core.commands.infer import infer_command
from segformer_core.commands.opening import read_subject
from segformer_core.commands.train import train_command
from segformer_core.config.load import load_config
from segformer_core.data.dataset import Classes
from segformer_core.errors import ConfigError, WeightsError
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_network, load_pretrained, load_weights

SPEC = segformer("b0", class_count=3)
CLASSES = Classes(("sky", "road", "car"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
FIRST, SECOND = hot_arrays(SPEC), init_arrays(SPEC, 1)


class Loaded(Exception):
    """The weights were found, and a backend is asked for."""


def connect(runtime):
    raise Loaded


def compare(config, connect):
    subject = read_subject(config.evaluation.eval_ckpt_path, config, CLASSES, exported_too=False)
    compare_backends.opened_learners(subject)


def segment(config, connect):
    load(connect, config.evaluation.eval_ckpt_path, "", {}, ckpt_part=config.model.ckpt_part)


COMMANDS = {
    "train": (train_command, "pretrained_ckpt_path"),
    "evaluate": (evaluate_command, "eval_ckpt_path"),
    "infer": (infer_command, "infer_ckpt_path"),
    "export": (export_command, "export_ckpt_path"),
    "compare_backends": (compare, "eval_ckpt_path"),
    "segment in Python": (segment, "eval_ckpt_path"),
}


@pytest.fixture
def two(tmp_path):
    arrays = {f"net_a.{name}": array for name, array in FIRST.items()} | {f"net_b.{name}": SECOND[name] for name in SECOND}
    return saved(tmp_path / "two.safetensors", arrays)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_the_part_that_is_asked_for(command, two, tmp_path, monkeypatch):
    run, key = COMMANDS[command]
    monkeypatch.setattr(compare_backends, "connector", lambda _: connect)
    folder = write_folder_dataset(tmp_path / "set")
    data = folder / "images/val" if command == "infer" else folder
    output = {"checkpoint_path": "run", "eval_output_path": "eval", "infer_output_path": "infer", "export_path": "x.onnx"}
    values = {key: two, "data_path": data, "dataset_file": folder / "dataset.yaml", "class_num": 3, "warmup_steps": 0.1}
    values |= {name: tmp_path / path for name, path in output.items()}
    words = [f"--{name}={value}" for name, value in values.items()]
    words_of = "ckpt_part" if command == "segment in Python" else "--ckpt_part"  # an argument there
    with pytest.raises(WeightsError, match=rf"2 networks, below net_a and below net_b, .* {words_of} net_a \(other comm"):
        run(load_config(words), connect)
    with pytest.raises(Loaded):
        run(load_config([*words, "--ckpt_part=net_b"]), connect)
    with pytest.raises(WeightsError, match="has nothing below 'net_c'; its first names are: net_a"):
        run(load_config([*words, "--ckpt_part=net_c"]), connect)


def test_the_arrays_are_those_of_the_part(two):
    fresh = init_arrays(SPEC, 2)
    for part, arrays in {"net_a": FIRST, "net_b": SECOND}.items():
        weights, sentence = load_weights(str(two), SPEC, part=part)
        for loaded in (weights, load_pretrained(str(two), SPEC, fresh, part=part)[0], load_network(str(two), part=part)[1]):
            assert loaded.keys() == arrays.keys() and all(np.array_equal(loaded[name], arrays[name]) for name in arrays)
        assert "left out" not in sentence


def test_what_lies_beside_a_network_is_said_wherever_it_is_loaded(tmp_path):
    path = str(saved(tmp_path / "x.safetensors", FIRST | {"criterion.weight": np.ones(3, np.float32)}))
    words = "left out: 1 array, beside the network, no part of it: criterion.weight"
    assert words in load_weights(path, SPEC)[1] and words in load_pretrained(path, SPEC, FIRST)[1]
    assert load_network(path)[2] == (words,)


def test_an_exported_file_has_no_parts(tmp_path):
    config = load_config(
        [
            f"--eval_ckpt_path={tmp_path / 'x.onnx'}",
            "--ckpt_part=ema",
            "--class_num=3",
            f"--data_path={write_folder_dataset(tmp_path)}",
        ]
    )
    with pytest.raises(ConfigError, match="ckpt_part is 'ema'; the exported file .*x.onnx has no parts; leave it empty"):
        evaluate_command(config, connect)
