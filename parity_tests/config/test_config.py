"""The configuration: order of sources, types, and one clear sentence for every mistake."""

from dataclasses import fields

import pytest
import yaml

from segformer_core.config.files import find_config
from segformer_core.config.help import help_text
from segformer_core.config.keys import GROUPS, KEYS, Config, flat
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError

RECIPES = sorted(path.name for path in (find_config("configs/segformer.base.yaml").parent).glob("segformer.b?.*.yaml"))


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "recipe.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_order_is_defaults_base_file_command_line(write):
    write("lr: 1e-3\nbatch_size: 3\nseed: 7\n", "base.yaml")
    path = write("__BASE__: base.yaml\nbatch_size: 4\nseed: 8\n")
    config = load_config(["--config_path", path, "--seed=9"])
    assert (config.optimizer.lr, config.training.batch_size, config.training.seed) == (1e-3, 4, 9)
    assert config.optimizer.momentum == 0.9, "a key that no source sets keeps its default"
    assert load_config(["--config_path", path, "--momentum", "0.8"]).training.seed == 8, "a default never overrides a file"


@pytest.mark.parametrize(
    ("text", "group", "key", "value"),
    [
        ("lr: 6e-5", "optimizer", "lr", 6e-5),
        ("lr: 1", "optimizer", "lr", 1.0),
        ("crop_size: [64, 96]", "data", "crop_size", (64, 96)),
        ("eval_scales: [0.5, 1, 1.75]", "evaluation", "eval_scales", (0.5, 1.0, 1.75)),
        ("eval_scales: [1]", "evaluation", "eval_scales", (1.0,)),
        ("run_eval: False", "evaluation", "run_eval", False),
        ("device_target: ascend", "runtime", "device_target", "Ascend"),
        ("execution_mode: GRAPH", "runtime", "execution_mode", "graph"),
        ("pretrained_ckpt_path:", "training", "pretrained_ckpt_path", ""),
    ],
)
def test_values_from_a_file(write, text, group, key, value):
    actual = getattr(getattr(load_config(["--config_path", write(text)]), group), key)
    assert actual == value and type(actual) is type(value)


