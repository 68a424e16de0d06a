"""COCO's annotations, against masks that are drawn by hand; and every mistake in such a file."""

import sys

import numpy as np
import pytest
from pycocotools import mask as library

from parity_tests.making.annotations import BOX, BOX_PIXELS, FIRST_COLUMN, annotation, coco, drawing, label
from parity_tests.making.samples import SIZE, made, photo, placed, refused
from segformer_core.making import json_file
from segformer_core.making.coco_masks import uncompressed
from segformer_core.making.json_file import Place


def test_polygons_and_runs_become_labels(tmp_path, capsys):
    content = made(tmp_path, *coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, FIRST_COLUMN)]))
    assert content["classes"] == [{"name": "background"}, {"name": "road"}, {"name": "car"}], "in the order of the ids"
    assert (content["ignore"], content["first_label"], content["label_form"]) == ([255], 0, "indices")
    expected = np.zeros(SIZE, np.uint8)
    expected[BOX_PIXELS] = 2
    assert np.array_equal(label(tmp_path, "a"), expected)
    assert np.array_equal(
        label(tmp_path, "b"),
        drawing("00000000", "10000000", "10000000", "00000000", "00000000", "00000000"),
    )
    said = capsys.readouterr().out
    assert "89.6 % of the pixels have no annotation and are background; if they should not count, say --unlabelled ignore" in said


def test_several_polygons_are_one_region(tmp_path):
    made(tmp_path, *coco(tmp_path, [annotation(1, 0, 7, [BOX, [6, 4, 8, 4, 8, 6, 6, 6]]), annotation(2, 1, 3, [BOX])]))
    expected = np.zeros(SIZE, np.uint8)
    expected[BOX_PIXELS] = expected[4:6, 6:8] = 2
    assert np.array_equal(label(tmp_path, "a"), expected)


@pytest.mark.parametrize(
    ("text", "counts"),
    [("12]1", [1, 2, 45]), ("1232S1", [1, 2, 3, 4, 38]), ("543No0", [5, 4, 3, 2, 34]), ("0`1", [0, 48]), ("", [])],
)
def test_compressed_runs(text, counts, tmp_path):
    """The letters are worked out by hand from the form's rule: five bits a letter, the lowest first, 48 added, 32 for more."""
    assert uncompressed(text, Place(tmp_path)) == counts
    if counts:
        pixels = np.repeat(np.arange(len(counts)) % 2, counts).reshape(8, 6).T
        assert np.array_equal(library.decode({"size": [6, 8], "counts": text}), pixels)
        assert library.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode() == text


def test_compressed_runs_of_random_masks(tmp_path):
    rng = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99):
        pixels = np.asfortranarray((rng.random((37, 53)) < share).astype(np.uint8))
        text = library.encode(pixels)["counts"].decode()
        counts = uncompressed(text, Place(tmp_path))
        assert np.array_equal(np.repeat(np.arange(len(counts)) % 2, counts).reshape(53, 37).T, pixels)


def test_compressed_runs_reach_the_label(tmp_path):
    runs = {"size": [6, 8], "counts": "12]1"}
    made(tmp_path, *coco(tmp_path, [annotation(1, 0, 7, runs), annotation(2, 1, 3, [BOX])]))
    assert np.array_equal(label(tmp_path, "a"), drawing("00000000", "20000000", "20000000", *["00000000"] * 3))


OVER = [0, 0, 8, 0, 8, 6, 0, 6]


@pytest.mark.parametrize(
    ("words", "inside"), [([], 2), (["--overlap", "smaller"], 2), (["--overlap", "later"], 1), (["--overlap", "ignore"], 255)]
)
def test_overlaps(words, inside, tmp_path, capsys):
    """The small car comes first in the file, the road that covers it later."""
    source = coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 0, 3, [OVER]), annotation(3, 1, 3, [OVER])])
    made(tmp_path, *source, *words)
    expected = np.full(SIZE, 1, np.uint8)
    expected[BOX_PIXELS] = inside
    assert np.array_equal(label(tmp_path, "a"), expected)
    says = {2: "the smaller one counts", 1: "the later one counts", 255: "they do not count"}[inside]
    assert f"8.33 % of the pixels have annotations of several classes: {says}" in capsys.readouterr().out


