"""`--write` and `--recipe`: the files, that they are read, and that no file of the user's is replaced."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.survey.made import dataset, relabel
from segformer_core.cli import USERS_MISTAKE, program
from segformer_core.config.yaml_reading import read_yaml
from segformer_core.data.dataset import read_label
from segformer_core.data.layout import open_dataset

TABLE = np.zeros((256, 3), np.uint8)
TABLE[:3] = (10, 20, 30), (40, 50, 60), (70, 80, 90)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = dataset(Path("mine"))
    (root / "dataset.yaml").unlink()
    return root


def check(*words: str) -> int:
    return program(["check_dataset", "mine", "--workers", "1", *words])


NAMES = {"classes": [{"name": "class_0"}, {"name": "class_1"}, {"name": "class_2"}]}
STORED = {"label_form": "indices", "label_suffix": ".png"}
CASES = {
    "0..2 and 255": (lambda label: label, {"first_label": 0, "ignore": [255]}),
    "1..3, no 255": (
        lambda label: np.where(label == 255, 1, label + 1).astype(np.uint8),
        {"first_label": 1, "ignore": [255]},
    ),
    "with gaps": (
        lambda label: np.where(label == 255, 0, label * 7).astype(np.uint8),
        {"label_map": {0: "class_0", 7: "class_1", 14: "class_2"}, "ignore": [255]},
    ),
    "16 bits": (
        lambda label: np.where(label == 255, 0, label).astype(np.uint16) * 300,
        {"label_map": {0: "class_0", 300: "class_1", 600: "class_2"}, "ignore": [255]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_description_of_the_values_in_the_labels(root: Path, name: str) -> None:
    """It is read, every value is a class or ignored, and what was counted once is not read again."""
    change, content = CASES[name]
    relabel(root, change)
    assert check("--write") == 0
    assert read_yaml(root / "dataset.yaml") == NAMES | content | STORED
    assert check() == 0
    item, classes = (found := open_dataset("mine", "train")).items[0], found.classes
    assert item.label is not None
    stored = cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)
    labels = read_label(item.label, classes)
    assert len(np.unique(stored)) == len(np.unique(labels)) and len(classes) == 3
    assert "label_map" in content or ((labels == 255) == (stored == 255)).all()


def test_a_description_of_the_colours_in_the_labels(root: Path) -> None:
    relabel(root, lambda label: TABLE[np.minimum(label, 2)])
    assert check("--write") == 0
    classes = open_dataset("mine", "train").classes
    assert classes.colours == ((10, 20, 30), (40, 50, 60), (70, 80, 90)) and classes.names == ("class_0", "class_1", "class_2")
    assert check() == 0


def test_the_findings_after_writing_are_those_of_a_second_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relabel(root, lambda label: np.where(label == 2, 0, label).astype(np.uint8), "train/*")
    said = []
    for words in (["--write"], []):
        assert check(*words) == 1
        said.append([line for line in capsys.readouterr().out.splitlines() if not line.startswith(("wrote", "  read as"))])
    assert said[0] == said[1] and "WRONG: in val alone, so that the IoU stays 0: class_2 (in 3 of 3 labels)" in said[0]


def test_0_and_255_are_asked_in_the_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file alone answers nothing; either of its two lines does."""
    relabel(root, lambda label: np.where(label == 1, 255, 0).astype(np.uint8))
    assert check("--write") == 1
    assert "hold 0 and 255 alone" in capsys.readouterr().out
    text = (root / "dataset.yaml").read_text()
    assert read_yaml(root / "dataset.yaml") == {"classes": NAMES["classes"][:2]} | STORED
    assert "Is 255 class_1, or does it mark pixels that do not count?" in text
    (root / "dataset.yaml").write_text(text.replace("# label_map:", "label_map:"))
    assert check() == 0
    (root / "dataset.yaml").write_text(text.replace("# ignore:", "ignore:"))
    assert check() == 1 and "class_1 (1)" in capsys.readouterr().out  # then nothing is left of the second class


