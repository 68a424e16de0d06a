"""What masks store becomes classes where that is plain, and a question where it is not."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from parity_tests.making.samples import SIZE, colour_mask, flat, made, mask, photo, refused

RED, GREEN = [200, 0, 0], [0, 200, 0]


def palette_png(path, pixels: np.ndarray, colours) -> None:
    """An 8-bit PNG with a palette, written by hand."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 3, 0, 0, 0)
    parts = (b"IHDR", header), (b"PLTE", bytes(np.uint8(colours).ravel())), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def names(content: dict) -> list[str]:
    return [entry["name"] for entry in content["classes"]]


def test_masks_of_0_and_255_are_a_question_with_two_answers(tmp_path, capsys):
    words = flat(tmp_path, (0, 255))
    said = refused(tmp_path, capsys, *words)
    assert "the masks hold 0 and 255, and 255 is either a class or does not count: if it is a class, say --label_map " in said
    assert "0:background,255:object with your own names; if it does not count, say --ignore 255" in said
    said = refused(tmp_path, capsys, *words, "--classes", "cell,membrane")
    assert "say --label_map 0:cell,255:membrane; if it does not count" in said


def test_the_first_answer(tmp_path):
    content = made(tmp_path, *flat(tmp_path, (0, 255)), "--label_map", "0:cell,255:membrane")
    assert (names(content), content["label_map"], content["ignore"]) == (["cell", "membrane"], {0: "cell", 255: "membrane"}, [])
    assert "first_label" not in content


def test_the_second_answer(tmp_path):
    content = made(tmp_path, *flat(tmp_path, (0, 255)), "--ignore", "255", "--classes", "a,b")
    assert (names(content), content["ignore"], content["first_label"]) == (["a", "b"], [255], 0)


@pytest.mark.parametrize("values", [(255,), (0, 128, 255), (0, 85, 170, 255), (1, 255)])
def test_other_values_with_255_that_are_not_plain(values, tmp_path, capsys):
    assert "255 is either a class or does not count" in refused(tmp_path, capsys, *flat(tmp_path, values))


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        ((0, 1, 255), [], (["class_0", "class_1"], None, [255])),
        ((1, 2, 3), [], (["class_1", "class_2", "class_3"], {1: "class_1", 2: "class_2", 3: "class_3"}, [255])),
        ((0, 7, 300), [], (["class_0", "class_7", "class_300"], {0: "class_0", 7: "class_7", 300: "class_300"}, [255])),
        ((0, 2, 255), ["--classes", "a,b,c"], (["a", "b", "c"], None, [255])),
        ((0, 1, 2), ["--ignore", "0"], (["class_1", "class_2"], {1: "class_1", 2: "class_2"}, [0])),
        ((0, 1, 2), ["--classes", "a,b", "--first_label", "1", "--ignore", "0"], (["a", "b"], None, [0])),
        ((0, 7, 8), ["--label_map", "0:road,7:road,8:car"], (["road", "car"], {0: "road", 7: "road", 8: "car"}, [255])),
        ((0, 6, 7, 8), ["--label_map", "7:road,8:car", "--ignore", "0", "6"], (["road", "car"], {7: "road", 8: "car"}, [0, 6])),
    ],
)
def test_what_the_values_become(values, words, expected, tmp_path):
    content = made(tmp_path, *flat(tmp_path, values), *words)
    assert (names(content), content.get("label_map"), content["ignore"]) == expected
    assert content.get("first_label") == (None if expected[1] else 1 if "--first_label" in words else 0)


