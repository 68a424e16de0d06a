"""What a user of the original repository types works here, or the sentence says what to type."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.conftest import need
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import SMALL
from segformer_core.cli import COMMANDS, DONE, ORIGINAL_NAMES, USERS_MISTAKE, main, program
from segformer_core.commands.opening import connector
from segformer_core.commands.train import check_split
from segformer_core.config.files import find_config
from segformer_core.config.hints import HERE, NOWHERE
from segformer_core.config.keys import KEYS, TrainingConfig
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError, WeightsError
from segformer_core.protocol.learner import ALONE
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import DECODE_HEAD, segformer
from segformer_core.weights.loading import load_pretrained, load_weights
from segformer_core.weights.store import save_weights
from segformer_core.weights.usual_names import USUAL_NAMES, usual_file

BACKENDS = ("mindspore", "torch")


def refuse(runtime):
    raise AssertionError("a mistake must be found before a framework is loaded")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_a_command_has_its_original_name_too(backend, name, tmp_path):
    said = []
    for command in (name, ORIGINAL_NAMES[name]):
        words = [sys.executable, "-m", f"backend_{backend}.{command}"]
        for flag in (["--help"], ["--eval_ckpt_path", ""]):
            done = subprocess.run([*words, *flag], cwd=ROOT, capture_output=True, text=True, check=False)
            said.append((done.returncode, done.stdout, done.stderr))
    assert said[:2] == said[2:]
    assert said[0][0] == DONE and f"usage: python -m backend_{backend}.{ORIGINAL_NAMES[name]} " in said[0][1]
    assert said[1][0] == USERS_MISTAKE


@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_the_program_knows_the_original_name(name, capsys):
    assert program([name]) == USERS_MISTAKE
    ours = ORIGINAL_NAMES[name]
    assert ours in COMMANDS
    assert f"error: {name} belongs to a backend; run python -m backend_mindspore.{ours} …" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "devices", "parts", "wanted"),
    [(2, 8, 1, 16), (4, 8, 1, 32), (3, 2, 1, 6), (2, 8, 2, 16), (2, 8, 4, None), (3, 1, 2, None), (9, 1, 2, None)],
)
def test_a_batch_for_each_device_is_told_as_one_for_all(size, devices, parts, wanted):
    training = TrainingConfig(batch_size=size, accumulation_steps=parts)
    processes = replace(ALONE, count=devices)
    with pytest.raises(ConfigError, match=f"batch_size is {size}, .*; expected a multiple of {devices * parts}") as told:
        check_split(training, processes)
    advice = re.findall(r"--batch_size (\d+) \((\d+) devices × (\d+)\)", str(told.value))
    assert advice == ([] if wanted is None else [(str(wanted), str(devices), str(size))])
    if wanted is not None:
        check_split(replace(training, batch_size=wanted), processes)


@pytest.mark.parametrize("folder", ["config", "./config", "/segformer/config", "recipes/old"])
def test_the_original_folder_of_recipes_is_translated(folder):
    name = "segformer.b0.512x1024.city.yaml"
    with pytest.raises(ConfigError, match=f"no such configuration file: {folder}/{name}; the recipe of this name is ") as told:
        load_config(["--config_path", f"{folder}/{name}"])
    assert find_config(str(told.value).split()[-1]).resolve() == ROOT / "configs" / name


@pytest.mark.parametrize("name", NOWHERE)
def test_a_key_of_its_code_that_is_not_needed_here_is_to_be_left_out(name, tmp_path):
    (tmp_path / "its.yaml").write_text(f"lr: 0.0001\n{name}: x\n")
    with pytest.raises(ConfigError, match=f"unknown key '{name}' in .*its.yaml; leave it out: "):
        load_config(["--config_path", str(tmp_path / "its.yaml")])
    assert NOWHERE.keys().isdisjoint({*KEYS, *HERE})


def names_of(variant: str) -> list[str]:
    return [name.format(variant) for name in USUAL_NAMES]


@pytest.mark.parametrize("variant", ["b0", "b5"])
@pytest.mark.parametrize("named", USUAL_NAMES)
def test_a_usual_name_stands_in_for_another_in_a_fixed_order(named, variant, tmp_path):
    named, others = named.format(variant), [name for name in names_of(variant) if name != named.format(variant)]
    for name in ("mit_b1.pth", "b0.pth", "mit_b0_copy.pth"):
        (tmp_path / name).touch()
    path = str(tmp_path / named)
    with pytest.raises(
        WeightsError,
        match=re.escape(f"none of {', '.join(others)} beside it; take --pretrained_ckpt_path hf:nvidia/mit-{variant}, or "),
    ):
        usual_file(path)
    for name in reversed(others):
        (tmp_path / name).touch()
        assert usual_file(path) == str(tmp_path / name)
    (tmp_path / named).touch()
    assert usual_file(path) == path


@pytest.mark.parametrize("path", ["mine.pth", "mit_b6.pth", "mit_b0.pth.old", "hf:nvidia/mit-b0", "my_mit_b0.pth", "mit_b0"])
def test_another_name_is_taken_as_it_is(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in names_of("b0"):
        (tmp_path / name).touch()
    assert usual_file(path) == path


def original_checkpoint(folder: Path, variant: str, *keep: str) -> str:
    """A file as the original repository writes it: a whole network, or with --drop_head its encoder."""
    spec = segformer(variant, 3, numerics="zoo")
    save_weights(folder / "whole.safetensors", spec, hot_arrays(spec))
    path = str(folder / f"segformer_mit_{variant}_12.ckpt")
    assert program(["convert_model", str(folder / "whole.safetensors"), path, "--to", "zoo", *keep]) == DONE
    return path


def test_a_checkpoint_of_the_original_computes_with_its_constants(tmp_path):
    """The sentences name the profile. The decoder of B1 is 512 wide there, which comes with the profile."""
    path = original_checkpoint(tmp_path, "b0")
    _, sentence = load_weights(path, segformer("b0", 3))
    assert "computes with numerics 'zoo', this run with 'nvlabs'; set --numerics zoo to do the same" in sentence
    assert "WARNING" not in load_weights(path, segformer("b0", 3, numerics="zoo"))[1]
    path = original_checkpoint(tmp_path, "b1")
    refusal = "has numerics zoo; the configuration has numerics nvlabs; set --numerics zoo, or"
    with pytest.raises(WeightsError, match=refusal):
        load_weights(path, segformer("b1", 3))
    assert "WARNING" not in load_weights(path, segformer("b1", 3, numerics="zoo"))[1]
    with pytest.raises(WeightsError, match="has decoder_width 512; the configuration has decoder_width 256"):
        load_weights(path, segformer("b1", 3, numerics="zoo", decoder_width=256))
    assert "WARNING" in load_weights(path, segformer("b1", 3, decoder_width=512))[1]


def test_an_encoder_that_the_original_converted_may_be_the_papers(tmp_path):
    spec, path = segformer("b0", 3), original_checkpoint(tmp_path, "b0", "--drop_head")
    _, sentence = load_pretrained(path, spec, init_arrays(spec, 0))
    assert "this run with 'nvlabs'; it has no decode head" in sentence and "--numerics" not in sentence


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """The current folder: a recipe that names pretrained/mit_b0.safetensors, its dataset, and the authors' mit_b0.pth instead."""
    monkeypatch.chdir(tmp_path)
    write_folder_dataset(tmp_path / "set")
    keys = {key: value for key, value in SMALL.items() if key != "load_ckpt"}
    keys |= {"data_path": "set", "pretrained_ckpt_path": NAMED, "epoch_size": 1, "lr": 0, "run_eval": False}
    keys["execution_mode"] = "pynative"  # one step is not worth a compilation
    (tmp_path / "recipe.yaml").write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    spec = segformer("b0", 3)
    save_weights(tmp_path / "whole.safetensors", spec, hot_arrays(spec))
    (tmp_path / "pretrained").mkdir()
    assert program(["convert_model", "whole.safetensors", "pretrained/mit_b0.pth", "--drop_head"]) == DONE
    return tmp_path


