"""After training a network is put to use with its weights alone: a photo needs no data set, no recipe, no number of classes."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.folder_dataset import CLASSES as NAMES
from parity_tests.folder_dataset import COLOURS, write_folder_dataset
from parity_tests.inference.halves import CLASSES, SPEC, Halves, halves
from parity_tests.inference.halves import connect as connect_halves
from parity_tests.training.test_checkpoints import Weights
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.data import cityscapes
from segformer_core.data.naming import named_classes
from segformer_core.errors import ConfigError
from segformer_core.inference.remembered import settled
from segformer_core.spec.arrays import init_arrays
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.weights.preprocessor import Preparation
from segformer_core.weights.remembered import Stated

STATED = Stated(
    ("left", "right"), colours=((1, 2, 3), (4, 5, 6)), recipe={"base_size": [64, 96], "img_norm_mean": [1.0, 2, 3], "lr": 0.5}
)


def test_the_command_line_goes_before_a_file_a_file_before_the_weights_and_these_before_defaults(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("base_size: [32, 64]\nimg_norm_mean: [7, 8, 9]\n")
    for words, size, mean in (
        ([], (64, 96), (1, 2, 3)),
        ([f"--config_path={recipe}"], (32, 64), (7, 8, 9)),
        ([f"--config_path={recipe}", "--base_size=[128,128]"], (128, 128), (7, 8, 9)),
        (["--img_norm_mean=[123.675,116.28,103.53]"], (64, 96), (123.675, 116.28, 103.53)),
    ):
        config = settled(load_config(words), STATED, 2, "w").config
        assert (config.data.base_size, config.data.img_norm_mean) == (size, mean), words
        assert config.optimizer.lr == 6e-5, "labelling does not depend on it"
        assert config.data.img_norm_std == (58.395, 57.12, 57.375), "the default, where the weights do not say it"


def test_what_was_taken_is_said_in_one_line():
    about = settled(load_config([]), STATED, 2, "w")
    assert about.sentence == "names and colours of 2 classes, base_size [64, 96] and normalisation as the weights say"
    given = load_config(["--base_size=[64,96]", "--img_norm_mean=[1,2,3]"])
    assert settled(given, STATED, 2, "w", CLASSES).sentence == "" and settled(given, STATED, 2, "w", CLASSES).classes is CLASSES
    slide = Stated(recipe={"eval_mode": "slide", "eval_flip": False})
    assert settled(load_config([]), slide, 2, "w", CLASSES).sentence == "eval_mode slide as the weights say"
    assert settled(load_config([]), Stated(), 2, "w").sentence.startswith(
        "nothing names the classes, so they are called class_0 to class_1; to name them give a file"
    )
    assert "so they are taken for Cityscapes' 19" in settled(load_config([]), Stated(), 19, "w").sentence


def test_a_transformers_folders_normalisation_is_taken_and_its_size_is_not():
    folder = Stated(preparation=Preparation((512, 512), (127.5,) * 3, (127.5,) * 3, "preprocessor_config.json"))
    data = settled(load_config([]), folder, 2, "w").config.data
    assert (data.img_norm_mean, data.img_norm_std, data.base_size) == ((127.5,) * 3, (127.5,) * 3, (512, 1024))
    rounded = Stated(preparation=Preparation((512, 512), (123.67, 116.28, 103.53), (58.4, 57.12, 57.375), "there"))
    assert settled(load_config([]), rounded, 2, "w").config.data == load_config([]).data, "three digits are no other mean"


def test_a_window_that_is_given_must_fit_the_stride_of_the_weights():
    slide = Stated(recipe={"eval_mode": "slide", "eval_crop_size": [1024, 1024], "eval_stride": [1000, 1000]})
    with pytest.raises(ConfigError, match=r"eval_stride is \[1000, 1000\] and eval_crop_size \[900, 900\]"):
        settled(load_config(["--eval_crop_size=[900,900]"]), slide, 2, "w")


@pytest.mark.parametrize("count", [1, 2, 19, 150, 255])
def test_classes_without_colours_get_different_ones(count):
    names = [f"thing {index}" for index in range(count)]
    colours = named_classes(names, (), count, "w").colours
    assert len({*colours}) == count and (0, 0, 0) not in colours
    assert named_classes((), (), count, "w").names[0] == ("road" if count == 19 else "class_0")


def test_cityscapes_names_have_its_colours():
    theirs = [name.replace(" ", "_") for name in cityscapes.CLASSES.names]  # as in a transformers folder
    assert named_classes(theirs, (), 19, "w").colours == cityscapes.CLASSES.colours
    assert named_classes(theirs[::-1], (), 19, "w").colours != cityscapes.CLASSES.colours


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a photo and the best weights of a run on two classes."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", np.full((30, 70, 3), 90, np.uint8))
    arrays = type("Two", (Weights,), {"arrays": lambda _: init_arrays(SPEC, 0)})()
    config = load_config(["--base_size=[32,96]", "--class_num=2"])
    Checkpoints("run", SPEC, config, {}, CLASSES).save_if_best(arrays, 1, 0.5)
    return tmp_path


BEST = "run/segformer_mit_b0_best.safetensors"


def painted(folder: Path) -> np.ndarray:
    return cv2.imread(str(folder / "photo_color.png"))[..., ::-1]


def test_a_photo_needs_the_weights_alone(folder, monkeypatch, capsys):
    sizes = []
    monkeypatch.setattr(Halves, "predict", lambda _, images, plan: sizes.append(plan.views[0].size) or halves(plan.size)[None])
    assert main("infer", connect_halves, ["--infer_ckpt_path", BEST, "--data_path", "photo.png"]) == DONE
    assert np.array_equal(painted(folder / "infer_result"), np.array(CLASSES.colours)[halves((30, 70))])
    assert sizes == [(32, 75)], "30×70 fitted into 32×96"
    said = capsys.readouterr().out
    assert "names and colours of 2 classes, base_size [32, 96] and normalisation as the weights say" in said


def test_a_description_goes_before_the_weights(folder):
    (folder / "other.yaml").write_text("classes: [{name: a, colour: [1, 2, 3]}, {name: b, colour: [4, 5, 6]}]")
    words = ["--infer_ckpt_path", BEST, "--data_path", "photo.png", "--dataset_file", "other.yaml"]
    assert main("infer", connect_halves, words) == DONE
    assert set(map(tuple, painted(folder / "infer_result").reshape(-1, 3))) == {(1, 2, 3), (4, 5, 6)}


def test_the_circle_of_messages_is_broken(folder, capsys):
    """A recipe of another number of classes is told in one sentence; what it says to do is enough."""
    words = ["--infer_ckpt_path", BEST, "--data_path", "photo.png"]
    assert main("infer", connect_halves, [*words, "--class_num", "19"]) == USERS_MISTAKE
    assert (
        "has class_num 2; the configuration has class_num 19; set --class_num 2, or choose another file"
        in capsys.readouterr().err
    )
    assert main("infer", connect_halves, [*words, "--class_num", "2"]) == DONE


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_from_training_to_a_photo(backend, tmp_path, monkeypatch, capsys):
    """Train, label a photo, and load in Python: nothing but the file is named. With PyTorch also export, and label with that."""
    need(backend)
    monkeypatch.chdir(tmp_path)
    connect = connector(backend)
    write_folder_dataset(tmp_path / "set")
    keys = {key: value for key, value in SMALL.items() if key not in ("class_num", "backbone")} | {"batch_size": 2}
    keys |= {"max_steps": 1, "data_path": "set", "checkpoint_path": "run", "check_data": False, "execution_mode": "pynative"}
    assert main("train", connect, flags(keys)) == DONE
    shutil.copy("set/images/val/val0.png", "photo.png")
    device = {"device_target": "CPU", "execution_mode": "pynative"}
    assert main("infer", connect, flags(device | {"infer_ckpt_path": BEST, "data_path": "photo.png"})) == DONE
    assert "3 classes, base_size [64, 96] and normalisation as the weights say" in capsys.readouterr().out
    found = set(map(tuple, painted(Path("infer_result")).reshape(-1, 3).tolist()))
    assert found and found <= set(COLOURS)
    module = __import__(f"backend_{backend}")
    network = module.load(BEST, **device)
    assert (network.classes.names, network.classes.colours, network.data.base_size) == (NAMES, COLOURS, (64, 96))
    labels = cv2.imread("infer_result/photo_gray.png", cv2.IMREAD_UNCHANGED)
    assert np.array_equal(network.segment("photo.png"), labels)
    if backend == "torch":
        words = {"export_ckpt_path": BEST, "export_format": "TORCH", "export_path": "net.pt2", "data_path": "none"}
        assert main("export", connect, flags({"device_target": "CPU"} | words)) == DONE
        described = json.loads(Path("net.pt2.json").read_text())
        assert [entry["name"] for entry in described["classes"]] == list(NAMES) and described["form"]["size"] == [64, 96]
        assert described["recipe"]["lr"] == 1e-3 and described["recipe"]["base_size"] == [64, 96]
        (tmp_path / "run").rename(tmp_path / "gone")
        exported = {"infer_ckpt_path": "net.pt2", "data_path": "photo.png", "infer_output_path": "exported"}
        assert main("infer", connect, flags(exported)) == DONE
        assert "names and colours of 3 classes, base_size [64, 96]" in capsys.readouterr().out
        assert (cv2.imread("exported/photo_gray.png", cv2.IMREAD_UNCHANGED) == labels).mean() > 0.999
        assert set(map(tuple, painted(Path("exported")).reshape(-1, 3).tolist())) <= set(COLOURS)