@pytest.mark.parametrize(
    ("arguments", "group", "key", "value"),
    [
        (["--lr", "6e-5"], "optimizer", "lr", 6e-5),
        (["--lr=6e-5"], "optimizer", "lr", 6e-5),
        (["--crop_size", "[64,96]"], "data", "crop_size", (64, 96)),
        (["--run_eval", "True"], "evaluation", "run_eval", True),
        (["--data_path", "2024"], "data", "data_path", "2024"),
    ],
)
def test_values_from_the_command_line(arguments, group, key, value):
    assert getattr(getattr(load_config(arguments), group), key) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 1", "unknown key 'learning_rate' in .*recipe.yaml"),
        ("bacth_size: 1", "unknown key 'bacth_size' .*did you mean batch_size"),
        ("batch_size: 1.5", "batch_size in .*recipe.yaml is 1.5; expected a whole number"),
        ("batch_size: True", "expected a whole number"),
        ("batch_size: 0", "expected 1 to 65536"),
        ("batch_size:", "batch_size in .* is None; expected a whole number"),
        ("lr: fast", "lr in .* is 'fast'; expected a number"),
        ("lr: .nan", "lr in .* is nan; expected at least 0"),
        ("lr: .inf", "lr in .* is inf; expected a number"),
        ("lr: 1" + "0" * 400, "lr in .* is an integer of 1329 bits; expected a number"),
        ("run_eval: 1", "expected True or False"),
        ("crop_size: 512", "crop_size in .* is 512; expected a list of 2"),
        ("crop_size: [512]", "expected a list of 2"),
        ("crop_size: [512, 16]", "expected 32 to 65536"),
        ("class_num: 256", "expected 0 to 255"),
        ("precision: fp8", "expected one of auto, fp32"),
        ("execution_mode: eager", "expected one of graph, pynative"),
        ("scale_range: [2.0, 0.5]", "scale_range.*smaller scale first"),
        ("eval_scales: 1.0", r"eval_scales in .* is 1.0; expected a list \(a number each\)"),
        ("eval_scales: []", "eval_scales in .* is \\[\\]; expected a list"),
        ("eval_scales: [1, 0]", "expected 0.01 to 100"),
        ("eval_mode: tiles", "expected one of whole, slide, native"),
        ("eval_stride: [769, 1025]", r"eval_stride is \[769, 1025\] and eval_crop_size \[1024, 1024\].*no larger than the crop"),
        ("seed: 1\nseed: 2", "line 2: key 'seed' is given twice"),
        ("seed: [1", "recipe.yaml, line"),
        ("- seed", "expected lines of `key: value`"),
        ("? [seed, lr]\n: 1", "recipe.yaml, line 1: found unhashable key"),
        ("__BASE__: 3", "__BASE__ is 3; expected a file's name or a list"),
        ("__BASE__:", "__BASE__ is None; expected a file's name or a list"),
        ("__BASE__: [3]", r"__BASE__ is \[3\]; expected a file's name or a list"),
        ("__BASE__: none.yaml", "__BASE__ names none.yaml"),
        ("__BASE__: recipe.yaml", "goes in a circle"),
    ],
)
def test_mistakes_in_a_file(write, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(["--config_path", write(text)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lrr", "1"], "unknown key 'lrr' in the command line; did you mean lr"),
        (["--config", "x"], "unknown key 'config' in the command line; here it is config_path"),
        (["--lr"], "--lr has no value"),
        (["--lr", "--seed", "1"], "--lr has no value"),
        (["--seed", "1", "--seed", "2"], "--seed is given twice"),
        (["train"], "unexpected argument 'train'"),
        (["--config_path", "none.yaml"], "no such configuration file: none.yaml; the recipes are"),
    ],
)
def test_mistakes_on_the_command_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        load_config(arguments)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_load_and_name_themselves(recipe):
    path = find_config(f"configs/{recipe}")
    config = load_config(["--config_path", str(path)])
    variant = recipe.split(".")[1]
    assert config.model.backbone == f"mit_{variant}"
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(recipe in line or "make demo" in line for line in header), "the header says the command"
    if ".city." in recipe:
        assert config.evaluation.eval_mode == ("slide" if config.data.crop_size == (1024, 1024) else "whole")
        assert f"crop_size: [{recipe.split('.')[2].replace('x', ', ')}]" in path.read_text()
        training, evaluation = config.training, config.evaluation
        assert (training.batch_size, training.max_steps) == (8, 160_000)
        assert (training.save_interval_steps, evaluation.eval_interval_steps) == (4000, 4000)


def test_the_seven_recipes_of_the_original_repository_are_there():
    seven = {"segformer.b0.512x1024.city.yaml"} | {f"segformer.b{v}.1024x1024.city.yaml" for v in range(6)}
    assert seven <= set(RECIPES)


ORIGINAL = """
run_distribute: False
data_path: "./data/cityscapes/"
load_ckpt: True
pretrained_ckpt_path: "./pretrained/ms_pretrained_b0.ckpt"
save_checkpoint: True
save_checkpoint_epoch_interval: 1
save_best_ckpt: True
checkpoint_path: "./checkpoint/"
train_log_interval: 100
epoch_size: 200
batch_size: 2
backbone: "mit_b0"
class_num: 19
dataset_num_parallel_workers: 4
momentum: 0.9
lr: 0.0001
weight_decay: 0.01
base_size: [512, 1024]
crop_size: [512, 1024]
img_norm_mean: [123.675, 116.28, 103.53]
img_norm_std: [58.395, 57.12, 57.375]
run_eval: True
eval_start_epoch: 0
eval_interval: 1
eval_ckpt_path: ""
eval_log_interval: 100
infer_copy_original_img: True
infer_save_gray_img: True
infer_save_color_img: True
infer_save_overlap_img: True
infer_log_interval: 100
infer_ckpt_path: ""
infer_output_path: "./infer_result/"
"""


def test_a_file_of_the_original_repository_loads(write):
    values = flat(load_config(["--config_path", write(ORIGINAL)]))
    for line in ORIGINAL.strip().splitlines():
        key, _, text = line.partition(": ")
        value = values[key]
        assert (list(value) if isinstance(value, tuple) else value) == yaml.safe_load(text), key


def test_keys_are_unique_and_all_explained():
    names = [item.name for group in GROUPS.values() for item in fields(group)]
    assert len(names) == len(set(names)) == len(KEYS)
    text = help_text("backend_torch.train", "train", ["--help", "all"])
    assert all(f"--{name} " in text for name in names)


def test_flat_is_what_a_file_would_say():
    values = flat(Config())
    arguments = [
        word for name, value in values.items() for word in (f"--{name}", str(list(value) if isinstance(value, tuple) else value))
    ]
    assert values.keys() == KEYS.keys()
    assert load_config([word or "" for word in arguments]) == Config()


@pytest.mark.parametrize("rest", [["my", "data"], ["x", "--data_pth", "y"], ["x", "--config_path", "none.yaml"]])
def test_a_misspelt_key_is_told_before_what_follows_it(rest):
    with pytest.raises(ConfigError, match="unknown key 'data_pth' in the command line; did you mean data_path"):
        load_config(["--data_pth", *rest])