def test_a_crowd_is_below_all_others(tmp_path):
    crowd = annotation(1, 0, 3, FIRST_COLUMN, iscrowd=1)
    made(tmp_path, *coco(tmp_path, [crowd, annotation(2, 0, 7, [OVER]), annotation(3, 1, 3, [OVER])]), "--overlap", "smaller")
    assert (label(tmp_path, "a") == 2).all()


@pytest.mark.parametrize(
    ("words", "names", "a"),
    [
        (["--unlabelled", "ignore"], ["road", "car"], ("........", ".1111...", ".1111...", *["........"] * 3)),
        (["--unlabelled", "other"], ["other", "road", "car"], ("00000000", "02222000", "02222000", *["00000000"] * 3)),
        (["--unlabelled", "road"], ["road", "car"], ("00000000", "01111000", "01111000", *["00000000"] * 3)),
        (
            ["--classes", "car,road,background"],
            ["car", "road", "background"],
            ("22222222", "20000222", "20000222", *["22222222"] * 3),
        ),
        (["--ignore", "car"], ["background", "road"], ("00000000", "0....000", "0....000", *["00000000"] * 3)),
    ],
)
def test_pixels_without_an_annotation_and_classes(words, names, a, tmp_path):
    content = made(tmp_path, *coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, [OVER])]), *words)
    assert [entry["name"] for entry in content["classes"]] == names
    assert np.array_equal(label(tmp_path, "a"), drawing(*a))


@pytest.mark.parametrize(
    ("categories", "words", "names", "bare"),
    [
        (("Background", "car"), [], ["Background", "car"], 0),
        (("car", "BACKGROUND"), [], ["car", "BACKGROUND"], 1),
        (("Background", "car"), ["--unlabelled", "background"], ["Background", "car"], 0),
        (("Ignore", "car"), ["--unlabelled", "ignore"], ["Ignore", "car"], 255),
    ],
)
def test_a_background_is_one_whatever_its_capital_letters(categories, words, names, bare, tmp_path):
    entries = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
    source = coco(tmp_path, [annotation(1, 0, 1, [BOX]), annotation(2, 1, 2, [BOX])], categories=entries)
    content = made(tmp_path, *source, *words)
    assert [entry["name"] for entry in content["classes"]] == names
    assert label(tmp_path, "a")[0, 0] == bare


def test_images_without_an_annotation(tmp_path, capsys):
    source = coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, [OVER])], ("a.jpg", "b.jpg", "c.jpg"))
    made(tmp_path, *source)
    assert "without an annotation: 1 of 3 images, such as c; they are all background" in capsys.readouterr().out
    assert not label(tmp_path, "c").any()
    (tmp_path / "new").rename(tmp_path / "old")
    made(tmp_path, *source, "--unlabelled", "ignore")
    assert "without an annotation: 1 of 3 images, such as c; left out" in capsys.readouterr().out
    assert set(placed(tmp_path / "new")) == {"a", "b"}


def test_train_and_val_apart(tmp_path):
    coco(tmp_path / "1", [annotation(1, 0, 7, [BOX])], ("train2017/1.jpg",))
    coco(tmp_path / "2", [annotation(1, 0, 7, [BOX])], ("val2017/1.jpg",))
    words = ["--coco", tmp_path / "1/instances.json", "--images", tmp_path / "1/photos"]
    more = ["--val_coco", tmp_path / "2/instances.json", "--val_images", tmp_path / "2/photos"]
    made(tmp_path, *words, *more)
    assert [str(path.relative_to(tmp_path / "new")) for path in sorted((tmp_path / "new").glob("images/*/*"))] == [
        "images/train/1.jpg",
        "images/val/1.jpg",
    ]


def test_categories_that_differ_are_refused(tmp_path, capsys):
    one = coco(tmp_path / "1", [annotation(1, 0, 7, [BOX])], ("a.jpg",))
    coco(tmp_path / "2", [], ("b.jpg",), categories=[{"id": 3, "name": "road"}])
    more = ["--val_coco", tmp_path / "2/instances.json", "--val_images", tmp_path / "2/photos"]
    assert "have different categories; expected the same, with the same ids" in refused(tmp_path, capsys, *one, *more)


