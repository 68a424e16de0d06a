"""However labels are stored, the same arrays reach the network; and labels that could mean two things are a question."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests.data.label_files import (
    PALETTE,
    TIFF_PALETTE,
    WHITE_IS_ZERO,
    bmp,
    few_bits_png,
    few_bits_tiff,
    painted,
    pillow,
    png,
    tiff,
    with_palette,
)
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.config.keys import DataConfig
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import read_label
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import DataError

DATA = DataConfig(base_size=(64, 96), crop_size=(48, 64))
NAMES = ("ground", "disc", "bar")
COLOURS = {0: (90, 60, 40), 1: (200, 40, 40), 2: (30, 90, 200), 255: (0, 0, 0)}


@dataclass(frozen=True)
class Form:
    """How (H, W) uint8 labels become a file; what dataset.yaml says beside the names; and which labels the form can hold.

    classes   2 where the form has no room for three; `void` whether it has room for pixels that do not count
    """

    write: Callable[[np.ndarray], bytes]
    says: str = ""
    classes: int = 3
    void: bool = True
    suffix: str = ".png"
    colours: bool = False


def bits_of(count: int) -> dict[str, int | bool]:
    return {"classes": 2 if count == 1 else 3, "void": count == 8}


def moved(labels: np.ndarray) -> np.ndarray:
    """ADE20K's way: 0 does not count, the first class is 1."""
    return np.where(labels == 255, 0, labels + 1).astype(np.uint8)


def deep(labels: np.ndarray) -> np.ndarray:
    """Values of Mapillary's kind: any number of 16 bits; a class may have several."""
    values = np.array([1000, 2000, 40000, *[0] * 252, 65535], np.uint16)[labels]
    values[10:40][labels[10:40] == 1] = 2001
    return values


FORMS = {
    **{f"palette PNG, {n} bits": Form(lambda a, n=n: few_bits_png(a, n, PALETTE), **bits_of(n)) for n in (1, 2, 4, 8)},
    "palette PNG of Pillow": Form(lambda a: pillow(with_palette(a), "PNG", transparency=0)),
    **{f"gray PNG, {n} bits": Form(lambda a, n=n: few_bits_png(a, n), **bits_of(n)) for n in (1, 2, 4)},
    **{
        f"gray TIFF, {n} bits": Form(lambda a, n=n: few_bits_tiff(a, n), "label_suffix: .tif", suffix=".tif", **bits_of(n))
        for n in (1, 8)
    },
    **{
        f"palette TIFF, {n} bits": Form(
            lambda a, n=n: few_bits_tiff(a, n, TIFF_PALETTE, order=">"), "label_suffix: .tiff", suffix=".tiff", **bits_of(n)
        )
        for n in (1, 8)
    },
    "fax TIFF": Form(
        lambda a: pillow(Image.fromarray(a > 0), "TIFF", compression="group4", tiffinfo={262: 1}),
        "label_suffix: .TIF",
        **bits_of(1),
        suffix=".TIF",
    ),
    "16-bit PNG": Form(lambda a: png(a.astype(np.uint16))),
    "16-bit TIFF": Form(lambda a: tiff(a.astype(np.uint16)), "label_suffix: .tif", suffix=".tif"),
    "BMP": Form(bmp, "label_suffix: .bmp", suffix=".bmp"),
    "three equal channels": Form(lambda a: png(np.dstack([a] * 3))),
    "three equal channels of 16 bits": Form(lambda a: png(np.dstack([a.astype(np.uint16)] * 3))),
    "opaque RGBA": Form(lambda a: png(np.dstack([a, a, a, np.full_like(a, 255)]))),
    "gray with alpha": Form(lambda a: pillow(Image.fromarray(a).convert("LA"), "PNG")),
    "colours": Form(lambda a: png(painted(a, COLOURS)), "ignore: [[0, 0, 0]]", colours=True),
    "colours, opaque": Form(
        lambda a: png(np.dstack([painted(a, COLOURS), np.full_like(a, 255)])), "ignore: [255, [0, 0, 0]]", colours=True
    ),
    "colours by a palette": Form(
        lambda a: pillow(with_palette(255 - a, painted(np.arange(255, -1, -1), COLOURS).ravel().tolist()), "PNG"),
        "label_form: colours\nignore: [[0, 0, 0]]",
        colours=True,
    ),
    "0 and 255": Form(lambda a: png(a * 255), "label_map: {0: ground, 255: disc}", classes=2, void=False),
    "0 and 255, painted": Form(
        lambda a: png(np.dstack([a * 255] * 3)), "label_map: {0: ground, 255: disc}", classes=2, void=False
    ),
    "the first label is 1": Form(lambda a: png(moved(a)), "first_label: 1\nignore: [0]"),
    "the first label is 1, ignore_value": Form(lambda a: png(moved(a)), "first_label: 1\nignore_value: 0"),
    "a map of 16 bits": Form(
        lambda a: png(deep(a)), "label_map: {1000: ground, 2000: disc, 2001: disc, 40000: bar}\nignore: [65535]"
    ),
    "another ending": Form(png, "label_suffix: _mask.png", suffix="_mask.png"),
    "an upper case ending": Form(png, suffix=".PNG"),
}


