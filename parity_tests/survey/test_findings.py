"""`segformer check_dataset`: each thing that may be wrong with a dataset, the sentence about it, and the exit code."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.survey.made import dataset, describe, numbered, relabel, write
from segformer_core.cli import USERS_MISTAKE, program

Breaks = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return dataset(Path("mine"))


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code and what is printed."""
    code = program(["check_dataset", "mine", "--workers", "2", *words])
    return code, capsys.readouterr().out


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def copy(root: Path, source: str, target: str, same_label: bool = True) -> None:
    """The pair `source` once more; the image as a BMP, whose pixels are the same and whose bytes are others."""
    write(root / f"images/{target}.bmp", cv2.imread(str(root / f"images/{source}.png"))[..., ::-1])
    label = cv2.imread(str(root / f"labels/{source}.png"), cv2.IMREAD_UNCHANGED)
    write(root / f"labels/{target}.png", label if same_label else np.where(label == 2, 0, label).astype(np.uint8))


def lighten(root: Path) -> None:
    for path in root.glob("images/*/*.png"):
        write(path, (220 + cv2.imread(str(path))[..., ::-1] // 8).astype(np.uint8))


def without(value: int, by: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda label: np.where(label == value, by, label).astype(np.uint8)


def everything(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda label: np.full_like(label, value)


def unlabelled(root: Path) -> None:
    for name in ("train/train_a", "train/train_c", "train/train_d"):
        (root / f"labels/{name}.png").unlink()


def test_split(root: Path, labels: bool) -> None:
    for kind in ("images", "labels") if labels else ("images",):
        shutil.copytree(root / kind / "val", root / kind / "test")
    if labels:
        for path in (root / "images/test").glob("*.png"):
            write(path, 255 - cv2.imread(str(path)))


test_split.__test__ = False  # type: ignore[attr-defined]  # it makes one

WRONG: dict[str, tuple[Breaks, tuple[str, ...]]] = {
    "several files of all kinds": (
        lambda root: [
            spoil(root / "images/train/train_b.png"),
            spoil(root / "labels/val/val_a.png"),
            write(root / "images/val/val_c.png", np.full((8, 9, 3), 90, np.uint8)),
        ],
        (
            r"^WRONG: 3 of 9 pairs cannot be used:$",
            r"^  train: mine/images/train/train_b\.png is damaged",
            r"^  val: mine/labels/val/val_a\.png is damaged",
            r"^  val: mine/labels/val/val_c\.png is 64×96 pixels and its image .*val_c\.png is 8×9; expected the same size",
        ),
    ),
    "values that are no class": (
        lambda root: relabel(root, without(2, by=7), "train/train_[ab]"),
        (
            r"^WRONG: 2 of 9 pairs cannot be used",
            r"^  train: mine/labels/train/train_a\.png has label 7 at row 0, column \d+; expected a class index 0\.\.2",
            r"^WRONG: values that mean no class and are not ignored: 7 in 2 labels \([\d,]+ pixels\); name each in label_map",
        ),
    ),
    "images without labels": (
        unlabelled,
        (
            r"^WRONG: files of train that are no pair:$",
            r"^  3 of 6 images of train have no label; first: mine/images/train/train_a\.png",
            r"^  mine/images/train/train_c\.png has no label$",
            r"^  mine/images/train/train_d\.png has no label$",
            r"^  pairs +3 train, 3 val$",
        ),
    ),
    "a class that no label has": (
        lambda root: relabel(root, without(2)),
        (r"^WRONG: 1 of 3 classes are in no label of train and cannot be learnt: bar \(2\); 6 labels have ignored pixels",),
    ),
    "a class in val alone": (
        lambda root: relabel(root, without(2), "train/*"),
        (
            r"^WRONG: 1 of 3 classes are in no label of train and cannot be learnt: bar \(2\)",
            r"^WRONG: in val alone, so that the IoU stays 0: bar \(in 3 of 3 labels\)$",
        ),
    ),
    "an image in two splits": (
        lambda root: copy(root, "train/train_a", "val/other"),
        (
            r"^WRONG: 1 image of equal decoded pixels in two splits, so that what was learnt by heart is measured",
            r"^  mine/images/train/train_a\.png = mine/images/val/other\.bmp$",
        ),
    ),
    "an image many times": (
        lambda root: [copy(root, "train/train_a", name) for name in (*(f"train/x{place}" for place in "abcde"), "val/other")],
        (
            (
                r"^  mine/images/train/train_a\.png = mine/images/val/other\.bmp = mine/images/train/xa\.bmp"
                r" = mine/images/train/xb\.bmp = mine/images/train/xc\.bmp and 2 more$"
            ),
        ),
    ),
    "0 and 255": (
        lambda root: [
            relabel(root, lambda label: np.where(label == 1, 255, 0).astype(np.uint8)),
            describe(root, "classes: [background, crack]\n"),
        ],
        (
            (
                r"^WRONG: the labels, such as mine/labels/train/train_a\.png, hold 0 and 255 alone, and mine/dataset\.yaml lists "
                r"two classes: write in it label_map: \{0: background, 255: crack\} if 255 is 'crack', or ignore: \[255\] if"
            ),
            r"^  values +0, 255$",
        ),
    ),
    "0 and 255 and no names": (
        lambda root: [
            relabel(root, lambda label: np.where(label == 1, 255, 0).astype(np.uint8)),
            (root / "dataset.yaml").unlink(),
        ],
        (
            r"^WRONG: no file names the classes of mine: --write makes a dataset\.yaml with the labels' values$",
            r"^WRONG: the labels hold 0 and 255 alone: if 255 is a class, the dataset\.yaml needs label_map: \{0: …, 255: …\}",
            r"^next: look at dataset_report/report\.html, .* then run segformer check_dataset mine --write$",
        ),
    ),
    "colours that no class has": (
        lambda root: [
            relabel(root, lambda label: np.array([[9, 8, 7], [90, 80, 70], [3, 3, 3]], np.uint8)[np.minimum(label, 2)]),
            describe(root, "classes: [ground, disc, bar]\n"),
        ],
        (
            r"^WRONG: mine/labels/train/train_a\.png and the other labels hold colours, and no class has a colour",
            r"^  values +3, the most frequent \[9, 8, 7\]",
        ),
    ),
    "pictures for labels": (
        lambda root: [
            relabel(root, lambda label: np.random.default_rng(0).integers(0, 256, (*label.shape, 3), np.uint8), "val/*"),
            (root / "dataset.yaml").unlink(),
        ],
        (r"^WRONG: 3 labels with 300 and more colours or values, such as mine/labels/val/val_a\.png: these are pictures",),
    ),
    "no train": (
        lambda root: [shutil.rmtree(root / kind / "train") for kind in ("images", "labels")],
        (r"^WRONG: mine has no images of train; expected images/train and labels/train$",),
    ),
}

HINTS: dict[str, tuple[Breaks, tuple[str, ...]]] = {
    "nothing": (
        lambda root: None,
        (
            r"^mine: 3 classes of mine/dataset\.yaml$",
            r"^  sizes +64×96 \(height × width\), all$",
            r"^  images +8-bit RGB PNG \(9\)$",
            r"^  labels +8-bit gray PNG \(9\)$",
            r"^  values +0\.\.2, 255$",
            r"^nothing is wrong; 0 hints$",
            r"^next: look at dataset_report/report\.html, then let --recipe FILE write a recipe with this proposal$",
        ),
    ),
    "a class that val does not have": (
        lambda root: relabel(root, without(2), "val/*"),
        (
            r"^hint: in no label of val, so that they are not measured: bar \(in 6 of 6 labels of train\)$",
            "^nothing is wrong; 1 hint$",
        ),
    ),
    "nearly empty labels": (
        lambda root: [relabel(root, everything(255), "train/train_b"), relabel(root, everything(0), "train/train_c")],
        (
            r"^hint: more than 99% ignored: 1 label:$",
            r"^  mine/labels/train/train_b\.png: 100\.0% ignored$",
            r"^hint: one class only: 1 label:$",
            r"^  mine/labels/train/train_c\.png: ground$",
        ),
    ),
    "most pixels ignored": (
        lambda root: relabel(root, without(0, by=255), "train/train_[a-e]"),
        (r"^hint: \d\d% of the pixels of train are ignored and teach nothing$",),
    ),
    "an image twice in one split": (
        lambda root: copy(root, "train/train_a", "train/other", same_label=False),
        (
            r"^hint: 1 image of equal decoded pixels twice in one split, where they count twice; 1 with labels that differ:$",
            r"^  mine/images/train/other\.bmp = mine/images/train/train_a\.png$",
        ),
    ),
    "frames of a film in both splits": (
        numbered,
        (
            (
                r"^hint: 3 of 3 images of val have a neighbour of train by their number, such as film_0002 in val and film_0001 "
                r"in train: if these are frames of one film"
            ),
        ),
    ),
    "far from ImageNet": (
        lighten,
        (r"^hint: the images' mean and standard deviation are far from ImageNet's; .* img_norm_mean: \[2\d\d\.\d, ",),
    ),
    "no val": (
        lambda root: [shutil.rmtree(root / kind / "val") for kind in ("images", "labels")],
        (r"^hint: there is no val: a run cannot be measured", r"^  run_eval: False"),
    ),
    "labels without images": (
        lambda root: (root / "images/train/train_b.png").unlink(),
        (r"^hint: labels of train that have no image: 1, such as mine/labels/train/train_b\.png$",),
    ),
    "test with labels": (lambda root: test_split(root, labels=True), (r"^  pairs +6 train, 3 val, 3 test$",)),
    "test without labels": (lambda root: test_split(root, labels=False), (r"^  pairs +6 train, 3 val$",)),
}


def expect(text: str, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        assert re.search(pattern, text, re.MULTILINE), (pattern, text)


def said_of(root: Path, case: tuple[Breaks, tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and what is printed of a broken dataset; its sentences are there."""
    breaks, patterns = case
    breaks(root)
    code, text = check(capsys)
    expect(text, patterns)
    return code, text


@pytest.mark.parametrize("name", WRONG)
def test_what_would_be_trained_wrongly_is_said(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said_of(root, WRONG[name], capsys)
    assert code == 1
    verdict, after = text.rstrip().splitlines()[-2:]
    assert verdict.startswith(f"WRONG: {text.count(chr(10) + 'WRONG: ') - 1} thing") and after.startswith("next: look at ")


@pytest.mark.parametrize("name", HINTS)
def test_what_is_worth_a_look_is_a_hint(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said_of(root, HINTS[name], capsys)
    assert code == 0 and "WRONG" not in text


def test_one_class_is_not_1_classes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said_of(root, (lambda folder: describe(folder, "classes: [ground]\n"), (r"^mine: 1 class of mine/dataset\.yaml$",)), capsys)


def test_long_lists_are_cut_on_the_screen_and_whole_on_the_page(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segformer_core.survey.described.SHOWN", 2)
    relabel(root, without(2, by=9))
    _, text = check(capsys)
    assert "  and 7 more; the report has them all" in text and "val_c.png has label 9" not in text
    assert "val_c.png has label 9" in Path("dataset_report/report.html").read_text(encoding="utf-8")


def test_no_dataset_is_a_users_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, sentence in ((tmp_path / "none", "no such data path"), (tmp_path, "is no dataset: expected")):
        report = ("--report", str(tmp_path / "report"))
        assert program(["check_dataset", str(place), *report]) == USERS_MISTAKE
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / "report").exists()