def test_files_of_one_name_in_several_folders(tmp_path):
    source = coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, [OVER])], ("left/1.jpg", "right/1.jpg"))
    made(tmp_path, *source)
    assert set(placed(tmp_path / "new")) == {"left_1", "right_1"}


@pytest.mark.parametrize(("files", "name"), [(("a/b_c.jpg", "a_b/c.jpg", "x/c.jpg"), "a_b_c"), (("a/1.jpg", "a/1.png"), "a_1")])
def test_files_that_would_get_one_name_are_refused(files, name, tmp_path, capsys):
    source = coco(tmp_path, [annotation(1, 0, 7, [BOX])], files)
    assert f"names {files[0]} and {files[1]}, which would both be called {name}; rename" in refused(tmp_path, capsys, *source)


def test_images_are_beside_the_file_if_nothing_is_said(tmp_path, capsys):
    for name in ("a.jpg", "b.jpg", "other.jpg"):
        photo(tmp_path / "photos" / name)
    coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, [OVER])])
    file = (tmp_path / "instances.json").rename(tmp_path / "photos/_annotations.coco.json")
    made(tmp_path, "--coco", file)
    assert f"passed over 1 file in {tmp_path}/photos that {file} does not name: 1 .jpg" in capsys.readouterr().out


IMAGE = {"id": 0, "file_name": "a.jpg", "height": 6, "width": 8}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"annotations": [annotation(1, 0, 9, [BOX])]}, "annotations[0].category_id is 9; expected the id of one of the cat"),
        ({"annotations": [annotation(1, 8, 7, [BOX])]}, "annotations[0].image_id is 8; expected the id of one of the images"),
        ({"annotations": [annotation(1, 0, 7, []), annotation(2, 0, 7, [BOX])]}, "1 of 2 annotations of"),
        (
            {"annotations": [annotation(1, 0, 7, [[1, 1, 5, 1]])]},
            "segmentation[0] is [1, 1, 5, 1]; expected x and y of at least 3",
        ),
        ({"annotations": [annotation(1, 0, 7, [[*BOX, 1]])]}, "expected x and y of at least 3 corners, in turn"),
        ({"annotations": [annotation(1, 0, 7, [[1, 1, 5, 1, 1e9, 3]])]}, "segmentation[0][4] is 1000000000.0; expected a coor"),
        ({"annotations": [annotation(1, 0, 7, [[1, 1, 5, 1, "x", 3]])]}, "segmentation[0][4] is 'x'; expected a coordinate"),
        ({"annotations": [annotation(1, 0, 7, [[1, 1, 5, 1, 10**400, 3]])]}, "expected a coordinate"),
        ({"annotations": [annotation(1, 0, 7, {"size": [8, 6], "counts": [48]})]}, "segmentation.size is [8, 6]; expected the"),
        (
            {"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": [1, 2]})]},
            "add up to the 48 pixels of the image, not to 3",
        ),
        (
            {"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": [2**31, 48]})]},
            "counts[0] is 2147483648; expected a whole",
        ),
        ({"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": "12]"})]}, "expected compressed run lengths, whole"),
        ({"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": "o" * 99})]}, "expected compressed run lengths"),
        ({"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": "~"})]}, "expected compressed run lengths"),
        (
            {"annotations": [annotation(1, 0, 7, {"size": [6, 8], "counts": None})]},
            "segmentation.counts is None; expected a list",
        ),
        ({"annotations": [{"segments_info": []}]}, "is COCO's panoptic form, whose labels are PNGs; give an instances file"),
        ({"annotations": {}}, "annotations is {}; expected a list"),
        ({"images": [IMAGE | {"file_name": "../a.jpg"}]}, "images[0].file_name is '../a.jpg'; expected the name of a file below"),
        ({"images": [IMAGE | {"file_name": "/etc/a.jpg"}]}, "a path that leaves it is not followed"),
        ({"images": [IMAGE | {"file_name": "C:\\a.jpg"}]}, "a path that leaves it is not followed"),
        ({"images": [IMAGE | {"file_name": "none.jpg"}]}, "1 of 1 images of"),
        ({"images": [IMAGE, IMAGE]}, "images[1].id is 0; expected an id that no other image has"),
        ({"images": [IMAGE, IMAGE | {"id": 1}]}, "images[1].file_name is 'a.jpg'; expected a file that no other image has"),
        ({"images": [IMAGE, IMAGE | {"id": 1, "file_name": "x/a.jpg"}]}, "two images of"),
        ({"images": [IMAGE | {"height": 2**20, "width": 2**20}]}, "expected an image of at most 1,073,741,824 pixels"),
        ({"images": [IMAGE | {"height": 0}]}, "images[0].height is 0; expected a whole number from 1"),
        ({"images": [IMAGE | {"width": "8"}]}, "images[0].width is '8'; expected a whole number"),
        ({"categories": [{"id": 7, "name": "car"}, {"id": 7, "name": "x"}]}, "categories[1].id is 7; expected an id that no"),
        ({"categories": [{"id": 7, "name": "car"}, {"id": 8, "name": "car"}]}, "names class 'car' twice"),
        ({"categories": [{"id": 7}]}, "categories[0].name is None; expected a text"),
        ({"shapes": []}, "is labelme's; give its folder as --labelme DIR"),
    ],
)
def test_each_mistake_is_one_sentence(changes, sentence, tmp_path, capsys):
    content = {"annotations": [annotation(1, 0, 7, [BOX])]} | changes
    words = coco(tmp_path, content.pop("annotations"), **content)
    assert sentence in refused(tmp_path, capsys, *words)


