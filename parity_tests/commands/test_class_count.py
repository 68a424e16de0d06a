"""Nobody types class_num: it is the dataset's, or the weights', and a number that is given must agree with them."""

import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training.test_checkpoints import Weights
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.commands.opening import network, opened_dataset, read_subject
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError, WeightsError
from segformer_core.inference.remembered import counted
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.weights.store import save_weights

UNTYPED = {key: value for key, value in SMALL.items() if key not in ("class_num", "backbone")} | {"data_path": "set"}
"""Of a dataset of three classes."""


class Reached(Exception):
    """Everything before the framework is done."""


def reached(runtime):
    raise Reached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder_dataset(tmp_path / "set")
    for name, spec in {"three": segformer("b1", 3, decoder_width=64, numerics="mmseg"), "five": segformer("b0", 5)}.items():
        save_weights(tmp_path / f"{name}.safetensors", spec, hot_arrays(spec))
    return tmp_path


def counted_config(**keys):
    config = load_config(flags(UNTYPED | keys))
    return counted(config, len(opened_dataset(config, "train", "").classes), "set")


def test_it_is_the_datasets_in_training(folder):
    assert load_config([]).model.class_num == 0
    config = counted_config()
    assert config.model.class_num == 3 and network(config).class_count == 3
    assert counted_config(class_num=3).model.class_num == 3


@pytest.mark.parametrize("command", ["evaluate", "infer", "export"])
def test_the_network_is_the_weights(command, folder):
    """Backbone, width of the head and constants too; a key that is given must agree."""
    key = {"evaluate": "eval", "infer": "infer", "export": "export"}[command]
    keys = UNTYPED | {f"{key}_ckpt_path": "three.safetensors", "export_path": "net"}
    with pytest.raises(Reached):
        main(command, reached, flags(keys))
    with pytest.raises(Reached):
        main(command, reached, flags(keys | {"class_num": 3, "backbone": "mit_b1", "numerics": "mmseg", "decoder_width": 64}))


OTHERS = {"backbone": "mit_b0", "numerics": "nvlabs", "decoder_width": 256, "class_num": 4}


@pytest.mark.parametrize("key", OTHERS)
def test_a_key_that_is_given_must_agree_with_the_weights(key, folder):
    subject = read_subject("three.safetensors", load_config(flags(UNTYPED)))
    model = subject.config.model
    assert (model.backbone, model.class_num, model.decoder_width, model.numerics) == ("mit_b1", 3, 64, "mmseg")
    other = read_subject("three.safetensors", load_config(flags(UNTYPED | {key: OTHERS[key]})))
    assert getattr(other.config.model, key) == OTHERS[key], "it is kept, for the sentence that refuses it"


def test_the_sentence_for_each_is_that_of_always(folder, capsys):
    for key, other in OTHERS.items():
        assert main("export", reached, flags(UNTYPED | {"export_ckpt_path": "three.safetensors", key: other})) == USERS_MISTAKE
        assert f"three.safetensors has {key} " in (told := capsys.readouterr().err) and f"has {key} {other}; set --{key} " in told


def test_weights_of_other_classes_than_the_data(folder, capsys):
    keys = UNTYPED | {"eval_ckpt_path": "five.safetensors", "infer_ckpt_path": "five.safetensors"}
    for command in ("evaluate", "infer"):
        own = {name: value for name, value in keys.items() if not name.endswith("ckpt_path") or name.startswith(command[:4])}
        assert main(command, reached, flags(own)) == USERS_MISTAKE
        assert "five.safetensors has class_num 5; the configuration has class_num 3; the data has as" in capsys.readouterr().err


def test_more_classes_than_a_label_image_holds_are_refused(folder):
    with pytest.raises(ConfigError, match="class_num in w.pth is 256; expected 0 to 255"):
        counted(load_config([]), 256, "w.pth")


def test_a_file_that_is_none_is_told_as_before(folder):
    with pytest.raises(WeightsError, match="no such weight file: nowhere.pth"):
        read_subject("nowhere.pth", load_config([]))


def test_a_run_goes_on_without_the_number_that_it_began_with(folder, capsys):
    about = {"images in the training set": 4}
    typed = load_config(flags(UNTYPED | {"class_num": 3}))
    Checkpoints("run", segformer("b0", 3), typed, about).save(Weights(), 1, 2)
    keys = UNTYPED | {"checkpoint_path": "run"}
    with pytest.raises(Reached):
        main("train", reached, flags(keys))
    lines = (folder / "set/dataset.yaml").read_text().splitlines()
    (folder / "four.yaml").write_text("\n".join([*lines, "  - {name: sky, colour: [1, 2, 3]}"]))
    assert main("train", reached, flags(keys | {"dataset_file": "four.yaml"})) == USERS_MISTAKE
    assert "is of another run: class_num is 3 there and 4 here; use the same values" in capsys.readouterr().err
