"""Pascal VOC's layout, as VOC, CVAT and labelme2voc write it."""

import pytest

from parity_tests.making.samples import colour_mask, made, mask, photo, placed, refused
from segformer_core.making.voc import NAMES


def voc(root, names=("a", "b", "c", "d"), values=(0, 15, 255), **lists: str):
    for name in names:
        photo(root / f"JPEGImages/{name}.jpg")
        mask(root / f"SegmentationClass/{name}.png", values)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for name, text in lists.items():
        (root / f"ImageSets/Segmentation/{name}.txt").write_text(text)
    return root


def test_vocs_own_folder(tmp_path, capsys):
    root = voc(tmp_path / "VOCdevkit/VOC2012", train="a\nb\n", val="c\n", trainval="a\nb\nc\n")
    photo(root / "JPEGImages/for_boxes.jpg")
    content = made(tmp_path, "--voc", root)
    assert placed(tmp_path / "new") == {"a": "train", "b": "train", "c": "val"}
    assert len(content["classes"]) == 21 and content["classes"][15] == {"name": "person", "colour": [192, 128, 128]}
    assert (content["ignore"], content["first_label"]) == ([255], 0)
    assert f"passed over 2 files in {root}/JPEGImages that no list names: 2 .jpg" in capsys.readouterr().out


def test_the_classes_of_another_folder_are_asked_for(tmp_path, capsys):
    root = voc(tmp_path / "mine", values=(0, 1, 2), train="a\nb\n", val="c\n")
    said = refused(tmp_path, capsys, "--voc", root)
    assert "if they are VOC's 21, say --classes voc; else name them, as --classes a,b,c" in said
    assert [entry["name"] for entry in made(tmp_path, "--voc", root, "--classes", "voc")["classes"]] == list(NAMES)
    (tmp_path / "new").rename(tmp_path / "old")
    assert len(made(tmp_path, "--voc", root, "--classes", "a,b,c")["classes"]) == 3


def test_cvats_export(tmp_path):
    """Coloured masks, labelmap.txt, and one list by the name of the subset."""
    root = voc(tmp_path / "task", default="a\nb\nc\nd\n")
    for name in "abcd":
        colour_mask(root / f"SegmentationClass/{name}.png", [[0, 0, 0], [250, 50, 83]])
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\n")
    content = made(tmp_path, "--voc", root, "--val", "0.25")
    assert content["classes"] == [{"name": "background", "colour": [0, 0, 0]}, {"name": "car", "colour": [250, 50, 83]}]
    assert content["label_form"] == "colours" and sorted(placed(tmp_path / "new").values()) == ["train"] * 3 + ["val"]


def test_labelme2vocs_output(tmp_path):
    root = voc(tmp_path / "voc", values=(0, 1))
    (root / "SegmentationClass").rename(root / "SegmentationClassPNG")
    (root / "class_names.txt").write_text("_background_\ncar\n")
    assert [entry["name"] for entry in made(tmp_path, "--voc", root)["classes"]] == ["_background_", "car"]


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({"train": "a\n", "val": "z\n"}, "val.txt lists 'z', which has no image; unpack the data again"),
        ({"train": "a\nb\n", "val": "b\n"}, "both list b; expected each image in one of them"),
    ],
)
def test_each_mistake_is_one_sentence(lists, sentence, tmp_path, capsys):
    assert sentence in refused(tmp_path, capsys, "--voc", voc(tmp_path / "x", **lists), "--classes", "voc")


def test_a_list_of_what_has_no_mask(tmp_path, capsys):
    root = voc(tmp_path / "x", train="a\n", val="b\n")
    (root / "SegmentationClass/b.png").unlink()
    assert "val.txt lists 'b', which has no mask" in refused(tmp_path, capsys, "--voc", root, "--classes", "voc")


def test_the_folder_that_is_meant_is_named(tmp_path, capsys):
    voc(tmp_path / "VOCdevkit/VOC2012", train="a\n", val="b\n")
    said = refused(tmp_path, capsys, "--voc", tmp_path / "VOCdevkit")
    assert f"expected images in JPEGImages and masks in SegmentationClass; give {tmp_path}/VOCdevkit/VOC2012" in said
