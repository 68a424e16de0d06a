"""The sentences lead on: what a sentence tells the user to do is not refused by the next one."""

import re
import shutil
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.conftest import need
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.commands.opening import connector
from segformer_core.config.hints import ELSEWHERE, HERE
from segformer_core.config.keys import KEYS
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError, UserError, install
from segformer_core.spec.model import Variant, segformer
from segformer_core.weights.store import save_weights


def refuse(runtime):
    raise AssertionError("a mistake must be found before a framework is loaded")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: a dataset of three classes in `set`, and weights that fit it or do not."""
    monkeypatch.chdir(tmp_path)
    write_folder_dataset(tmp_path / "set")
    custom = Variant((8, 16, 40, 64), (1, 1, 1, 1), 16)
    for name, spec in {
        "three": segformer("b0", 3),
        "nineteen": segformer("b0", 19),
        "deep": segformer("b0", 3, in_channels=4),
        "custom": segformer(custom, 3),
    }.items():
        save_weights(tmp_path / f"{name}.safetensors", spec, hot_arrays(spec))
    return tmp_path


@pytest.fixture
def told(folder, capsys):
    """A function that runs a command, which refuses, and returns its sentence."""

    def run(command: str, **keys) -> str:
        assert main(command, refuse, flags(SMALL | {"data_path": "set"} | keys)) == USERS_MISTAKE
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
        return printed.err

    return run


WEIGHTS = {
    "train": "pretrained_ckpt_path",
    "evaluate": "eval_ckpt_path",
    "infer": "infer_ckpt_path",
    "export": "export_ckpt_path",
}


@pytest.mark.parametrize("command", WEIGHTS)
def test_weights_of_other_channels(command, told):
    """They ask for the number of channels, and this for their mean and deviation, which `check_dataset` measures."""
    key = {WEIGHTS[command]: "deep.safetensors", "load_ckpt": True}
    if command == "train":
        assert "has in_channels 4; the configuration has in_channels 3; set --in_channels 4, or choose" in told(command, **key)
        key["in_channels"] = 4
    wanted = "img_norm_mean has 3 numbers and in_channels is 4; expected a number for each channel: segformer check_dataset set"
    assert f"{wanted} --in_channels 4 measures them on your images" in told(command, **key)


def test_the_python_api_asks_for_the_mean_of_other_channels(folder):
    need("torch")
    import backend_torch

    with pytest.raises(UserError, match="mean has 3 numbers and in_channels is 4; .* check_dataset .* --in_channels 4 measures"):
        backend_torch.load("deep.safetensors")
    four = {"img_norm_mean": [100] * 4, "img_norm_std": [50] * 4}
    assert backend_torch.load("deep.safetensors", device_target="CPU", **four).spec.in_channels == 4, "as it says"


@pytest.mark.parametrize("command", ["evaluate", "infer"])
def test_weights_of_other_classes_than_the_data(command, told):
    """The recipe's 19 classes, own data of 3, weights of 19: no class_num serves, and the last sentence says what does."""
    key = {WEIGHTS[command]: "nineteen.safetensors"}
    first = told(command, **key, class_num=19)
    assert "set/dataset.yaml names 3 classes (ground, disc, bar), and class_num is 19; set --class_num 3 if these are" in first
    second = told(command, **key, class_num=3)
    assert "has class_num 19; the configuration has class_num 3; the data has as many classes as class_num says" in second
    assert "train on it with this file as --pretrained_ckpt_path" in second and "set --class_num" not in second


def test_images_without_a_description_of_their_classes(told, folder, capsys):
    shutil.copytree(folder / "set/images/val", folder / "images")
    key = {"data_path": "images", "infer_ckpt_path": "three.safetensors"}
    first = told("infer", **key, class_num=19)
    assert "three.safetensors has class_num 3; the configuration has class_num 19; set --class_num 3, or choose another" in first
    need("torch")
    assert main("infer", connector("torch"), flags(SMALL | key)) == DONE, "as it says"
    printed = capsys.readouterr().out
    assert "nothing names the classes, so they are called class_0 to class_2; to name them give a file" in printed
    assert main("infer", connector("torch"), flags(SMALL | key | {"dataset_file": "set/dataset.yaml"})) == DONE, "as it says"
    assert "nothing names" not in capsys.readouterr().out


