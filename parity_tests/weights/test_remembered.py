"""What our own files keep of the run that made them: it survives conversion, holds no path, and is checked when it is read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from parity_tests.support import hot_arrays
from parity_tests.training.test_checkpoints import SPEC, Weights
from parity_tests.training_runs import saved
from segformer_core.commands.convert_model import main as convert
from segformer_core.config.keys import KEYS
from segformer_core.config.load import load_config
from segformer_core.config.reads import WINDOWS
from segformer_core.config.remembered import LABELLING, RECIPE, recipe_of
from segformer_core.data.dataset import Classes
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.weights.reading import read
from segformer_core.weights.remembered import described_by
from segformer_core.weights.store import save_weights

CLASSES = Classes(("paper", "ink", "Tür"), ((255, 255, 255), (10, 20, 30), (0, 128, 255)))
WORDS = ["--base_size=[64,96]", "--img_norm_mean=[10,20,30]", "--eval_mode=slide", "--eval_crop_size=[64,64]"]
WORDS += ["--eval_stride=[48,32]", "--eval_scales=[0.5,1]", "--lr=0.5", "--warmup_steps=0.1", "--class_weights=[1,2,3]"]


@pytest.fixture(params=["best", "checkpoint"])
def written(request, tmp_path) -> Path:
    """A file of a run with the keys of WORDS and CLASSES, which is given paths as well."""
    paths = [
        f"--data_path={tmp_path}/secret",
        f"--checkpoint_path={tmp_path}/run",
        f"--pretrained_ckpt_path={tmp_path}/start.pth",
    ]
    checkpoints = Checkpoints(str(tmp_path / "run"), SPEC, load_config(WORDS + paths), {"images in the training set": 4}, CLASSES)
    if request.param == "checkpoint":
        return checkpoints.save(Weights(), 1, 2)
    return checkpoints.save_if_best(Weights(), 2, 0.5)


def test_a_runs_file_keeps_classes_and_recipe(written):
    stated = read(written).stated
    assert (stated.classes, stated.colours) == (CLASSES.names, CLASSES.colours) and stated.warnings == ()
    assert stated.recipe == recipe_of(load_config(WORDS))
    wanted = {"lr": 0.5, "warmup_steps": 0.1, "base_size": [64, 96], "eval_scales": [0.5, 1.0], "class_weights": "[1,2,3]"}
    assert {name: stated.recipe[name] for name in wanted} == wanted


def test_no_path_is_among_it(written, tmp_path):
    assert not [name for name in RECIPE if KEYS[name].metadata["path"]]
    text = json.dumps(saved(written)[1])
    assert str(tmp_path) not in text and "secret" not in text and "start.pth" not in text


def test_every_key_that_shows_an_image_is_kept():
    assert set(LABELLING) == {"base_size", "image_range", "img_norm_mean", "img_norm_std", *WINDOWS}
    assert {name for name, item in KEYS.items() if item.metadata["decides"]} <= set(RECIPE)


def test_it_goes_through_conversion(written, tmp_path):
    """Our own file keeps all of it; a transformers folder the names and the normalisation."""
    before = read(written).stated
    convert([str(written), str(tmp_path / "ours.safetensors")])
    assert replace(read(tmp_path / "ours.safetensors").stated, preparation=before.preparation) == before
    convert([str(tmp_path / "ours.safetensors"), str(tmp_path / "folder")])
    convert([str(tmp_path / "folder"), str(tmp_path / "back.safetensors")])
    convert([str(tmp_path / "back.safetensors"), str(tmp_path / "again.safetensors")])
    assert read(tmp_path / "again.safetensors").stated == (back := read(tmp_path / "back.safetensors").stated)
    assert back.classes == CLASSES.names and back.keys["img_norm_mean"] == pytest.approx([10, 20, 30])
    assert (back.preparation.size, "base_size" in back.recipe) == ((64, 96), False), "transformers stretches images to its size"


def test_a_size_of_transformers_that_an_older_version_has_kept_is_not_taken(tmp_path):
    keys = {"config": json.dumps({"base_size": [512, 512], "img_norm_mean": [1, 2, 3], "img_norm_std": [4, 5, 6]})}
    assert described_by(keys, 3).recipe["base_size"] == [512, 512]
    foreign = described_by(keys | {"source_format": "transformers, before version 5 (safetensors)"}, 3)
    assert "base_size" not in foreign.recipe and foreign.preparation.size == (512, 512)


def test_the_dataset_file_of_a_conversion_gives_names_and_colours(tmp_path):
    save_weights(tmp_path / "bare.safetensors", SPEC, hot_arrays(SPEC))
    assert read(tmp_path / "bare.safetensors").stated.classes == (), "a file of an older version keeps working"
    (tmp_path / "d.yaml").write_text(
        "classes: [{name: a, colour: [1, 2, 3]}, {name: b, colour: [4, 5, 6]}, {name: c, colour: [7, 8, 9]}]"
    )
    convert([str(tmp_path / "bare.safetensors"), str(tmp_path / "named.safetensors"), "--dataset_file", str(tmp_path / "d.yaml")])
    stated = read(tmp_path / "named.safetensors").stated
    assert (stated.classes, stated.colours) == (("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


STRANGE = {
    "too few names": ({"classes": ["a", "b"]}, "classes in the weights' metadata are"),
    "a name twice": ({"classes": ["a", "b", "a"]}, "expected 3 different names"),
    "no names": ({"classes": ["a", "", "c"]}, "expected 3 different names"),
    "numbers for names": ({"classes": [1, 2, 3]}, "expected 3 different names"),
    "a colour of 256": ({"colours": [[0, 0, 0], [0, 0, 256], [1, 1, 1]]}, "colours in the weights' metadata are"),
    "a colour of two": ({"colours": [[0, 0], [0, 0, 1], [1, 1, 1]]}, "3 times red, green, blue, 0..255"),
    "a boolean in a colour": ({"colours": [[True, 0, 0], [0, 0, 1], [1, 1, 1]]}, "3 times red, green, blue, 0..255"),
    "a size of nothing": (
        {"config": {"base_size": [0, 0]}},
        "base_size in the weights' metadata is [0, 0]; expected 32 to 65536",
    ),
    "a size beyond memory": ({"config": {"base_size": [10**9, 64]}}, "expected 32 to 65536"),
    "a deviation of 0": ({"config": {"img_norm_std": [0, 1, 1]}}, "img_norm_std in the weights' metadata is"),
    "statistics of 0..1": ({"config": {"img_norm_mean": [0.4, 0.4, 0.4]}}, "of pixels in 0..1"),
    "a stride beyond the window": ({"config": {"eval_crop_size": [64, 64], "eval_stride": [96, 96]}}, "no larger than the crop"),
    "a million scales": ({"config": {"eval_scales": [1.0] * 10**6}}, "expected a length of at most 32"),
    "a mode that is none": ({"config": {"eval_mode": "\x1b[2J"}}, "expected one of whole, slide, native"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_is_wrong_is_a_warning_and_not_used(what):
    values, sentence = STRANGE[what]
    sound = {"classes": ["a", "b", "c"], "colours": [[1, 2, 3]] * 3, "config": {"base_size": [64, 64]}}
    stated = described_by({name: json.dumps(value) for name, value in (sound | values).items()}, 3)
    (warning,) = stated.warnings
    assert warning.startswith("not used: ") and sentence in warning and "\x1b" not in warning and len(warning) < 400
    assert stated.classes == (() if "classes" in values else ("a", "b", "c"))
    assert stated.colours == (() if "colours" in values else ((1, 2, 3),) * 3)
    assert not set(values.get("config", {})) & set(stated.recipe)


def test_keys_of_a_newer_version_are_passed_over():
    stated = described_by({"config": json.dumps({"base_size": [64, 64], "no_such_key": 1, "data_path": "/home/you"})}, 3)
    assert stated.recipe == {"base_size": [64, 64]} and stated.warnings == ()
