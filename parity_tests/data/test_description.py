"""dataset.yaml: every key of it, and one sentence for each mistake."""

import re
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from segformer_core.data.classes import Labelling
from segformer_core.data.colours import class_colours, voc_colour
from segformer_core.data.description import KEYS, read_classes, read_description
from segformer_core.data.split_files import Files, Places
from segformer_core.errors import DataError

ABC = "classes: [a, b, c]\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "dataset.yaml"
    path.write_text(text)
    return path


LABELLINGS = {
    ABC: Labelling(),
    f"{ABC}ignore_value: 9": Labelling(ignore=(9,)),
    f"{ABC}ignore: [255, 65535, [0, 0, 0]]": Labelling(ignore=(255, 65535), ignored_colours=((0, 0, 0),)),
    f"{ABC}ignore: []": Labelling(ignore=()),
    f"{ABC}first_label: 0": Labelling(),
    f"{ABC}first_label: 1\nignore: [0]": Labelling("indices", True, ((1, 0), (2, 1), (3, 2)), (0,)),
    f"{ABC}label_map: {{7: a, 8: a, 300: c}}": Labelling("indices", True, ((7, 0), (8, 0), (300, 2)), mapped=True),
    f"{ABC}label_form: indices": Labelling("indices", True),
    f"{ABC}label_form: auto": Labelling(),
    "classes: [{name: a, colour: [1, 2, 3]}, b]": Labelling(colours=(((1, 2, 3), 0),)),
    "classes: [{name: a, colour: [1, 2, 3]}]\nlabel_form: colours": Labelling("colours", True, colours=(((1, 2, 3), 0),)),
}


@pytest.mark.parametrize("text", LABELLINGS)
def test_how_labels_are_stored(tmp_path: Path, text: str) -> None:
    assert read_classes(written(tmp_path, text)).labelling == LABELLINGS[text]


def test_255_is_ignored_unless_it_is_a_class() -> None:
    assert Labelling().ignored_values(3) == (255,)
    assert Labelling(values=((0, 0), (255, 1))).ignored_values(2) == ()
    assert Labelling(values=tuple((index + 1, index) for index in range(255))).ignored_values(255) == ()


FILES = {
    "": Files(),
    "label_suffix: _mask.png\nimage_suffix: .jpg": Files("_mask.png", ".jpg"),
    "splits: {train: {images: a/b, labels: c}, val: {images: [d, /e], labels: [f, g], list: val.txt}, test: {images: h}}": Files(
        splits={
            "train": Places((Path("a/b"),), (Path("c"),)),
            "val": Places((Path("d"), Path("/e")), (Path("f"), Path("g")), Path("val.txt")),
            "test": Places((Path("h"),), ()),
        }
    ),
}


@pytest.mark.parametrize("text", FILES)
def test_where_the_files_are(tmp_path: Path, text: str) -> None:
    assert read_description(written(tmp_path, ABC + text)).files == FILES[text]


def test_colours_are_made_where_none_is_written(tmp_path: Path) -> None:
    """Pascal VOC's map without its black: aeroplane, bicycle, bird, …"""
    made = read_classes(written(tmp_path, "classes: [a, {name: b, colour: [0, 128, 0]}, c, d]\nignore: [[128, 128, 0]]")).colours
    assert made == ((128, 0, 0), (0, 128, 0), (0, 0, 128), (128, 0, 128))
    assert [voc_colour(index) for index in (0, 7, 8, 19, 255)] == [
        (0, 0, 0),
        (128, 128, 128),
        (64, 0, 0),
        (128, 192, 0),
        (224, 224, 192),
    ]


def test_every_class_has_a_colour_of_its_own() -> None:
    many = class_colours([None] * 255)
    assert len({*many, (0, 0, 0)}) == 256 and many == class_colours([None] * 255)
    given = np.random.default_rng(0).permutation(255)[:100]
    mixed = class_colours([many[index] if index in given else None for index in range(255)])
    assert len(set(mixed)) == 255 and all(mixed[index] == many[index] for index in given)


def test_the_page_lists_every_key_and_its_examples_are_read(tmp_path: Path) -> None:
    page = (ROOT / "docs/your-data.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \|", page.partition("### All keys of dataset.yaml")[2].partition("Stored values")[0], re.MULTILINE
    )
    assert tuple(rows) == KEYS
    examples = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "splits:" in text]
    assert len(examples) == 2
    for text in examples:
        description = read_description(written(tmp_path, text if "classes:" in text else ABC + text))
        assert set(description.files.splits) == {"train", "val"}