def test_pretrained_weights_of_other_classes_are_the_way_on(folder, capsys):
    need("torch")
    keys = {"pretrained_ckpt_path": "nineteen.safetensors", "data_path": "set", "checkpoint_path": "run", "epoch_size": 1}
    small = {key: value for key, value in SMALL.items() if key != "load_ckpt"}
    assert main("train", connector("torch"), flags(small | keys | {"run_eval": False})) == DONE
    assert "its head has 19 classes and class_num is 3, so the head starts fresh" in capsys.readouterr().out


def test_an_encoder_of_other_widths_is_not_called_a_backbone(told):
    sentence = told("evaluate", eval_ckpt_path="custom.safetensors")
    assert "its encoder is none of mit_b0 … mit_b5, which only `load` of the Python API takes" in sentence
    assert "--backbone mit_custom" not in sentence


def test_a_setting_that_helps_is_named(told):
    need("torch")
    sentence = told("evaluate", eval_ckpt_path="three.safetensors", backbone="mit_b1")
    [advice] = re.findall(r"set (--\S+ \S+), or choose", sentence)
    assert advice == "--backbone mit_b0"
    keys = SMALL | {"data_path": "set", "eval_ckpt_path": "three.safetensors", "backbone": "mit_b0"}
    assert main("evaluate", connector("torch"), flags(keys)) == DONE


def test_a_missing_split_says_what_to_do(told, folder):
    shutil.rmtree(folder / "set/images/val")
    assert (
        "no images in set/images/val; expected files ending in .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp, .npy; beside "
        "it there is train; put images to evaluate on there, or train without evaluating: --run_eval False"
    ) in told("train")
    assert "beside it there is train; choose one of its splits with --eval_split" in told("evaluate")
    shutil.rmtree(folder / "set/images/train")
    assert "no images in set/images/train;" in told("train")


LOADS = [
    ("load_ckpt: False\npretrained_ckpt_path: a.pth", [], (False, "a.pth")),
    ("load_ckpt: False", ["--pretrained_ckpt_path", "a.pth"], (True, "a.pth")),
    ("load_ckpt: False", ["--pretrained_ckpt_path", ""], (False, "")),
    ("load_ckpt: False", ["--pretrained_ckpt_path", "a.pth", "--load_ckpt", "True"], (True, "a.pth")),
    ("pretrained_ckpt_path: a.pth", ["--load_ckpt", "False"], (False, "a.pth")),
]


@pytest.mark.parametrize(("text", "arguments", "wanted"), LOADS)
def test_to_name_weights_is_to_use_them(text, arguments, wanted, folder):
    (folder / "recipe.yaml").write_text(text)
    training = load_config(["--config_path", "recipe.yaml", *arguments]).training
    assert (training.load_ckpt, training.pretrained_ckpt_path) == wanted


def test_weights_that_are_named_and_not_to_be_used(told, folder, capsys):
    assert "--pretrained_ckpt_path a.pth and --load_ckpt False contradict each other" in told(
        "train", pretrained_ckpt_path="a.pth"
    )
    (folder / "recipe.yaml").write_text("load_ckpt: False\nclass_num: 3")
    arguments = ["--config_path", "recipe.yaml", "--data_path", "set", "--pretrained_ckpt_path", "nowhere.pth"]
    assert main("train", refuse, [*arguments, "--checkpoint_path", "run"]) == USERS_MISTAKE
    assert capsys.readouterr().err.startswith("error: no such weight file: nowhere.pth")


@pytest.mark.parametrize("command", WEIGHTS)
def test_the_weights_of_another_command(command, told):
    """Silently ignored, they would leave the user with the results of others."""
    own = WEIGHTS[command]
    for other in set(WEIGHTS.values()) - {own}:
        sentence = f"--{other} names weights that this command does not use; expected --{own}"
        assert sentence in told(command, **{other: "three.safetensors"})


@pytest.mark.parametrize(
    ("key", "value", "scaled"),
    [
        ("img_norm_mean", "[0.485,0.456,0.406]", "[123.675,116.28,103.53]"),
        ("img_norm_std", "[0.229,0.224,0.225]", "[58.395,57.12,57.375]"),
        ("img_norm_mean", "[0.5,0.5,0.5]", "[127.5,127.5,127.5]"),
    ],
)
def test_statistics_of_pixels_in_0_to_1_are_refused_with_those_of_0_to_255(key, value, scaled):
    with pytest.raises(ConfigError, match=f"{key} is .*, of pixels in 0..1; expected .* 0..255: set --{key}") as caught:
        load_config([f"--{key}", value])
    assert str(caught.value).endswith(f"set --{key} {scaled}")
    given = getattr(load_config([f"--{key}", scaled]).data, key)
    assert given == tuple(map(float, scaled.strip("[]").split(",")))


