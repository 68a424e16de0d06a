"""Which mask belongs to which image: by name, by a suffix, in one folder, in folders that are split already."""

import pytest

from parity_tests.making.samples import contents, flat, made, mask, photo, placed, refused
from segformer_core.cli import USERS_MISTAKE, program
from segformer_core.making.pairing import find_suffix


def test_images_and_masks_come_over_unchanged(tmp_path, capsys):
    words = flat(tmp_path)
    before = contents(tmp_path)
    assert made(tmp_path, *words) == {
        "classes": [{"name": "class_0"}, {"name": "class_1"}, {"name": "class_2"}],
        "ignore": [255],
        "first_label": 0,
        "label_form": "indices",
        "label_suffix": ".png",
    }
    new = tmp_path / "new"
    for name, split in placed(new).items():
        assert (new / f"images/{split}/{name}.jpg").read_bytes() == (tmp_path / f"photos/{name}.jpg").read_bytes()
        assert (new / f"labels/{split}/{name}.png").read_bytes() == (tmp_path / f"masks/{name}.png").read_bytes()
    assert list(placed(new).values()).count("val") == 1
    assert before.items() <= contents(tmp_path).items()
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"next: python -m backend_torch.train --config_path configs/segformer.b0.own.yaml --data_path {new}"


@pytest.mark.parametrize("given", [[], ["--mask_suffix", "_mask"], ["--mask_suffix", "_mask.png"]])
def test_a_suffix_of_the_masks_names(given, tmp_path):
    made(tmp_path, *flat(tmp_path, mask_suffix="_mask"), *given)
    assert {path.name for path in (tmp_path / "new").glob("labels/*/*")} == {f"p{index}.png" for index in range(5)}


def test_a_suffix_of_the_images_names(tmp_path):
    for name in ("a", "b"):
        photo(tmp_path / f"photos/{name}_leftImg8bit.png")
        mask(tmp_path / f"masks/{name}_gtFine.png", [0, 1])
    made(tmp_path, "--images", tmp_path / "photos", "--masks", tmp_path / "masks", "--image_suffix", "_leftImg8bit")
    assert set(placed(tmp_path / "new")) == {"a", "b"}


@pytest.mark.parametrize("mask_name", ["{}_mask.png", "{}.png", "{}-seg.png"])
def test_images_and_masks_in_one_folder(mask_name, tmp_path):
    for name in ("1", "2", "10"):
        photo(tmp_path / f"all/{name}.jpg")
        mask(tmp_path / "all" / mask_name.format(name), [0, 1])
    made(tmp_path, "--images", tmp_path / "all")
    assert set(placed(tmp_path / "new")) == {"1", "2", "10"}
    assert {path.suffix for path in (tmp_path / "new").glob("images/*/*")} == {".jpg"}


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_folders_that_are_split_stay_so(val, tmp_path):
    for split, name in (("train", "a"), ("train", "b"), (val, "c"), ("test", "d")):
        photo(tmp_path / f"photos/{split}/{name}.png")
        mask(tmp_path / f"masks/{split}/{name}_mask.png", [0, 1])
    words = ["--images", tmp_path / "photos", "--masks", tmp_path / "masks"]
    made(tmp_path, *words)
    assert placed(tmp_path / "new") == {"a": "train", "b": "train", "c": "val"}


def test_a_split_is_not_drawn_over_one_that_is_there(tmp_path, capsys):
    for split in ("train", "val"):
        photo(tmp_path / f"photos/{split}/a.png")
        mask(tmp_path / f"masks/{split}/a.png", [0, 1])
    words = ["--images", tmp_path / "photos", "--masks", tmp_path / "masks"]
    assert "split as they lie; leave --val" in refused(tmp_path, capsys, *words, "--val", "0.5")
    (tmp_path / "masks/val").rename(tmp_path / "masks/elsewhere")
    assert f"expected the masks in {tmp_path}/masks/val" in refused(tmp_path, capsys, *words)