MISTAKES = {
    "names: [a]": "has an unknown key 'names'; expected classes, ignore, ignore_value, first_label, label_map, label_form, "
    "label_suffix, image_suffix, splits$",
    "ignore_value: 255": r"lists no classes; expected classes: \[{name: road, colour: \[128, 64, 128\]}, …\]$",
    "classes: []": "lists no classes",
    "classes: [road, no]": "class 1: False; expected {name: .*}, colours 0..255, or the name alone; put words such as no and",
    "classes: [1]": "class 0: 1; expected",
    "classes: [{name: a, colour: [1, 2]}]": "class 0: .*; expected",
    "classes: [{name: a, colour: }]": "class 0: .*; expected",
    "classes: [{name: a, colour: [1, 2, 256]}]": "colours 0..255",
    "classes: [{name: a, color: [1, 2, 3]}]": "class 0: {'color': .*; expected {name: road, colour: ",
    "classes: [{name: a, colour: [1, 2, 3]}, {name: a, colour: [1, 2, 3]}]": "names class 'a' twice",
    "classes: [a, b, a]": "names class 'a' twice",
    f"{ABC}ignore: 255": r"ignore is 255; expected a list of values and colours: \[255\] or \[0, \[0, 0, 0\]\]",
    f"{ABC}ignore: [-1]": "ignore holds -1; expected values 0..65535 and colours such as",
    f"{ABC}ignore: [65536]": "ignore holds 65536; expected values 0..65535",
    f"{ABC}ignore: [true]": "ignore holds True; expected",
    f"{ABC}ignore: [[0, 0]]": r"ignore holds \[0, 0\]; expected",
    f"{ABC}ignore: [0, 0, 0]": r"ignore is \[0, 0, 0\], with one of them twice; a colour stands in brackets: \[\[0, 0, 0\]\]",
    f"{ABC}ignore: [255]\nignore_value: 255": "has ignore and ignore_value, which say the same in two ways; keep one of them",
    f"{ABC}ignore_value: many": "ignore_value is 'many'; expected a stored value, 0..65535",
    f"{ABC}first_label: one": "first_label is 'one'; expected the stored value of the first class, 0..65533",
    f"{ABC}first_label: 65534": "first_label is 65534; expected",
    f"{ABC}first_label: 1\nlabel_map: {{1: a}}": "has first_label and label_map, which say the same",
    f"{ABC}label_map: [a]": r"label_map is \['a'\]; expected values and names of classes: {7: road, 8: road}",
    f"{ABC}label_map: {{}}": "label_map is {}; expected",
    f"{ABC}label_map: {{a: 7}}": "label_map has the value 'a'; expected 0..65535",
    f"{ABC}label_map: {{7: d}}": r"label_map maps 7 to 'd', which classes does not list; expected one of its names "
    r"\('a, b, c'\); values that do not count stand in ignore",
    f"{ABC}label_map: {{7: [a]}}": r"label_map maps 7 to \['a'\], which",
    f"{ABC}label_map: {{7: }}": "label_map maps 7 to None, which",
    f"{ABC}label_form: colors": "label_form is 'colors'; expected auto, indices, colours",
    f"{ABC}label_form: [a]": r"label_form is \['a'\]; expected",
    f"{ABC}label_form: colours": "has label_form: colours, and no class has a colour: write each class in .*dataset.yaml as",
    "classes: [{name: a, colour: [1, 2, 3]}]\nlabel_form: colours\nfirst_label: 1": "has label_form: colours and first_label",
    f"{ABC}ignore: [0]": r"ignores label 0, and label 0 is the first of its 3 classes, 'a': if the labels are 1..3, write "
    "first_label: 1; if label 0 is 'a', do not ignore 0$",
    f"{ABC}ignore_value: 0": "ignores label 0, and label 0 is the first of its 3 classes",
    f"{ABC}ignore: [2]": "ignores label 2, which is class 'c'; do not ignore it, or take the class out",
    f"{ABC}first_label: 1\nignore: [1]": "ignores label 1, which is class 'a'",
    f"{ABC}label_map: {{0: a, 255: b}}\nignore: [255]": "ignores label 255, and label_map maps it to 'b'; take it out of one",
    "classes: [{name: a, colour: [0, 0, 0]}]\nignore: [[0, 0, 0]]": r"ignores the colour \[0, 0, 0\], which is class 'a'",
    f"{ABC}label_suffix: png": "label_suffix is 'png'; expected the end of a file's name, such as .png or _mask.png",
    f"{ABC}label_suffix: ''": "label_suffix is ''; expected",
    f"{ABC}image_suffix: a/b.png": "image_suffix is 'a/b.png'; expected",
    f"{ABC}image_suffix: 7": "image_suffix is 7; expected",
    f"{ABC}splits: [train]": r"splits is \['train'\]; expected train: {images: FOLDER, labels: FOLDER}, each a folder or a list",
    f"{ABC}splits: {{}}": "splits is {}; expected train: ",
    f"{ABC}splits: {{train: images}}": "split 'train' is 'images'; expected {images: ",
    f"{ABC}splits: {{train: {{labels: a}}}}": "split 'train' is {'labels': 'a'}; expected",
    f"{ABC}splits: {{train: {{images: a, mask: b}}}}": "split 'train' is .*; expected",
    f"{ABC}splits: {{1: {{images: a}}}}": "split 1 is .*; expected",
    f"{ABC}splits: {{train: {{images: []}}}}": "images of split train is empty; expected a folder or a list of folders",
    f"{ABC}splits: {{train: {{images: [a, 7]}}}}": "images of split train is 7; expected a path relative to the data path",
    f"{ABC}splits: {{train: {{images: ../a}}}}": "images of split train is '../a', which leads out of the data path; write",
    f"{ABC}splits: {{train: {{images: a, list: }}}}": "list of split train is None; expected a path",
    f'{ABC}splits: {{train: {{images: "a\\0b"}}}}': "images of split train is .*: it holds a NUL character",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_a_description(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=MISTAKES[text]) as raised:
        read_description(written(tmp_path, text))
    assert str(raised.value).startswith(str(tmp_path / "dataset.yaml")) and "\n" not in str(raised.value)
