"""The proposed recipe: its values by hand for small, large, portrait and tiny data, and that a training takes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from parity_tests.survey.made import dataset, made_survey, record
from segformer_core.cli import program
from segformer_core.commands.train import training_stream
from segformer_core.config.load import load_config
from segformer_core.data.layout import open_dataset
from segformer_core.survey.proposal import proposal
from segformer_core.survey.survey import Survey


def survey_of(sizes: Sequence[tuple[int, int]], val: int = 1, pixels: Mapping[int, int] | None = None) -> Survey:
    """Training images of these sizes, and `val` more."""
    of_size = {size: record("train", size, pixels) for size in set(sizes)}
    return made_survey([*(of_size[size] for size in sizes), *(record("val", sizes[0], pixels) for _ in range(val))])


def proposed(survey: Survey) -> dict[str, object]:
    return {choice.key: choice.value for choice in proposal(survey)}


CASES = {
    # 18 // 4 = 4 batches an epoch: 4000 / 4 = 1000 epochs
    "small": (
        [(512, 512)] * 18,
        {"base_size": [512, 512], "crop_size": [512, 512], "batch_size": 4, "epoch_size": 1000},
    ),
    # 367 // 8 = 45; 4000 / 45 = 88.9; 360 = 11.25 * 32
    "camvid": (
        [(360, 480)] * 367,
        {
            "base_size": [360, 480],
            "crop_size": [352, 352],
            "eval_size_divisor": 32,
            "batch_size": 8,
            "epoch_size": 89,
            "eval_interval": 4,
            "save_checkpoint_epoch_interval": 4,
        },
    ),
    # 4000 * 6000 is 11.4 times 1024 * 2048: halved twice. 100 // 8 = 12; 4000 / 12 = 333.3; 334 * 12 = 4008
    "large": (
        [(4000, 6000)] * 100,
        {"base_size": [1000, 1500], "crop_size": [512, 512], "eval_size_divisor": 32, "epoch_size": 334},
    ),
    "as large as the paper's": ([(1024, 2048)] * 40, {"base_size": [1024, 2048], "crop_size": [512, 512]}),
    "portrait": ([(960, 544)] * 40, {"base_size": [960, 544], "crop_size": [512, 512]}),
    "narrow": ([(64, 700)] * 40, {"base_size": [64, 700], "crop_size": [64, 64], "eval_size_divisor": 32}),
    # 3 // 1 = 3 steps an epoch; 4000 / 3 = 1333.3
    "tiny": (
        [(20, 24)] * 3,
        {"base_size": [32, 32], "crop_size": [32, 32], "batch_size": 1, "epoch_size": 1334},
    ),
    "one image": ([(33, 31)], {"base_size": [33, 32], "crop_size": [32, 32], "eval_size_divisor": 32, "batch_size": 1}),
    "several sizes": ([(100, 200)] * 3 + [(300, 400)] * 2, {"base_size": [100, 200], "crop_size": [96, 96], "batch_size": 1}),
    # 3000 // 8 = 375; 50 epochs are 18,750 steps
    "many": ([(512, 512)] * 3000, {"batch_size": 8, "epoch_size": 50, "eval_interval": 2}),
    # 40,000 // 8 = 5000: 50 epochs would be more than 160,000 steps
    "very many": ([(512, 512)] * 40_000, {"epoch_size": 32, "eval_interval": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    sizes, expected = CASES[name]
    found = proposed(survey_of(sizes))
    assert {key: found.get(key) for key in expected} == expected
    assert ("eval_size_divisor" in found) == ("eval_size_divisor" in expected or name == "several sizes")


def test_reasons_name_what_they_are_drawn_from() -> None:
    reasons = {choice.key: choice.reason for choice in proposal(survey_of([(4000, 6000)] * 100))}
    assert "4000×6000, halved 2 times" in reasons["base_size"]
    assert reasons["epoch_size"].startswith("4,008 steps, 12 in an epoch")
    mixed = {choice.key: choice.reason for choice in proposal(survey_of([(100, 200), (300, 400), (300, 400)]))}
    assert mixed["base_size"] == "the median of sizes from 100×200 to 300×400"


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ({0: 500, 1: 500}, {}),
        ({0: 740, 1: 260}, {}),
        ({0: 750, 1: 250}, {"cat_max_ratio": 1.0}),
        ({0: 600, 1: 200, 255: 9000}, {"cat_max_ratio": 1.0}),  # of 800 pixels that count
        ({0: 10, 1: 990}, {"cat_max_ratio": 1.0}),
        ({0: 9, 1: 991}, {"cat_max_ratio": 1.0, "class_weights": "auto"}),
    ],
)
def test_balance(pixels: dict[int, int], expected: dict[str, object]) -> None:
    found = proposed(survey_of([(64, 64)] * 9, pixels=pixels))
    assert {key: found[key] for key in ("cat_max_ratio", "class_weights") if key in found} == expected


def test_one_class_that_fills_half_of_the_labels_is_no_reason() -> None:
    records = [record("train", pixels={0: 90, 1: 10}, name="a"), record("train", pixels={0: 50, 1: 50}, name="b")]
    assert "cat_max_ratio" not in proposed(made_survey(records))
    assert "cat_max_ratio" in proposed(made_survey([*records, record("train", pixels={0: 9, 1: 91}, name="c")]))


def test_without_val_nothing_is_evaluated() -> None:
    found = proposed(survey_of([(64, 64)] * 9, val=0))
    assert found["run_eval"] is False and "eval_interval" not in found


def test_without_a_sound_pair_nothing_is_proposed() -> None:
    assert proposal(made_survey([record("val")])) == []


def test_a_training_takes_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    dataset(Path("mine"))
    assert program(["check_dataset", "mine", "--recipe", "own.yaml", "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert "wrote own.yaml" in text and "run python -m backend_torch.train --config_path own.yaml (or backend_mindspore)" in text
    config = load_config(["--config_path", "own.yaml"])
    assert config.data.base_size == (64, 96) and config.data.crop_size == (64, 64) and not config.training.load_ckpt
    assert config.model.class_num == 0 and config.training.checkpoint_path == "./runs/mine/"
    stream = training_stream(open_dataset(config.data.data_path, "train", config.data.dataset_file), config)
    assert (stream.batch_size, stream.steps_per_epoch, stream.steps) == (1, 6, 4002)  # 4000 / 6 = 666.7 epochs
    assert "class_num" not in Path("own.yaml").read_text()
    rates = config.optimizer
    assert (rates.lr, rates.head_lr_multiplier, rates.warmup_steps, rates.ema_decay) == (1e-3, 2, 0.1, 0.99)
    assert (config.model.drop_path_rate, config.model.head_dropout_rate, config.evaluation.eval_loss) == (0, 0, True)
    image, labels = stream[0]
    assert image.shape == (3, 64, 64) and labels.shape == (64, 64)