def dataset(root: Path, form: Form) -> Path:
    """The folder data set of coloured shapes with its labels in a form."""
    write_folder_dataset(root)
    for path in sorted(root.glob("labels/*/*.png")):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if form.classes == 2:
            labels[labels == 2] = 0
        if not form.void:
            labels[labels == 255] = 0
        path.unlink()
        path.with_name(path.stem + form.suffix).write_bytes(form.write(labels))
    describe(root, form.says, form.classes, form.colours)
    return root


def describe(root: Path, says: str = "", classes: int = 3, colours: bool = False) -> None:
    lines = [f"  - {{name: {name}, colour: {list(COLOURS[i])}}}" if colours else f"  - {name}" for i, name in enumerate(NAMES)]
    (root / "dataset.yaml").write_text("\n".join(["classes:", *lines[:classes], says, ""]))


def digest(root: Path) -> str:
    """Of every array that reaches the network in an epoch of training, and of the labels of val."""
    train, val = (open_dataset(str(root), split) for split in ("train", "val"))
    stream = TrainingStream(train, DATA, seed=0, batch_size=2, epochs=1)
    arrays = [array for position in range(len(stream)) for array in stream[position]]
    arrays += [read_label(item.label, val.classes) for item in val.items if item.label]
    assert len(arrays) == 2 * len(train) + len(val)
    return hashlib.sha256(b"".join(f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, bool], str]:
    """The arrays of plain 8-bit indices, for the labels that a form can hold."""
    folder = tmp_path_factory.mktemp("plain")
    kinds = {(form.classes, form.void) for form in FORMS.values()}
    return {kind: digest(dataset(folder / f"{kind[0]}{kind[1]}", Form(png, "", *kind))) for kind in kinds}


@pytest.mark.parametrize("name", FORMS)
def test_the_same_arrays_reach_the_network(tmp_path: Path, plain: dict[tuple[int, bool], str], name: str) -> None:
    form = FORMS[name]
    assert digest(dataset(tmp_path / "set", form)) == plain[form.classes, form.void]


def test_a_changed_pixel_changes_the_digest(tmp_path: Path, plain: dict[tuple[int, bool], str]) -> None:
    """The control of the test above."""
    root = dataset(tmp_path / "set", Form(png))
    assert len(set(plain.values())) == len(plain) and digest(root) == plain[3, True]
    path = root / "labels/train/train1.png"
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    labels[24:40, 30:60] = 2 - labels[24:40, 30:60] % 3
    path.write_bytes(png(labels))
    assert digest(root) != plain[3, True]


SAID = {
    "plain": (Form(png), "class indices, stored as 8-bit gray PNG; ignored: 255"),
    "palette": (FORMS["palette PNG, 4 bits"], "class indices, stored as 4-bit palette PNG; ignored: 255"),
    "map": (FORMS["0 and 255"], "values, by label_map, stored as 8-bit gray PNG; ignored: nothing"),
    "first label": (FORMS["the first label is 1"], "class indices from 1 on, stored as 8-bit gray PNG; ignored: 0"),
    "colours": (FORMS["colours"], "the colours of {file}, stored as 8-bit RGB PNG; ignored: [0, 0, 0]"),
    "equal channels": (FORMS["three equal channels"], "class indices, stored as 8-bit RGB PNG; ignored: 255"),
    "TIFF": (FORMS["palette TIFF, 8 bits"], "class indices, stored as 8-bit palette TIFF; ignored: 255"),
}


@pytest.mark.parametrize("name", SAID)
def test_one_line_says_how_labels_are_read(tmp_path: Path, name: str) -> None:
    form, said = SAID[name]
    root = dataset(tmp_path / "set", form)
    wanted = f"labels: {said.replace('{file}', str(root / 'dataset.yaml'))}"
    assert [open_dataset(str(root), split).labels for split in ("train", "val")] == [wanted] * 2
    assert open_dataset(str(root), "val", with_labels=False).labels == ""


def colour(root: Path, *paths: str, as_png: Callable[[np.ndarray], bytes] = lambda a: png(painted(a, COLOURS))) -> None:
    for path in paths:
        labels = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
        (root / path).write_bytes(as_png(labels))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["one channel first", "colours first", "black first", "black alone"])