def test_sizes_that_differ_are_refused(tmp_path, capsys):
    words = coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 7, [BOX])])
    photo(tmp_path / "photos/b.jpg", (12, 16))
    assert "instances.json is for 6×8 pixels and its image" in refused(tmp_path, capsys, *words)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"images": [', "is no whole JSON: Expecting value at line 1, column 13; export it again"),
        ("[1]", "holds a list, which is no file of annotations; expected an object"),
        ('{"images": NaN}', "cannot be read as JSON (NaN is no number)"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"images": []}', "has no categories; expected a COCO file with images, categories, annotations"),
        ("\xff", "is no text in UTF-8 (byte 0)"),
    ],
)
def test_what_is_no_coco_file(text, sentence, tmp_path, capsys):
    words = coco(tmp_path, [])
    (tmp_path / "instances.json").write_bytes(text.encode("latin-1"))
    assert sentence in refused(tmp_path, capsys, *words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--classes", "road"],
            "there are annotations of 'car', which is no class of --classes (road); add it, or say --ignore car",
        ),
        (
            ["--classes", "road,car"],
            "of the pixels have no annotation, and none of the classes (car, road) is background: if they do not",
        ),
        (["--classes", "road,car", "--unlabelled", "x"], "--unlabelled x is no class of --classes (car, road); add it there"),
        (
            ["--ignore", "car", "--unlabelled", "ignore"],
            "the annotations have one class, 'road'; expected at least two, to tell apart: say --unlabelled background if the",
        ),
        (["--classes", "road", "--ignore", "car"], "background if the pixels without an annotation are one, and add"),
        (["--ignore", "car", "--unlabelled", "road"], "to tell apart: annotate another one, or take one out of --ignore"),
        (["--ignore", "car", "road", "--unlabelled", "ignore"], "the annotations have no class; expected at least two"),
        (["--ignore", "bus"], "--ignore bus names no class of the annotations; they have car, road"),
        (["--ignore", "255"], "expected names of annotations"),
        (["--label_map", "0:a"], "--label_map is for masks; leave it out"),
        (["--masks", "."], "--masks and --coco both give the labels; keep one of them"),
        (["--labelme", "."], "--coco and --labelme are two sources"),
        (["--voc", "."], "--voc names the whole source"),
    ],
)
def test_options_that_do_not_fit(words, sentence, tmp_path, capsys, monkeypatch):
    source = coco(tmp_path, [annotation(1, 0, 7, [BOX]), annotation(2, 1, 3, [OVER])])
    monkeypatch.chdir(tmp_path / "photos")
    (tmp_path / "photos/x.txt").touch()
    said = refused(tmp_path, capsys, *source, *words)
    assert sentence in said


def test_the_library_that_is_missing_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    said = refused(tmp_path, capsys, *coco(tmp_path, []))
    assert "COCO's annotations need pycocotools, which is not installed; run pip install -c constraints.txt '.[coco]'" in said


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(json_file, "LARGEST_BYTES", 100)
    assert "has more than 0 MiB; expected annotations" in refused(tmp_path, capsys, *coco(tmp_path, []))