@pytest.mark.parametrize(
    ("values", "words", "sentence"),
    [
        ((0, 1, 5), ["--classes", "a,b"], "value 5 at row 0, column 2, which is no class of 2, 0 to 1, and not ignored"),
        ((0, 1, 2), ["--classes", "a,b"], "if the labels are 1 to 2, say --first_label 1 --ignore 0"),
        ((1, 2), ["--classes", "a,b"], "if the labels are 1 to 2, say --first_label 1"),
        ((0, 1, 2), ["--classes", "a,b,c", "--ignore", "0"], "value 0 is ignored and is the label of class 'a'; take it out"),
        (
            (0, 1),
            ["--label_map", "0:a,1:a,2:b", "--classes", "a,c"],
            "the label map leads to 'b', which is no class of --classes",
        ),
        ((0, 1), ["--label_map", "0:a"], "value 1 at row 0, column 1, which is in neither the label map nor ignored"),
        ((0, 1), ["--label_map", "0:a,1:b", "--ignore", "1"], "value 1 is ignored and is 'b' in the label map"),
        ((0,), [], "all masks hold the value 0 alone; there is nothing to tell apart"),
        (
            (0, 7),
            ["--label_map", "7:car", "--ignore", "0"],
            "the masks have one class, 'car'; expected at least two, to tell apart: name the others with --classes",
        ),
        ((0, 255), ["--classes", "a", "--ignore", "255"], "the masks have one class, 'a'; expected at least two"),
        ((0, 1), ["--ignore", "0", "1"], "all masks hold ignored values alone (0, 1)"),
        (tuple(range(100)), ["--ignore", "255"], "the masks hold 100 different values"),
        ((0, 1), ["--classes", "a,a"], "--classes names class 'a' twice"),
        ((0, 1), ["--classes", "a,,b"], "--classes, class 1: '' is no name"),
        ((0, 1), ["--label_map", "0-a"], "'0-a' is no label map; expected stored values and classes"),
        ((0, 1), ["--label_map", "0:a,0:b"], "holds a value twice"),
        ((0, 1), ["--first_label", "1", "--label_map", "0:a,1:b"], "--first_label and --label_map both say which value is"),
        ((0, 1), ["--ignore", "1,2"], "'1,2' is no stored value; expected an index such as 255, or a colour"),
        (
            (0, 255),
            ["--ignore", "255"],
            "all masks hold the value 0 alone but for what is ignored; there is nothing to tell apart",
        ),
        ((0, 1), ["--ignore", "void"], "--ignore void: expected stored values, such as 255, or 0,0,0"),
        ((0, 1), ["--unlabelled", "ignore"], "--unlabelled is for annotations; leave it out"),
    ],
)
def test_each_mistake_is_one_sentence(values, words, sentence, tmp_path, capsys):
    size = (10, 12) if len(values) > SIZE[0] * SIZE[1] else SIZE
    source = flat(tmp_path, values[:5])
    if size != SIZE:
        photo(tmp_path / "photos/p0.jpg", size)
        mask(tmp_path / "masks/p0.png", values, size)
    assert sentence in refused(tmp_path, capsys, *source, *words)


def test_the_first_label_is_any_stored_value(tmp_path):
    content = made(tmp_path, *flat(tmp_path, (1000, 1001)), "--classes", "a,b", "--first_label", "1000")
    assert content["first_label"] == 1000


def test_colours_with_a_file_of_names(tmp_path):
    words = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        colour_mask(path, [RED, GREEN, [0, 0, 0]])
    forms = {"lines": "road 200 0 0\ntree 0 200 0\n", "cvat": "# label:color_rgb:parts:actions\nroad:200,0,0::\ntree:0,200,0::\n"}
    forms["camvid"] = "200 0 0 road\n0 200 0\ttree\n"
    for form, text in forms.items():
        (tmp_path / "colours.txt").write_text(text)
        content = made(tmp_path, *words, "--colours", tmp_path / "colours.txt", "--ignore", "0,0,0")
        assert content == {
            "classes": [{"name": "road", "colour": RED}, {"name": "tree", "colour": GREEN}],
            "ignore": [[0, 0, 0]],
            "label_form": "colours",
            "label_suffix": ".png",
        }, form
        (tmp_path / "new").rename(tmp_path / form)