def test_the_whole_data_set_decides_whichever_split_is_opened(tmp_path: Path, split: str, name: str) -> None:
    """Train's labels come before val's. A black image shows nothing, and the next label decides."""
    root = dataset(tmp_path / "set", Form(png, "ignore: [255, [0, 0, 0]]", colours=True))
    labels = sorted(str(path.relative_to(root)) for path in root.glob("labels/*/*.png"))
    assert labels[0].startswith("labels/train")
    if name == "colours first":
        colour(root, labels[0])
    elif name == "black first":
        colour(root, *labels)
        (root / labels[0]).write_bytes(png(np.zeros((64, 96, 3), np.uint8)))
    elif name == "black alone":
        for path in labels:
            (root / path).write_bytes(png(np.zeros((64, 96, 3), np.uint8)))
    form = open_dataset(str(root), split).classes.labelling.form
    assert form == {"one channel first": "indices", "black alone": "indices"}.get(name, "colours")


def test_a_label_that_contradicts_the_first_is_named(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", Form(png, "ignore: [255, [0, 0, 0]]", colours=True))
    colour(root, "labels/val/val1.png")
    val = open_dataset(str(root), "val")
    read_label(val.items[0].label, val.classes)
    with pytest.raises(
        DataError,
        match=r"val1\.png has the colour \[\d+, \d+, \d+\] at row \d+, column \d+, and the first labels of its data set "
        "hold class indices; save all in one way",
    ):
        read_label(val.items[1].label, val.classes)
    colour(root, *(f"labels/train/train{index}.png" for index in range(4)))
    val = open_dataset(str(root), "val")
    with pytest.raises(
        DataError, match=r"val0\.png has one channel, and the first labels of its data set hold colours; save all in"
    ):
        read_label(val.items[0].label, val.classes)


QUESTION = (
    r"the labels, such as .*train0\.png, hold 0 and 255 alone, and .*dataset\.yaml lists two classes: write in it "
    r"label_map: \{0: ground, 255: disc\} if 255 is 'disc', or ignore: \[255\] if those pixels do not count$"
)


def masks_of_0_and_255(root: Path, says: str = "", classes: int = 2) -> Path:
    return dataset(root, Form(lambda a: png(np.where(a == 1, 255, 0).astype(np.uint8)), says, classes, void=False))


@pytest.mark.parametrize("split", ["train", "val"])
def test_what_255_means_is_asked(tmp_path: Path, split: str) -> None:
    root = masks_of_0_and_255(tmp_path / "set")
    with pytest.raises(DataError, match=QUESTION):
        open_dataset(str(root), split)
    assert len(open_dataset(str(root), split, with_labels=False)) > 0


def test_names_may_need_quotes_in_the_answer(tmp_path: Path) -> None:
    root = masks_of_0_and_255(tmp_path / "set")
    (root / "dataset.yaml").write_text('classes: ["no", "a: b"]')
    with pytest.raises(DataError, match=r"label_map: \{0: 'no', 255: 'a: b'\} if"):
        open_dataset(str(root), "train")


@pytest.mark.parametrize(
    ("says", "classes"), [("ignore: [255]", 2), ("ignore_value: 255", 2), ("label_map: {0: ground, 255: disc}", 2), ("", 3)]
)
def test_an_answer_is_not_asked_for_again(tmp_path: Path, says: str, classes: int) -> None:
    """Of three classes two would be missing, which the check before training says."""
    root = masks_of_0_and_255(tmp_path / "set", says, classes)
    train = open_dataset(str(root), "train")
    labels = np.stack([read_label(item.label, train.classes) for item in train.items])
    assert set(np.unique(labels).tolist()) == ({0, 1} if says.startswith("label_map") else {0, 255})


def test_one_label_of_val_that_holds_the_class_is_an_answer(tmp_path: Path) -> None:
    root = masks_of_0_and_255(tmp_path / "set")
    (root / "labels/val/val1.png").write_bytes(png(np.ones((64, 96), np.uint8)))
    assert len(open_dataset(str(root), "train")) == 4


REFUSED = {
    "JPEG": (cv2.imencode(".jpg", np.zeros((4, 6), np.uint8))[1].tobytes(), "is a JPEG, whose compression changes labels"),
    "lossy WebP": (pillow(Image.fromarray(np.zeros((4, 6), np.uint8)), "WEBP"), "is a lossy WebP, whose compression changes"),
    "see-through": (
        png(np.dstack([np.zeros((4, 6, 3), np.uint8), np.where(np.eye(4, 6), 0, 255).astype(np.uint8)])),
        "is transparent at row 0, column 0; expected a value or colour in every pixel: save it without transparency",
    ),
    "0 is white": (few_bits_tiff(np.eye(4, 6), 1, WHITE_IS_ZERO), "is a TIFF in which 0 is white"),
    "a TIFF of 4 bits": (
        few_bits_tiff(np.eye(4, 6), 4),
        "is a TIFF of 4 bits a pixel; expected 1, 8 or 16: save the labels as PNG",
    ),
    "16-bit colours": (
        png(np.dstack([np.eye(4, 6, dtype=np.uint16), *[np.zeros((4, 6), np.uint16)] * 2])),
        "holds colours of 16 bits; expected 8 bits a channel",
    ),
    "16-bit value": (
        png(np.full((4, 6), 1000, np.uint16)),
        r"has label 1000 at row 0, column 0; expected a class index 0\.\.18 or the ignore value 255",
    ),
    "colours": (
        png(np.dstack([np.eye(4, 6, dtype=np.uint8), *[np.zeros((4, 6), np.uint8)] * 2])),
        (
            r"has the colour \[1, 0, 0\] at row 0, column 0, and no class has a colour: write each class in a dataset\.yaml as "
            r"\{name: road, colour: \[128, 64, 128\]\}, with the colour that it has in the labels"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_label_is_named(tmp_path: Path, name: str) -> None:
    data, message = REFUSED[name]
    (tmp_path / "label.png").write_bytes(data)
    with pytest.raises(DataError, match=rf"label\.png {message}"):
        read_label(tmp_path / "label.png", CITYSCAPES)


MISTAKES = {
    "an unknown colour": (
        FORMS["colours"],
        "",
        (
            r"train1\.png has the colour \[31, 91, 199\] at row 5, column 7, which means no class; the nearest, \[30, 90, 200\], "
            r"is that of 'bar': repaint it, or name this colour in .*dataset\.yaml, for a class or in ignore"
        ),
    ),
    "no colours": (
        FORMS["colours"],
        "classes: [ground, disc, bar]",
        r"train0\.png and the other labels hold colours, and no class has a colour: write each class in .*dataset\.yaml as",
    ),
    "one colour missing": (
        FORMS["colours"],
        "classes: [{name: ground, colour: [90, 60, 40]}, disc, {name: bar, colour: [30, 90, 200]}]",
        r"hold colours, and class 'disc' has no colour: write each class in",
    ),
    "one colour twice": (
        FORMS["colours"],
        "classes: [{name: a, colour: [9, 6, 4]}, {name: b, colour: [9, 6, 4]}]",
        r"hold colours, and classes 'a' and 'b' of .*dataset\.yaml have one colour, \[9, 6, 4\]: give each its own",
    ),
    "colours, and values stated": (
        FORMS["colours"],
        "classes: [ground, disc, bar]\nlabel_form: indices",
        r"train0\.png has the colour .*, and .*dataset\.yaml says that labels hold values; save the label with one channel, or",
    ),
    "a value beyond the map": (
        FORMS["a map of 16 bits"],
        "classes: [ground, disc, bar]\nlabel_map: {1000: ground, 2000: disc}\nignore: [65535]",
        r"has label \d+ at row \d+, column \d+; expected a value of label_map \(1000, 2000\) or the ignore value 65535",
    ),
    "a value below the first": (
        FORMS["the first label is 1"],
        "classes: [ground, disc, bar]\nfirst_label: 1",
        r"train0\.png has label 0 at row 0, column 0; expected a class index 1\.\.3 or the ignore value 255",
    ),
    "nothing is ignored": (
        Form(png),
        "classes: [ground, disc, bar]\nignore: []",
        r"train0\.png has label 255 at row 0, column 0; expected a class index 0\.\.2$",
    ),
    "two are ignored": (
        Form(png),
        "classes: [ground, disc]\nignore: [255, 7]",
        r"has label 2 at row \d+, column \d+; expected a class index 0\.\.1 or the ignore values 7, 255$",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_labels(tmp_path: Path, name: str) -> None:
    form, description, message = MISTAKES[name]
    root = dataset(tmp_path / "set", form)
    if description:
        (root / "dataset.yaml").write_text(description)
    else:
        path = root / "labels/train/train1.png"
        stored = cv2.imread(str(path))
        stored[5, 7] = (199, 91, 31)
        cv2.imwrite(str(path), stored)
    with pytest.raises(DataError, match=message) as raised:
        train = open_dataset(str(root), "train")
        for item in train.items:
            read_label(item.label, train.classes)
    assert "\n" not in str(raised.value)


def test_a_broken_label_decides_nothing(tmp_path: Path) -> None:
    """It is named with the others when they are read."""
    root = dataset(tmp_path / "set", FORMS["colours"])
    first = root / "labels/train/train0.png"
    first.write_bytes(first.read_bytes()[:-9])
    assert open_dataset(str(root), "train").classes.labelling.form == "colours"
    shutil.rmtree(root / "images/val")
    assert open_dataset(str(root), "train").classes.labelling.form == "colours"
