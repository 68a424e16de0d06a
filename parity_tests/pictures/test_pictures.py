"""Colours, overlays, the legend and the contact sheet, and the command that writes one."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from parity_tests import ROOT
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.pictures.font_files import install
from segformer_core.commands.make_contact_sheet import main as make_contact_sheet
from segformer_core.commands.make_contact_sheet import sheet_row
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import Classes
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import open_dataset
from segformer_core.pictures import SheetRow, colourise, contact_sheet, legend
from segformer_core.pictures.sheet import CAPTION, COLUMNS, GAP, HEADING, LINE, MARGIN, SOFT_INK, SWATCH

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


@pytest.mark.parametrize("width", [30, 100, 400, 1500])
def test_legend_shows_every_colour_whatever_its_width(width: int) -> None:
    picture = legend(CITYSCAPES, width)
    assert picture.shape[1] == width
    assert {*CITYSCAPES.colours, (0, 0, 0)} <= colours_of(picture) | ({(0, 0, 0)} if width < 40 else set())


def many(count: int) -> Classes:
    return Classes(
        tuple(f"class number {index}" for index in range(count)), tuple((index, 255 - index, 7) for index in range(count))
    )


def test_150_classes_stand_in_columns_as_wide_as_the_picture_takes() -> None:
    picture = legend(many(150), 640)
    assert {*many(150).colours} <= colours_of(picture) and picture.shape[:2] == (51 * LINE - GAP + 2 * MARGIN, 640)
    assert (picture[:, -MARGIN:] == 255).all() and (picture[:, :MARGIN] == 255).all(), "nothing is cut at the sides"


def test_a_light_colour_has_a_line_around_it() -> None:
    picture = legend(Classes(("paper",), ((255, 255, 255),)), 300)
    assert (picture[MARGIN, MARGIN : MARGIN + SWATCH] == SOFT_INK).all()


def test_contact_sheet_puts_image_truth_and_prediction_side_by_side() -> None:
    image = np.full((20, 40, 3), (1, 2, 3), np.uint8)
    truth, prediction = np.zeros((20, 40), np.uint8), np.full((20, 40), 2, np.uint8)
    tall = SheetRow("tall", np.full((60, 40, 3), (4, 5, 6), np.uint8), *np.ones((2, 60, 40), np.uint8))
    sheet = contact_sheet([SheetRow("wide", image, truth, prediction), tall], CLASSES, width=80)
    expected = ([(1, 2, 3), *CLASSES.colours[::2]], [(4, 5, 6), CLASSES.colours[1], CLASSES.colours[1]])
    for colours, height in zip(expected, (40, 120), strict=True):
        for column, colour in enumerate(colours):
            left = MARGIN + column * (80 + GAP)
            matches = (sheet[:, left : left + 80] == colour).all((1, 2))
            assert matches.sum() == height, (COLUMNS[column], colour)


def beside(sheet: np.ndarray, width: int = 80) -> np.ndarray:
    """What stands right of a sheet's pictures."""
    return sheet[:, MARGIN + 3 * (width + GAP) :]


def blank_row(caption: str, size: tuple[int, int] = (20, 40)) -> SheetRow:
    return SheetRow(caption, np.full((*size, 3), 255, np.uint8), *np.full((2, *size), 255, np.uint8))


def test_the_legend_stands_beside_the_pictures() -> None:
    sheet = contact_sheet([blank_row("a")], CLASSES, width=80)
    assert {*CLASSES.colours, (0, 0, 0)} <= colours_of(beside(sheet))
    assert colours_of(sheet[:, : MARGIN + 2 * (80 + GAP)]).isdisjoint(CLASSES.colours)
    assert (sheet[:, -MARGIN:] == 255).all(), "its longest name ends before the margin"


def test_a_sheet_has_room_for_150_classes() -> None:
    """A low one grows; a high one has them in as many columns as needed."""
    for rows, count in ((1, 4), (30, 2)):
        sheet = contact_sheet([blank_row(str(index), (80, 80)) for index in range(rows)], many(150), width=80)
        assert {*many(150).colours} <= colours_of(beside(sheet))
        swatches = np.flatnonzero((beside(sheet)[MARGIN + HEADING] == SOFT_INK).all(-1))
        assert len(swatches) == count * (SWATCH + 1), rows
        assert sheet.shape[0] == MARGIN + HEADING + max(rows * (80 + CAPTION), 38 * LINE - GAP) + MARGIN


def test_a_caption_stands_below_its_row_and_is_cut_at_the_pictures() -> None:
    sheets = [contact_sheet([blank_row(caption)], CLASSES, width=80) for caption in ("mIoU 0.571", "mIoU 0.572", "long " * 99)]
    assert len({sheet.tobytes() for sheet in sheets}) == 3 and len({sheet.shape for sheet in sheets}) == 1
    changed = np.argwhere((sheets[0] != sheets[1]).any(-1))
    assert changed[:, 0].min() >= MARGIN + HEADING + 40 and changed[:, 1].max() < MARGIN + 80 + GAP
    assert (beside(sheets[2]) == beside(sheets[0])).all()


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
    assert sheet.shape[1] > 2 * MARGIN + 3 * GAP + 3 * 480
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
    assert row.caption == "val0   mIoU 1.000, pixel accuracy 100.0%" and set(np.unique(row.prediction)) == {0, 1, 2}


def test_a_caption_has_the_scores_of_its_image(predicted: Path) -> None:
    """Of four counted pixels three are right: IoU 1/2 and 2/3. A fifth has no prediction: it is a share of its own."""
    truth, prediction = np.full((2, 64, 96), 255, np.uint8)
    truth[0, :5], prediction[0, :4] = [0, 0, 1, 1, 1], [0, 1, 1, 1]
    cv2.imwrite(str(predicted / "labels" / "val" / "val0.png"), truth)
    cv2.imwrite(str(predicted / "result" / "val0_gray.png"), prediction)
    dataset = open_dataset(str(predicted), "val")

    def caption() -> str:
        return sheet_row(dataset.items[0], dataset.classes, predicted / "result").caption

    assert caption() == "val0   mIoU 0.583, pixel accuracy 75.0%, 20.0% without a class"
    cv2.imwrite(str(predicted / "result" / "val0_gray.png"), np.full_like(truth, 255))
    assert caption() == "val0   no pixel is scored"


def test_command_says_which_letters_no_font_has(predicted: Path, capsys, monkeypatch) -> None:
    install(monkeypatch)
    description = predicted / "dataset.yaml"
    names = [entry["name"] for entry in yaml.safe_load(description.read_text())["classes"]]
    description.write_text(description.read_text().replace(names[0], "车道", 1))
    paths = {"data_path": predicted, "infer_output_path": predicted / "result", "output": predicted / "sheet.png"}
    make_contact_sheet([f"--{name}={path}" for name, path in paths.items()])
    assert capsys.readouterr().out == (
        "classes stand as numbers: no installed font has 车 道: install Noto Sans CJK (Debian and Ubuntu: fonts-noto-cjk)\n"
        f"contact sheet: {predicted / 'sheet.png'}\n"
    )


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