def test_what_is_passed_over_is_counted(tmp_path, capsys):
    words = flat(tmp_path)
    mask(tmp_path / "masks/lonely.png", [0])
    (tmp_path / "photos/notes.txt").write_text("x")
    (tmp_path / "photos/.DS_Store").write_text("x")
    made(tmp_path, *words)
    said = capsys.readouterr().out
    assert f"passed over 1 file in {tmp_path}/masks that belong to no image: 1 .png" in said
    assert f"passed over 1 file in {tmp_path}/photos of kinds that cannot be read: 1 .txt" in said


def damage_missing(root):
    (root / "masks/p3.png").unlink()


def damage_twice(root):
    mask(root / "masks/p3.tif", [0])


def damage_twins(root):
    photo(root / "photos/p3.png")


def damage_size(root):
    mask(root / "masks/p3.png", [0, 1], (8, 6))


def damage_jpeg(root):
    mask(root / "masks/p3.jpg", [0, 1]).rename(root / "masks/p3.png")


def damage_photo(root):
    path = root / "photos/p3.jpg"
    path.write_bytes(path.read_bytes()[:-40])


def damage_empty(root):
    for path in (root / "photos").iterdir():
        path.unlink()


def damage_endings(root):
    mask(root / "masks/p3.tif", [0])
    (root / "masks/p3.png").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_missing, "1 of 5 images have no mask in ROOT/masks; first: p3, expected p3.png; add the masks"),
        (damage_twice, "ROOT/masks/p3.png and ROOT/masks/p3.tif are both masks of ROOT/photos/p3.jpg; keep one"),
        (damage_twins, "ROOT/photos/p3.jpg and ROOT/photos/p3.png have one name; both would have one label: rename one"),
        (damage_size, "ROOT/masks/p3.png is for 8×6 pixels and its image ROOT/photos/p3.jpg has 6×8; expected the same size"),
        (damage_jpeg, "ROOT/masks/p3.png is a JPEG, whose compression changes labels; save the labels anew, as PNG"),
        (damage_photo, "ROOT/photos/p3.jpg is empty or truncated"),
        (damage_empty, "no images in ROOT/photos; expected files ending in"),
        (damage_endings, "the masks ROOT/masks/p0.png and ROOT/masks/p3.tif have different endings; expected one for all"),
    ],
)
def test_each_mistake_is_one_sentence_and_leaves_nothing(damage, sentence, tmp_path, capsys):
    words = flat(tmp_path)
    damage(tmp_path)
    assert sentence.replace("ROOT", str(tmp_path)) in refused(tmp_path, capsys, *words)


@pytest.mark.parametrize(
    ("names", "stems", "sentence"),
    [
        (
            ["a", "b"],
            ["a_mask", "b_mask", "a_inst", "b_inst"],
            "end in _inst and in _mask; say which are meant, as --mask_suffix",
        ),
        (["a", "b", "c"], ["a_mask", "b_mask"], "1 of 3 images have no mask in .*; first: c, expected c_mask.png"),
        (["a", "b"], ["x", "y"], "no mask in .* is named as an image: there are 'x', … for the images 'a', …; say what"),
        (["a"], [], "no masks in"),
    ],
)
def test_a_suffix_that_is_not_plain_is_asked_for(names, stems, sentence, tmp_path):
    with pytest.raises(Exception, match=sentence):
        find_suffix(names, stems, tmp_path)


def test_one_folder_that_is_not_plain_is_asked_for(tmp_path, capsys):
    for name in ("a", "b", "c"):
        photo(tmp_path / f"all/{name}.png")
    said = refused(tmp_path, capsys, "--images", tmp_path / "all")
    assert "which files" in said and "--masks DIR" in said and "--mask_suffix _mask" in said


def test_the_target_is_new_and_outside(tmp_path, capsys):
    words = flat(tmp_path)
    (tmp_path / "new").mkdir()
    assert program(["make_dataset", str(tmp_path / "new"), *words]) == USERS_MISTAKE
    assert "is there already; choose another name, or remove it first" in capsys.readouterr().err
    assert program(["make_dataset", str(tmp_path / "photos/new"), *words]) == USERS_MISTAKE
    assert "from which it is made; choose a place outside" in capsys.readouterr().err
    assert not (tmp_path / "photos/new").exists()