NAMED = "./pretrained/mit_b0.safetensors"
RECIPE = ["--config_path", "recipe.yaml"]
CONVERT = ["convert_model", "--pt_model_path=./pretrained/mit_b0.pth", "--ms_model_path=./pretrained/ms_pretrained_b0.ckpt"]


@pytest.mark.parametrize(("backend", "taken"), [("torch", "mit_b0.pth"), ("mindspore", "ms_pretrained_b0.ckpt")])
def test_the_documents_own_steps_are_enough_to_train(backend, taken, checkout, capsys):
    need(backend)
    if taken == "ms_pretrained_b0.ckpt":
        assert program(CONVERT) == DONE
        (checkout / "pretrained/mit_b0.pth").unlink()
    capsys.readouterr()
    assert main("train", connector(backend), RECIPE) == DONE
    said = capsys.readouterr().out
    assert f"pretrained/{taken} is taken in place of {NAMED}, which the configuration names and is not there\n" in said
    assert re.search(rf"loaded the encoder \(\d+ arrays\) of pretrained/{taken}: .*, so the head starts fresh", said)
    spec = segformer("b0", 3)
    arrays, _ = load_weights("checkpoint/segformer_mit_b0_1.safetensors", spec)
    hot, fresh = hot_arrays(spec), init_arrays(spec, 0)
    weights = [name for name in arrays if "running" not in name]
    assert [name for name in weights if (arrays[name] != (fresh if name.startswith(DECODE_HEAD) else hot)[name]).any()] == []


def test_no_line_is_printed_for_the_file_that_is_named(checkout, capsys):
    need("torch")
    assert program(["convert_model", "pretrained/mit_b0.pth", NAMED]) == DONE
    assert main("train", connector("torch"), RECIPE) == DONE
    assert "in place of" not in capsys.readouterr().out


def test_the_command_line_means_what_it_says(checkout, capsys):
    assert main("train", refuse, [*RECIPE, "--pretrained_ckpt_path", NAMED]) == USERS_MISTAKE
    assert f"error: no such weight file: {NAMED.removeprefix('./')}" in capsys.readouterr().err.replace("./", "")


def test_without_any_file_the_sentence_says_what_to_do(checkout, capsys):
    (checkout / "pretrained/mit_b0.pth").unlink()
    assert main("train", refuse, RECIPE) == USERS_MISTAKE
    said = capsys.readouterr().err
    assert said.startswith(f"error: no such weight file: {NAMED}, and none of mit_b0.pth, ") and said.count("\n") == 1
    need("torch")
    assert said.endswith(" --load_ckpt False\n")
    assert main("train", connector("torch"), [*RECIPE, "--load_ckpt", "False"]) == DONE
