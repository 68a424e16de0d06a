"""The key `loss`: one text for all ways to write a sum, and what does not go together."""

import pytest

from segformer_core.config.keys import LossConfig
from segformer_core.config.load import load_config
from segformer_core.config.objective import Objective, objective
from segformer_core.config.together import check_devices
from segformer_core.errors import ConfigError
from segformer_core.training.checkpoint import decisive_values

SPELLINGS = {
    "ce": "ce",
    "dice,ce": "ce, dice",
    "{ce: 1, dice: 0.5}": "ce, dice: 0.5",
    "[Focal: 2.0, lovasz]": "focal: 2, lovasz",
    "ce: 1e-3": "ce: 0.001",
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_flag_has_one_spelling(text):
    config = load_config(["--loss", text])
    assert config.loss.loss == SPELLINGS[text] == decisive_values(config)["loss"]
    assert load_config(["--loss", config.loss.loss]) == config


@pytest.mark.parametrize(
    "text",
    ["{ce: 1, dice: 0.5}", "[ce, {dice: 0.5}]", "[ce, dice: 0.5]", "\n  dice: 0.5\n  ce:", "'ce, dice: .5'"],
)
def test_a_file_has_one_spelling(text, tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"loss: {text}\n")
    assert load_config(["--config_path", str(tmp_path / "recipe.yaml")]).loss.loss == "ce, dice: 0.5"


def test_weights():
    assert objective("ce, dice: 0.5") == Objective(ce=1.0, dice=0.5)
    assert objective(LossConfig().loss) == Objective(ce=1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dicee", "loss in the command line is 'dicee'; expected one of ce, dice, focal, lovasz"),
        ("", "expected one of"),
        ("ce:", "expected one of"),
        ("5", "expected one of"),
        ("ce, ce", "names ce twice"),
        ("ce: 0", "expected weights above 0: leave out"),
        ("ce: 1, dice: -1", "expected weights above 0"),
        ("ce: nan", "expected weights above 0"),
        ("ce: inf", "expected weights above 0"),
        ("ce: much", "expected weights above 0"),
    ],
)
def test_what_is_no_objective_is_one_sentence(text, words):
    with pytest.raises(ConfigError) as raised:
        load_config(["--loss", text])
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["5", "", "[]", "{}", "{1: 2}", "{ce: {a: 1}}", "[[ce], 3]", "true", "[&a [ce, ce], *a]", "{&a dice: &b [1], ce: *b}"]
)
def test_what_is_no_objective_in_a_file_is_one_sentence(text, tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"loss: {text}\n")
    with pytest.raises(ConfigError, match="^loss in .*recipe.yaml is .*; expected "):
        load_config(["--config_path", str(tmp_path / "recipe.yaml")])


def test_a_bad_gamma_is_refused():
    with pytest.raises(ConfigError, match="focal_gamma in the command line is -1; expected 0 to 10"):
        load_config(["--focal_gamma", "-1"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--loss ce,dice --accumulation_steps 2", "loss is ce, dice and accumulation_steps 2; dice must see the whole batch"),
        ("--loss dice,lovasz --accumulation_steps 2", "dice and lovasz must see the whole batch at once"),
        ("--loss dice --class_weights auto", "class_weights is auto and loss is dice; it is for the pixels of ce and focal"),
        ("--loss lovasz --ohem_threshold 0.7", "ohem_threshold is 0.7 and loss is lovasz; it is for the pixels"),
    ],
)
def test_what_does_not_go_together(words, sentence):
    with pytest.raises(ConfigError) as raised:
        load_config(words.split())
    assert sentence in str(raised.value)


def test_what_goes_together():
    for words in (
        "--loss focal,ce --accumulation_steps 2",
        "--loss ce,dice --class_weights auto",
        "--loss focal --ohem_threshold 1",
    ):
        load_config(words.split())
    for loss, devices in (("ce, dice", 8), ("lovasz", 1)):
        check_devices(LossConfig(loss=loss), devices)
    with pytest.raises(ConfigError, match="loss is ce, lovasz on 2 devices; lovasz sorts"):
        check_devices(LossConfig(loss="ce, lovasz"), 2)
