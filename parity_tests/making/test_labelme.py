"""labelme's annotations, against masks that are drawn by hand; and every mistake in such a file."""

import base64

import cv2
import numpy as np
import pytest

from parity_tests.making.annotations import drawing, label, labelme, shape
from parity_tests.making.samples import SIZE, made, photo, placed, refused

BOX = [[1.0, 1.0], [4.0, 1.0], [4.0, 2.0], [1.0, 2.0]]
"""With its outline, as labelme draws it: columns 1 to 4 of rows 1 and 2."""
WHOLE = shape("road", [[0, 0], [7, 5]], "rectangle")


def png(pixels: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


@pytest.mark.parametrize(
    ("points", "kind", "more", "rows"),
    [
        (BOX, "polygon", {}, ("........", ".0000...", ".0000...", "........", "........", "........")),
        (BOX, None, {}, ("........", ".0000...", ".0000...", "........", "........", "........")),
        (BOX, "oriented_rectangle", {}, ("........", ".0000...", ".0000...", "........", "........", "........")),
        ([[4, 2], [1, 1]], "rectangle", {}, ("........", ".0000...", ".0000...", "........", "........", "........")),
        (BOX, "rectangle", {}, ("........", ".0000...", ".0000...", "........", "........", "........")),
        ([[3, 3], [3, 5]], "circle", {}, ("........", "..000...", ".00000..", ".00000..", ".00000..", "..000...")),
        ([[-2, 5]], "point", {}, ("0.......", "00......", "000.....", "0000....", "0000....", "0000....")),
        ([[0, 5], [7, 5]], "line", {}, ("........", *["00000000"] * 5)),
        ([[1, 1], [2, 2]], "mask", {"mask": np.eye(2, dtype=np.uint8)}, ("........", ".0......", "..0.....", *["........"] * 3)),
        ([[-1, 5], [0, 6]], "mask", {"mask": 1 - np.eye(2, dtype=np.uint8)}, (*["........"] * 5, "0.......")),
    ],
)
def test_every_kind_of_shape(points, kind, more, rows, tmp_path):
    """A disc has the pixels whose middle is at most half a pixel beyond its radius, a line ten rows: y - 4 to y + 5."""
    more = {"mask": png(more["mask"] * 255)} if more else {}
    words = labelme(tmp_path, {"a": [shape("car", points, kind, **more)], "b": [shape("tree", BOX)]})
    content = made(tmp_path, *words, "--unlabelled", "ignore")
    assert content["classes"] == [{"name": "car"}, {"name": "tree"}]
    assert np.array_equal(label(tmp_path, "a"), drawing(*rows)), label(tmp_path, "a")


def test_names_become_classes(tmp_path, capsys):
    """In the order of the alphabet behind labelme's background; __ignore__ does not count; later shapes are above."""
    shapes = [shape("road", [[0, 0], [7, 5]], "rectangle"), shape("car", BOX), shape("__ignore__", [[7, 5], [7, 5]], "rectangle")]
    content = made(tmp_path, *labelme(tmp_path, {"a": shapes, "b": [shape("_background_", BOX), shape("car", BOX)]}))
    assert [entry["name"] for entry in content["classes"]] == ["_background_", "car", "road"]
    assert np.array_equal(label(tmp_path, "a"), drawing("22222222", "21111222", "21111222", *["22222222"] * 2, "2222222."))
    assert "have annotations of several classes: the later one counts" in capsys.readouterr().out


def test_a_background_is_added_and_said(tmp_path, capsys):
    content = made(tmp_path, *labelme(tmp_path, {"a": [shape("car", BOX)], "b": [shape("car", BOX)]}))
    assert [entry["name"] for entry in content["classes"]] == ["background", "car"]
    assert "83.3 % of the pixels have no annotation and are background; if they should not count" in capsys.readouterr().out


def test_labelmes_own_list_of_labels(tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nroad\ncar\n")
    words = labelme(tmp_path, {"a": [shape("car", BOX)], "b": [shape("car", BOX)]})
    content = made(tmp_path, *words, "--classes", tmp_path / "labels.txt")
    assert [entry["name"] for entry in content["classes"]] == ["_background_", "road", "car"]
    assert label(tmp_path, "a").max() == 2


@pytest.mark.parametrize(
    "path", ["a.jpg", "../photos/a.jpg", "..\\photos\\a.jpg", "/home/anna/photos/a.jpg", "C:\\photos\\a.jpg"]
)
def test_images_in_another_folder(path, tmp_path):
    words = labelme(tmp_path, {"a": [shape("car", BOX)]}, imagePath=path)
    (tmp_path / "notes/a.jpg").rename(photo(tmp_path / "photos/a.jpg"))
    photo(tmp_path / "photos/b.jpg")
    labelme(tmp_path, {"b": [shape("car", BOX)]})
    (tmp_path / "notes/b.jpg").unlink()
    made(tmp_path, *words, "--images", tmp_path / "photos")
    assert set(placed(tmp_path / "new")) == {"a", "b"}


def test_a_path_out_of_the_folder_is_not_followed(tmp_path, capsys):
    words = labelme(tmp_path, {"a": [shape("car", BOX)]}, imagePath="../photos/a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes/a.jpg").rename(tmp_path / "photos/a.jpg")
    said = refused(tmp_path, capsys, *words)
    assert "is for ../photos/a.jpg, and a.jpg is not in" in said and "give the folder of images as --images DIR" in said


def test_an_image_inside_the_file_is_used_if_there_is_no_other(tmp_path):
    inside = cv2.imencode(".png", np.full((*SIZE, 3), 200, np.uint8))[1].tobytes()
    words = labelme(tmp_path, {"a": [shape("car", BOX)], "b": [shape("car", BOX)]}, imageData=base64.b64encode(inside).decode())
    (tmp_path / "notes/a.jpg").unlink()
    made(tmp_path, *words)
    [a], [b] = (list((tmp_path / "new").glob(f"images/*/{name}.*")) for name in "ab")
    assert a.suffix == ".png" and a.read_bytes() == inside
    assert b.read_bytes() == (tmp_path / "notes/b.jpg").read_bytes(), "the image that is there goes before"


def test_files_of_older_versions(tmp_path):
    """Without shape_type and without the image's size."""
    old = {"label": "car", "points": BOX, "line_color": None, "fill_color": None}
    files = {"a": [old], "b": [old | {"label": "tree"}]}
    words = labelme(tmp_path, files, imageHeight="LEFT OUT", imageWidth="LEFT OUT", version="2.9.0")
    made(tmp_path, *words, "--unlabelled", "ignore")
    assert np.array_equal(label(tmp_path, "a"), drawing("........", ".0000...", ".0000...", *["........"] * 3))


def test_lines_are_said(tmp_path, capsys):
    words = labelme(tmp_path, {"a": [shape("car", [[0, 0], [7, 5]], "linestrip")], "b": [shape("car", BOX)]})
    made(tmp_path, *words)
    assert "lines and points: 1, drawn as labelme draws them, 10 pixels wide and as discs of radius 5" in capsys.readouterr().out


def test_folders_that_are_split_stay_so(tmp_path):
    labelme(tmp_path / "x", {"a": [shape("car", BOX)]})
    labelme(tmp_path / "y", {"b": [shape("tree", BOX)]})
    (tmp_path / "all").mkdir()
    (tmp_path / "x/notes").rename(tmp_path / "all/train")
    (tmp_path / "y/notes").rename(tmp_path / "all/val")
    content = made(tmp_path, "--labelme", tmp_path / "all")
    assert placed(tmp_path / "new") == {"a": "train", "b": "val"}
    (tmp_path / "new").rename(tmp_path / "old")
    assert made(tmp_path, "--labelme", tmp_path / "all/train", "--val_labelme", tmp_path / "all/val") == content
    assert [entry["name"] for entry in content["classes"]] == ["background", "car", "tree"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shapes": [shape("car", BOX, "cube")]}, "shapes[0].shape_type is 'cube'; expected one of polygon"),
        (
            {"shapes": [shape("car", BOX[:2])]},
            "shapes[0].points is [[1.0, 1.0], [4.0, 1.0]]; expected 3 points or more of a polygon",
        ),
        ({"shapes": [shape("car", BOX, "circle")]}, "expected 2 points of a circle"),
        ({"shapes": [shape("car", [[1, 1], [1]], "rectangle")]}, "shapes[0].points[1] is [1]; expected x and y"),
        (
            {"shapes": [shape("car", [[1, 1], [1e30, 1]], "circle")]},
            "shapes[0].points[1] is 1e+30; expected a coordinate, and not far",
        ),
        ({"shapes": [shape("car", [[1, 1], [True, 1]], "circle")]}, "shapes[0].points[1] is True; expected a coordinate"),
        ({"shapes": [shape("", BOX)]}, "shapes[0].label is ''; expected a text"),
        ({"shapes": [3]}, "shapes[0] is 3; expected an object"),
        (
            {"shapes": [shape("car", BOX[:2], "mask", mask="x")]},
            "shapes[0].mask is 'x'; expected a PNG in base64, no larger than",
        ),
        (
            {"shapes": [shape("car", BOX[:2], "mask", mask=png(np.ones((99, 99), np.uint8)))]},
            "expected a PNG in base64, no larger",
        ),
        ({"imageHeight": 12}, "a.json is for 12×8 pixels and its image"),
        ({"imageHeight": "x"}, "imageHeight is 'x'; expected a whole number"),
        ({"imagePath": "none.jpg", "imageData": "x"}, "a.json holds no whole image in imageData"),
        ({"imagePath": "none.jpg"}, "a.json is for none.jpg, and none.jpg is not in"),
        (
            {"shapes": "LEFT OUT", "annotations": []},
            "a.json is no file of labelme's: it has no shapes and imagePath; a COCO file",
        ),
    ],
)
def test_each_mistake_is_one_sentence(changes, sentence, tmp_path, capsys):
    words = labelme(tmp_path, {"b": [shape("car", BOX)]})
    labelme(tmp_path, {"a": [shape("car", BOX)]}, **changes)
    said = refused(tmp_path, capsys, *words)
    assert sentence in said and "notes/a.json" in said


def test_two_files_for_one_image_are_refused(tmp_path, capsys):
    words = labelme(tmp_path, {"a": [shape("car", BOX)], "b": [shape("car", BOX)]}, imagePath="a.jpg")
    assert "a.json and" in (said := refused(tmp_path, capsys, *words)) and "both annotate" in said


def test_a_folder_without_annotations(tmp_path, capsys):
    photo(tmp_path / "notes/a.jpg")
    assert "no annotations in" in refused(tmp_path, capsys, "--labelme", tmp_path / "notes")