@pytest.mark.parametrize("middle", [7, 127])
def test_255_among_other_values_is_asked_in_the_file(root: Path, middle: int, capsys: pytest.CaptureFixture[str]) -> None:
    """As in labels of VOC that lack a class, or in gray levels. Nothing is trained before an answer is there; either is read."""
    relabel(root, lambda label: np.array([0, middle, 255], np.uint8)[np.minimum(label, 2)])
    assert check("--write") == 1
    assert f"leaves open what the values {middle}" in capsys.readouterr().out
    assert check() == 1 and f"label {middle}" in capsys.readouterr().out
    assert read_yaml(root / "dataset.yaml") == {"classes": NAMES["classes"][:2]} | STORED
    text = (root / "dataset.yaml").read_text()
    others = f"0: class_0, {middle}: class_1"
    ignored = text.replace(f"# label_map: {{{others}}}", f"label_map: {{{others}}}").replace("# ignore:", "ignore:")
    (root / "dataset.yaml").write_text(ignored)
    assert check() == 0 and open_dataset("mine", "train").classes.labelling.ignore == (255,)
    one_more = text.replace("# label_map: {" + others + ", 255", "label_map: {" + others + ", 255")
    (root / "dataset.yaml").write_text(one_more.replace("class_1}", "class_1}\n  - class_2", 1))
    assert check() == 0 and len(open_dataset("mine", "train").classes) == 3


def test_the_recipe_is_never_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A folder that is called dataset, checked from inside."""
    root = dataset(tmp_path / "dataset")
    (root / "dataset.yaml").unlink()
    monkeypatch.chdir(root)
    assert program(["check_dataset", ".", "--write", "--force", "--workers", "1"]) == 0
    assert "classes" in read_yaml(root / "dataset.yaml") and (root / "dataset_recipe.yaml").is_file()
    assert program(["check_dataset", ".", "--recipe", "dataset.yaml", "--force"]) == USERS_MISTAKE
    assert "dataset.yaml is the dataset's description; give the recipe another name" in capsys.readouterr().err


def test_pictures_get_no_description(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relabel(root, lambda label: np.random.default_rng(0).integers(0, 256, (*label.shape, 3), np.uint8))
    assert check("--write") == USERS_MISTAKE
    assert "no dataset.yaml can be made for mine: its labels hold 300 values and more" in capsys.readouterr().err
    assert not (root / "dataset.yaml").exists() and not Path("mine_recipe.yaml").exists()
    assert Path("dataset_report/report.html").is_file(), "it shows the labels"


def test_what_to_run_again_keeps_the_dataset_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my classes.yaml").write_text("classes: [ground, disc]\n")
    assert check("--dataset_file", "my classes.yaml") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("then run segformer check_dataset mine --dataset_file 'my classes.yaml'")


def test_files_that_are_there_stay(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "dataset.yaml").write_text("classes: [ground, disc, bar]\n")
    Path("mine_recipe.yaml").write_text("lr: 1.0\n")
    assert check("--write") == 0
    said = capsys.readouterr().out
    assert "mine/dataset.yaml is there and stays as it is" in said
    assert "mine_recipe.yaml is there and stays as it is; --force replaces it" in said
    assert Path("mine_recipe.yaml").read_text() == "lr: 1.0\n"
    assert check("--write", "--force") == 0
    assert (root / "dataset.yaml").read_text() == "classes: [ground, disc, bar]\n"  # never replaced
    assert "# python -m backend_torch.train --config_path mine_recipe.yaml" in Path("mine_recipe.yaml").read_text()


def test_a_report_of_ours_is_replaced_and_another_is_not(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Path("page/report.html")
    report.parent.mkdir()
    report.write_text("mine")
    assert check("--report", "page") == USERS_MISTAKE
    assert "page/report.html is there and was not made by check_dataset" in capsys.readouterr().err
    assert report.read_text() == "mine"
    assert check("--report", "page", "--force") == 1
    assert check("--report", "page") == 1
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segformer_core.survey.report.survey", None)
    assert check("--recipe", "/proc/own.yaml") == USERS_MISTAKE
    assert "cannot write in folder /proc" in capsys.readouterr().err


def test_nothing_is_written_into_the_dataset_unasked(root: Path) -> None:
    before = sorted(root.rglob("*"))
    assert check() == 1
    assert sorted(root.rglob("*")) == before
    assert sorted(path.name for path in Path().iterdir()) == ["dataset_report", "mine"]