def test_colours_without_names(tmp_path):
    words = flat(tmp_path)
    for index, path in enumerate(sorted((tmp_path / "masks").iterdir())):
        colour_mask(path, [[90, 90, 90]] if index else [GREEN, RED])  # the other masks alone would be indices
    content = made(tmp_path, *words)
    assert content["label_form"] == "colours"
    assert [(entry["name"], entry["colour"]) for entry in content["classes"]] == [
        ("class_0", GREEN),
        ("class_1", [90, 90, 90]),
        ("class_2", RED),
    ]


def test_one_colour_and_what_is_ignored_are_no_data_set(tmp_path, capsys):
    words = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        colour_mask(path, [RED, [0, 0, 0]])
    assert "the masks have one class, 'class_0'; expected at least two" in refused(tmp_path, capsys, *words, "--ignore", "0,0,0")


@pytest.mark.parametrize(
    ("lines", "words", "sentence"),
    [
        ("road 200 0 0\n", [], "has the colour 0,200,0 at row 0, column 1, which is no class of"),
        ("road 200 0 0\ntree 0 200 0\n", ["--ignore", "200,0,0"], "the colour of 'road' is ignored, too"),
        ("road 200 0 0\ntree 200 0 0\n", [], "gives two classes one colour"),
        ("road 200 0\n", [], "colours.txt, line 1: 'road 200 0'; expected a name and its colour, such as road 128 64 128"),
        ("road 200 0 0\n\nx 0 300 0\n", [], "colours.txt, line 3: "),
        ("road 200 0 0\ntree 0 200 0\n", ["--classes", "road,bush"], "names none for 'bush'; give a file of lines"),
        ("road 200 0 0\ntree 0 200 0\n", ["--label_form", "indices"], "label_form is indices and"),
        (
            "road 200 0 0\ntree 0 200 0\n",
            ["--ignore", "0"],
            "an index is ignored and the masks store colours; give the colour in its place, as --ignore 0,0,0",
        ),
        (
            "road 200 0 0\n",
            ["--ignore", "0,200,0"],
            "the masks have one class, 'road'; expected at least two, to tell apart: name the others with --colours FILE",
        ),
        ("road 200 0 0\n", ["--ignore", "0,200,0", "0"], "an index is ignored and the masks store colours"),
        ("road 200 0 0\ntree 0 200 0\n", ["--label_map", "0:road,1:tree"], "a label map is given, which is for indices, and"),
        ("road 200 0 0\ntree 0 200 0\n", ["--first_label", "1"], "first_label is given, which is for indices, and the masks"),
    ],
)
def test_each_mistake_with_colours_is_one_sentence(lines, words, sentence, tmp_path, capsys):
    source = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        colour_mask(path, [RED, GREEN])
    (tmp_path / "colours.txt").write_text(lines)
    assert sentence in refused(tmp_path, capsys, *source, "--colours", tmp_path / "colours.txt", *words)


def test_masks_of_two_kinds_are_refused(tmp_path, capsys):
    words = flat(tmp_path)
    colour_mask(tmp_path / "masks/p3.png", [RED, GREEN])
    assert "p3.png holds colours and " in refused(tmp_path, capsys, *words)