def test_no_normalisation_at_all_can_be_asked_for():
    data = load_config(["--img_norm_mean", "[0,0,0]", "--img_norm_std", "[1,1,1]"]).data
    assert (data.img_norm_mean, data.img_norm_std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("word", ["True", "false", "latest", "last"])
def test_resume_takes_two_words_or_a_file(word, folder):
    with pytest.raises(ConfigError, match=f"resume in .* is '?{word}'?; expected auto, none or a file"):
        load_config(["--resume", word])
    (folder / "recipe.yaml").write_text(f"resume: {word}")
    with pytest.raises(ConfigError, match="resume in recipe.yaml is .*; expected auto, none or a file|resume in /.*"):
        load_config(["--config_path", "recipe.yaml"])
    assert load_config(["--resume", f"./{word}"]).training.resume == f"./{word}"


def test_resume_is_read_as_other_words_are(folder):
    assert [load_config(["--resume", word]).training.resume for word in ("AUTO", "None", "")] == ["auto", "none", "auto"]


HINTS = {
    "num_classes": "class_num",
    "epochs": "epoch_size",
    "max_iters": "max_steps",
    "learning_rate": "lr",
    "batch": "batch_size",
    "img_size": "base_size (what an image is fitted into) and crop_size",
    "num_workers": "dataset_num_parallel_workers",
    "num-workers": "dataset_num_parallel_workers",
    "data_root": "data_path",
    "pretrained": "pretrained_ckpt_path",
    "output_dir": "checkpoint_path (train), eval_output_path (evaluate)",
    "checkpoint": "pretrained_ckpt_path (train), eval_ckpt_path (evaluate)",
    "device": "device_target",
    "amp": "precision",
    "config": "config_path",
    "reduce_zero_label": "first_label: 1 and ignore: [0] in dataset.yaml",
    "ignore_index": "ignore in dataset.yaml, as ignore: [255]",
    "model_ema": "ema_decay",
    "ema_momentum": "ema_decay, which is 1 minus it",
    "patience": "early_stop",
    "early_stopping": "early_stop",
    "loss_decode": "loss",
    "criterion": "loss",
    "val_loss": "eval_loss",
}


@pytest.mark.parametrize("name", HINTS)
def test_a_key_of_another_code_base_is_translated(name):
    with pytest.raises(ConfigError) as caught:
        load_config([f"--{name}", "1"])
    assert f"unknown key '{name}' in the command line; here it is {HINTS[name]}" in str(caught.value)


def test_every_translation_is_of_keys_that_exist():
    names = {
        word for text in ELSEWHERE for word in re.findall(r"[a-z]+(?:_[a-z]+)+|lr|seed|backbone|momentum|precision|resume", text)
    }
    assert names - KEYS.keys() == {"first_label", "label_map", "label_suffix", "image_suffix", "config_path"}
    assert HERE.keys() & KEYS.keys() == set() and len(HERE) == sum(map(len, ELSEWHERE.values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config_path", "a.yaml", "--config_path", "b.yaml"], "--config_path is given twice"),
        (["--force", "--export_force", "False"], "--export_force is given twice"),
        (["--force", "maybe"], "export_force in the command line is 'maybe'; expected True or False"),
        (["-lr", "1"], "unexpected argument '-lr'; expected --key value or --key=value"),
        (["--", "1"], "unknown key ''"),
    ],
)
def test_flags(arguments, message):
    with pytest.raises(ConfigError, match=message):
        load_config(arguments)


@pytest.mark.parametrize(("words", "wanted"), [(["--force"], True), (["--force=False"], False), (["--force", "True"], True)])
def test_a_switch_takes_a_value_or_none(words, wanted):
    assert load_config([*words, "--seed", "1"]).export.export_force is wanted


def test_what_to_install_is_said_in_one_place():
    sources = [*ROOT.glob("segformer_core/**/*.py"), *ROOT.glob("backend_*/*.py")]
    assert [path.name for path in sources if "pip install" in path.read_text(encoding="utf-8")] == ["errors.py"]
    assert install("hub") == "run pip install -c constraints.txt '.[hub]' in the project's folder"
    optional = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", optional, re.MULTILINE))
    used = {extra for path in sources for extra in re.findall(r"\binstall\(['\"](\w+)['\"]\)", path.read_text(encoding="utf-8"))}
    assert used and used <= extras
