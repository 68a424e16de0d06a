"""How a data set's labels are stored is decided once; what could mean two things is a question; what cannot be read is named."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests.data.label_files import WHITE_IS_ZERO, few_bits_tiff, painted, pillow, png, with_palette
from parity_tests.data.label_sets import COLOURS, FORMS, Form, dataset, describe, digest
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import read_label
from segformer_core.data.layout import open_dataset
from segformer_core.data.stored_label import read_stored
from segformer_core.errors import DataError


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


def test_labels_that_show_nothing_are_decoded_in_threads_and_once_for_two_splits(tmp_path: Path, monkeypatch) -> None:
    root = dataset(tmp_path / "set", Form(lambda a: png(np.dstack([a] * 3))))
    read: list[tuple[str, int]] = []

    def counted(path: Path) -> np.ndarray:
        read.append((path.name, threading.get_ident()))
        return read_stored(path)

    monkeypatch.setattr("segformer_core.data.label_form.read_stored", counted)
    train = open_dataset(str(root), "train")
    shown = read[:6]
    assert sorted(name for name, _ in shown) == [*(f"train{index}.png" for index in range(4)), "val0.png", "val1.png"]
    assert shown[0] == ("train0.png", threading.get_ident()) and threading.get_ident() not in {thread for _, thread in shown[1:]}
    del read[:]
    val = open_dataset(str(root), "val", sibling=train)
    assert read == [] and len(val) == 2 and (val.classes.labelling, val.labels) == (train.classes.labelling, train.labels)
    assert val.classes.labelling.form == "indices" and open_dataset(str(root), "val") == val


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


def test_what_255_means_is_asked_of_any_number_of_classes(tmp_path: Path) -> None:
    root = masks_of_0_and_255(tmp_path / "set", classes=3)
    with pytest.raises(
        DataError,
        match=r"hold 0 and 255 alone, and .*dataset\.yaml lists 3 classes: write in it label_map: \{0: ground, 255: disc\} if "
        r"255 is 'disc' \(or name another class\), or ignore: \[255\] if those pixels do not count$",
    ):
        open_dataset(str(root), "train")


def test_names_may_need_quotes_in_the_answer(tmp_path: Path) -> None:
    root = masks_of_0_and_255(tmp_path / "set")
    (root / "dataset.yaml").write_text('classes: ["no", "a: b"]')
    with pytest.raises(DataError, match=r"label_map: \{0: 'no', 255: 'a: b'\} if"):
        open_dataset(str(root), "train")


def renumbered(labels: np.ndarray) -> bytes:
    """As a program saves a picture of few colours: the palette has the classes' colours in another order."""
    order = np.array([2, 0, 1, *range(3, 256)], np.uint8)
    return pillow(with_palette(order[labels], painted(np.argsort(order), COLOURS).ravel().tolist()), "PNG")


def test_whether_a_palettes_colours_count_is_asked(tmp_path: Path) -> None:
    plain = digest(dataset(tmp_path / "plain", Form(png)))
    root = dataset(tmp_path / "set", Form(renumbered, "ignore: [255, [0, 0, 0]]", colours=True))
    with pytest.raises(
        DataError,
        match=r"train0\.png has a palette in which the index at row 0, column 2 is class '\w+', and its colour class '\w+': "
        r"write label_form: indices in .*dataset\.yaml if the index counts, or label_form: colours if the colour does$",
    ):
        open_dataset(str(root), "val")
    describe(root, "ignore: [255, [0, 0, 0]]\nlabel_form: colours", colours=True)
    assert digest(root) == plain
    describe(root, "ignore: [255]\nlabel_form: indices", colours=True)
    assert digest(root) != plain


def test_a_palette_of_the_same_or_of_other_colours_is_no_question(tmp_path: Path) -> None:
    plain = digest(dataset(tmp_path / "plain", Form(png)))
    own = painted(np.arange(256), COLOURS).ravel().tolist()
    for name, palette in (("own", own), ("another", [*own[3:6], *own[:3], 1, 2, 3, *own[9:]])):
        form = Form(lambda a, palette=palette: pillow(with_palette(a, palette), "PNG"), "ignore: [255, [0, 0, 0]]", colours=True)
        assert digest(dataset(tmp_path / name, form)) == plain


@pytest.mark.parametrize(
    "says", ["ignore: [255]", "ignore_value: 255", "label_map: {0: ground, 255: disc}", "ignore: [255, [0, 0, 0]]"]
)
def test_an_answer_is_not_asked_for_again(tmp_path: Path, says: str) -> None:
    root = masks_of_0_and_255(tmp_path / "set", says)
    train = open_dataset(str(root), "train")
    labels = np.stack([read_label(item.label, train.classes) for item in train.items])
    assert set(np.unique(labels).tolist()) == ({0, 1} if says.startswith("label_map") else {0, 255})


def test_one_label_of_val_that_holds_the_class_is_an_answer(tmp_path: Path) -> None:
    root = masks_of_0_and_255(tmp_path / "set")
    (root / "labels/val/val1.png").write_bytes(png(np.ones((64, 96), np.uint8)))
    assert len(open_dataset(str(root), "train")) == 4


BLACK = Image.fromarray(np.zeros((4, 6), np.uint8))
LOSSY_WEBP = "is a lossy WebP, whose compression changes labels; save the labels anew, as PNG"
LOSSY_TIFF = "is a JPEG-compressed TIFF, whose compression changes labels; save the labels anew, as PNG"

REFUSED = {
    "JPEG": (cv2.imencode(".jpg", np.zeros((4, 6), np.uint8))[1].tobytes(), "is a JPEG, whose compression changes labels"),
    "lossy WebP": (pillow(BLACK, "WEBP"), LOSSY_WEBP),
    "lossy WebP with a profile": (pillow(BLACK, "WEBP", icc_profile=b"profile"), LOSSY_WEBP),
    "lossy WebP with EXIF": (pillow(BLACK, "WEBP", exif=b"Exif\0\0II*\0"), LOSSY_WEBP),
    "lossy WebP of two pictures": (
        pillow(BLACK, "WEBP", save_all=True, append_images=[Image.fromarray(np.full((4, 6), 255, np.uint8))]),
        LOSSY_WEBP,
    ),
    "TIFF with JPEG compression": (pillow(BLACK, "TIFF", compression="jpeg"), LOSSY_TIFF),
    "TIFF of JPEG's old kind": (few_bits_tiff(np.eye(4, 6), 8, compression=6), LOSSY_TIFF),
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


@pytest.mark.parametrize("profile", [b"", b"VP8 profile"])
def test_a_lossless_webp_is_a_label(tmp_path: Path, profile: bytes) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6) % 19
    (tmp_path / "label.webp").write_bytes(pillow(Image.fromarray(labels), "WEBP", lossless=True, icc_profile=profile))
    assert np.array_equal(read_label(tmp_path / "label.webp", CITYSCAPES), labels)


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