def test_three_equal_channels_are_indices(tmp_path):
    words = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        colour_mask(path, [[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    assert (content := made(tmp_path, *words))["label_form"] == "indices" and len(content["classes"]) == 3


def test_a_palette_gives_the_colours(tmp_path, capsys):
    words = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        palette_png(path, np.eye(6, 8), [RED, GREEN])
    content = made(tmp_path, *words, "--classes", "road,tree")
    assert content["classes"] == [{"name": "road", "colour": RED}, {"name": "tree", "colour": GREEN}]
    (tmp_path / "new").rename(tmp_path / "old")
    (tmp_path / "colours.txt").write_text("tree 0 200 0\nroad 200 0 0\n")
    said = refused(tmp_path, capsys, *words, "--colours", tmp_path / "colours.txt")
    assert "shows label 0 in the colour of 'road', (200, 0, 0), and label 0 is 'tree'; list the classes in the order" in said
    palette_png(tmp_path / "masks/p4.png", np.eye(6, 8), [GREEN, RED])
    assert "label 0 is (200, 0, 0) in the palette of" in refused(tmp_path, capsys, *words)
    made(tmp_path, *words, "--label_form", "indices")
    (tmp_path / "new").rename(tmp_path / "with indices")
    content = made(tmp_path, *words, "--label_form", "colours", "--colours", tmp_path / "colours.txt")
    assert (names(content), content["label_form"]) == (["tree", "road"], "colours")


def test_masks_of_one_bit(tmp_path):
    words = flat(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), np.eye(6, 8, dtype=np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert names(made(tmp_path, *words)) == ["class_0", "class_1"]


def test_transparent_masks_are_refused(tmp_path, capsys):
    words = flat(tmp_path)
    cv2.imwrite(str(tmp_path / "masks/p1.png"), np.zeros((6, 8, 4), np.uint8))
    assert "p1.png is transparent at row 0, column 0" in refused(tmp_path, capsys, *words)


def test_a_dataset_file_is_taken_over(tmp_path):
    text = (
        "classes: [{name: road, colour: [1, 2, 3]}, 'no']\nignore_value: 0\nlabel_map: {7: road, 8: 'no'}\nlabel_suffix: _x.tif\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    content = made(tmp_path, *flat(tmp_path, (0, 7, 8)), "--dataset_file", tmp_path / "mine.yaml")
    assert content == {
        "classes": [{"name": "road", "colour": [1, 2, 3]}, {"name": "no"}],
        "ignore": [0],
        "label_map": {7: "road", 8: "no"},
        "label_form": "indices",
        "label_suffix": ".png",
    }


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("label_map: {7: a, 8: b}", ["--first_label", "1"], (1, None)),
        ("first_label: 5", ["--label_map", "1:a,2:b"], (None, {1: "a", 2: "b"})),
        ("first_label: 5", ["--first_label", "1"], (1, None)),
        ("first_label: 5", ["--first_label", "0", "--ignore", "2"], (0, None)),
    ],
)
def test_the_command_line_wins_over_a_dataset_file(text, words, expected, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"classes: [a, b]\n{text}\n")
    values = (0, 1, 2) if "--ignore" in words else (1, 2)
    content = made(tmp_path, *flat(tmp_path, values), "--dataset_file", tmp_path / "mine.yaml", *words)
    assert (content.get("first_label"), content.get("label_map")) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("clases: [a]", "has an unknown key 'clases'; expected classes, ignore"),
        ("classes: {}", "lists no classes"),
        ("classes: [a, 3]", "class 1: 3; expected {name: road, colour: [128, 64, 128]}, colours 0..255"),
        ("classes: [a, {name: b, colour: [1, 2]}]", "class 1: "),
        (
            "classes: [a]\nignore: [0]\nignore_value: 0",
            "has ignore and ignore_value, which say the same",
        ),
        ("classes: [a]\nfirst_label: 1\nlabel_map: {1: a}", "has first_label and label_map, which say the same"),
        ("classes: [a]\nlabel_map: {x: a}", "label_map has the value 'x'; expected 0..65535"),
        ("classes: [a]\nignore: [x]", "ignore holds 'x'"),
        ("classes: [a", "line 1"),
    ],
)
def test_a_dataset_file_with_a_mistake(text, sentence, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(text)
    assert sentence in refused(tmp_path, capsys, *flat(tmp_path), "--dataset_file", tmp_path / "mine.yaml")


def test_classes_from_a_file_of_names(tmp_path):
    (tmp_path / "names.txt").write_text("road\n'yes'\nyes\nsky: blue\n")
    content = made(tmp_path, *flat(tmp_path, (0, 1, 3)), "--classes", tmp_path / "names.txt")
    assert names(content) == ["road", "'yes'", "yes", "sky: blue"]
    lines = (tmp_path / "new/dataset.yaml").read_text().splitlines()
    assert lines[2] == "  - {name: road}  # label 0" and lines[4] == '  - {name: "yes"}  # label 2'
