"""A run goes on with the data set that it was begun with, wherever that lies, and not with another of as many images."""

import shutil
from pathlib import Path

import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.training.test_checkpoints import Weights
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.commands.train import about_data
from segformer_core.config.load import load_config
from segformer_core.data.layout import open_dataset
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints


class Reached(Exception):
    """Everything before the framework is done."""


def reached(runtime):
    raise Reached


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_folder_dataset(tmp_path / "set")


KEYS = flags(SMALL | {"max_steps": 60, "checkpoint_path": "run"})


def begin(root: Path, about: dict | None = None) -> None:
    about = about or about_data(open_dataset(str(root), "train"))
    Checkpoints("run", segformer("b0", 3), load_config(KEYS), about).save(Weights(), 1, 2)


def go_on(root: Path) -> int:
    return main("train", reached, [*KEYS, "--data_path", str(root)])


def rename_an_image(root: Path) -> None:
    for folder in ("images", "labels"):
        (root / folder / "train/train3.png").rename(root / folder / "train/x.png")


def rewrite(old: str, new: str):
    def write(root: Path) -> None:
        text = (root / "dataset.yaml").read_text()
        assert old in text
        (root / "dataset.yaml").write_text(text.replace(old, new))

    return write


ANOTHER = {
    "images": rename_an_image,
    "classes": rewrite("disc", "plate"),
    "values": rewrite("classes:", "label_map: {0: ground, 1: bar, 2: disc}\nclasses:"),
    "ignored": rewrite("classes:", "ignore: [255, 7]\nclasses:"),
    "colours": rewrite("classes:", "label_form: colours\nclasses:"),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_another_data_set_is_refused(root, name, capsys):
    begin(root)
    ANOTHER[name](root)
    assert go_on(root) == USERS_MISTAKE
    said = capsys.readouterr().err
    assert (
        "is of another run: training set (digest of the names of classes and images and of what label values mean) is '" in said
    )
    assert "images in the training set is" not in said and "start a new run from its weights with" in said


def painted_otherwise(root: Path) -> None:
    rewrite("[90, 60, 40]", "[1, 2, 3]")(root)


def said_in_other_words(root: Path) -> None:
    rewrite("classes:", "label_form: indices\nignore_value: 255\nclasses:")(root)


@pytest.mark.parametrize("change", [lambda root: None, painted_otherwise, said_in_other_words])
def test_the_same_data_set_goes_on_wherever_it_lies(root, change):
    begin(root)
    shutil.move(root, root.parent / "moved")
    change(root.parent / "moved")
    with pytest.raises(Reached):
        go_on(root.parent / "moved")


def test_a_checkpoint_of_an_older_version_goes_on(root):
    begin(root, {"images in the training set": 4})
    with pytest.raises(Reached):
        go_on(root)
