"""Colours, overlays, the legend and the contact sheet, and the command that writes one."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.commands.make_contact_sheet import sheet_row
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import Classes
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import open_dataset
from segformer_core.pictures import SheetRow, colourise, contact_sheet, legend
from segformer_core.pictures.sheet import COLUMNS, GAP, MARGIN

CLASSES = Classes(("red", "green", "blue"), ((250, 10, 20), (30, 240, 40), (50, 60, 230)))


def colours_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_colours_are_rgb_and_black_where_ignored() -> None:
    colours = colourise(np.array([[0, 1, 2], [255, 3, 0]], np.uint8), CLASSES)
    assert colours.dtype == np.uint8
    assert colours.tolist() == [
        [[250, 10, 20], [30, 240, 40], [50, 60, 230]],
        [[0, 0, 0], [0, 0, 0], [250, 10, 20]],
    ]


@pytest.mark.parametrize("width", [100, 400, 1500])
def test_legend_shows_every_colour_whatever_its_width(width: int) -> None:
    picture = legend(CITYSCAPES, width)
    assert picture.shape[1] == width
    assert {*CITYSCAPES.colours, (0, 0, 0)} <= colours_of(picture)


def test_contact_sheet_puts_image_truth_and_prediction_side_by_side() -> None:
    image = np.full((20, 40, 3), (1, 2, 3), np.uint8)
    truth, prediction = np.zeros((20, 40), np.uint8), np.full((20, 40), 2, np.uint8)
    tall = SheetRow("tall", np.full((60, 40, 3), (4, 5, 6), np.uint8), *np.ones((2, 60, 40), np.uint8))
    sheet = contact_sheet([SheetRow("wide", image, truth, prediction), tall], CLASSES, width=80)
    assert sheet.shape[1] == 2 * MARGIN + 2 * GAP + 3 * 80
    expected = ([(1, 2, 3), *CLASSES.colours[::2]], [(4, 5, 6), CLASSES.colours[1], CLASSES.colours[1]])
    for colours, height in zip(expected, (40, 120), strict=True):
        for column, colour in enumerate(colours):
            left = MARGIN + column * (80 + GAP)
            matches = (sheet[:, left : left + 80] == colour).all((1, 2))
            assert matches.sum() == height, (COLUMNS[column], colour)


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = {"data_path": root, "infer_output_path": root / "result", "output": root / "new" / "sheet.png"}
    flags = [f"--{name}={path}" for name, path in paths.items()]
    words = [sys.executable, "tools/make_contact_sheet.py", *flags, *arguments]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """A dataset with a result folder that holds the truth as prediction."""
    root = write_folder_dataset(tmp_path)
    (root / "result").mkdir()
    for label in (root / "labels" / "val").iterdir():
        values = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(root / "result" / f"{label.stem}_gray.png"), np.where(values == 255, 0, values))
    return root


def test_command_writes_the_sheet_and_prints_its_path(predicted: Path) -> None:
    process = command(predicted)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"contact sheet: {predicted / 'new' / 'sheet.png'}\n"
    sheet = read_image(predicted / "new" / "sheet.png")
    assert sheet.shape[1] == 2 * MARGIN + 2 * GAP + 3 * 480
    assert {(200, 40, 40), (30, 90, 200)} <= colours_of(sheet)


def test_predictions_are_indices_however_labels_are_stored(predicted: Path) -> None:
    """`infer` writes indices; the labels of this data set are moved by one, so that 0 does not count."""
    for label in predicted.glob("labels/*/*.png"):
        values = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(label), values + 1)  # 255 becomes 0
    with (predicted / "dataset.yaml").open("a") as file:
        file.write("first_label: 1\nignore: [0]\n")
    dataset = open_dataset(str(predicted), "val")
    row = sheet_row(dataset.items[0], dataset.classes, predicted / "result")
    assert row.caption.endswith("pixel accuracy 100.0%") and set(np.unique(row.prediction)) == {0, 1, 2}


def test_command_says_in_one_line_what_is_wrong(predicted: Path) -> None:
    (predicted / "result" / "val1_gray.png").unlink()
    cv2.imwrite(str(predicted / "result" / "val0_gray.png"), np.zeros((9, 7), np.uint8))
    for arguments, complaint in (
        ((), "val0_gray.png is 9×7 pixels; expected 64×96"),
        (("--count", "0"), "argument --count: 0 is out of range; expected 1 to"),
        (("--split", "test"), "no images in"),
        (("--output", f"{predicted / 'dataset.yaml'}/sheet.png"), "a part of it is a file and no folder"),
    ):
        process = command(predicted, *arguments)
        assert process.returncode == 2, process.stderr
        assert process.stderr.startswith("error: ") and process.stderr.count("\n") == 1, process.stderr
        assert complaint in process.stderr
