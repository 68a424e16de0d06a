"""What the survey counts, against numpy over all pixels at once; and what an image file is."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.survey.made import dataset, describe, relabel, write
from segformer_core.data.classes import IGNORED
from segformer_core.data.dataset import Item
from segformer_core.survey.kinds import image_kind
from segformer_core.survey.pair import examined_whole, histogram
from segformer_core.survey.splits import find_layout
from segformer_core.survey.survey import Survey, survey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return dataset(tmp_path / "mine")


def surveyed(root: Path, workers: int = 2) -> Survey:
    return survey(find_layout(str(root)), workers)


@pytest.mark.parametrize("workers", [1, 3])
def test_counts_are_those_of_all_pixels(root: Path, workers: int) -> None:
    """Images of three sizes, so that a mean of means would be another."""
    sizes = {"train_a": (100, 40), "val_b": (9, 7)}
    for name, size in sizes.items():
        split = name.partition("_")[0]
        for kind, how in (("images", cv2.INTER_LINEAR), ("labels", cv2.INTER_NEAREST)):
            path = root / kind / split / f"{name}.png"
            cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), size[::-1], interpolation=how))
    found = surveyed(root, workers)
    for split in ("train", "val"):
        labels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((root / "labels" / split).glob("*.png"))]
        pixels = np.concatenate([label.ravel() for label in labels])
        facts = found.splits[split]
        assert facts.pixels.tolist() == [int((pixels == value).sum()) for value in range(256)]
        assert facts.images.tolist() == [sum(bool((label == value).any()) for label in labels) for value in range(256)]
        assert facts.counted == int((pixels != IGNORED).sum())
    images = [cv2.imread(str(path))[..., ::-1].reshape(-1, 3) for path in sorted((root / "images").glob("*/*.png"))]
    every = np.concatenate(images).astype(np.float64)
    mean, std = found.mean_and_std()
    np.testing.assert_allclose(mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, every.std(0), rtol=1e-12)
    assert found.sizes == {(64, 96): 7, (100, 40): 1, (9, 7): 1}


def test_counts_are_exact_where_float32_is_not() -> None:
    """cv2 counts in float32, which does not hold 2**24 + 1."""
    pixels = np.zeros((4096, 4097), np.uint8)
    pixels[0, 0] = 7
    counts = histogram(pixels)
    assert counts[0] == 4096 * 4097 - 1 > 2**24 and counts[7] == 1 and counts.dtype == np.int64


def test_values_as_they_are_stored(root: Path) -> None:
    relabel(root, lambda label: np.where(label == 255, 0, label + 5).astype(np.uint8))
    describe(root, "classes: [ground, disc, bar]\nfirst_label: 5\nignore: [0]\n")
    found = surveyed(root)
    assert sorted(found.stored) == [0, 5, 6, 7]
    assert found.labels_with[5] == 9 and found.splits["train"].images[[0, 1, 2, IGNORED]].tolist() == [6, 6, 6, 6]
    assert found.stored[0] == sum(facts.pixels[IGNORED] for facts in found.splits.values())


def test_colours_as_they_are_stored(root: Path) -> None:
    table = np.zeros((256, 3), np.uint8)
    table[:3] = (10, 20, 30), (40, 50, 60), (70, 80, 90)
    relabel(root, lambda label: table[np.minimum(label, 2)])
    colours = ", ".join(
        f"{{name: {name}, colour: {table[index].tolist()}}}" for index, name in enumerate(("ground", "disc", "bar"))
    )
    describe(root, f"classes: [{colours}]\n")
    found = surveyed(root)
    assert set(found.stored) == {(10, 20, 30), (40, 50, 60), (70, 80, 90)}
    assert found.stored[40, 50, 60] == sum(facts.pixels[1] for facts in found.splits.values())
    (root / "dataset.yaml").unlink()
    raw = surveyed(root)
    assert raw.classes is None and raw.stored == found.stored


def test_both_faults_of_a_pair_are_told(root: Path) -> None:
    item = Item(root / "images/train/train_a.png", root / "labels/train/train_a.png", "train_a")
    assert item.label is not None
    for path in (item.image, item.label):
        path.write_bytes(path.read_bytes()[:-20])
    record, moments = examined_whole("train", item, find_layout(str(root)).classes)
    assert record.fault.count("is empty or truncated") == 2 and not moments.pixels.any()
    assert record.size is None and record.hashes == (b"", b"") and record.kinds == ("unreadable", "unreadable")


def test_an_image_is_turned_as_its_label_is(root: Path) -> None:
    """A phone's photo: stored lying, to be shown upright, and the label either way."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20] = 200
    data = cv2.imencode(".jpg", image)[1].tobytes()
    orientation = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    data = data[:2] + b"\xff\xe1" + (len(orientation) + 2).to_bytes(2, "big") + orientation + data[2:]
    item = Item(root / "photo.jpg", root / "photo.png", "photo")
    item.image.write_bytes(data)
    for size in ((60, 40), (40, 60)):
        write(root / "photo.png", np.zeros(size, np.uint8))
        record, _ = examined_whole("train", item, find_layout(str(root)).classes)
        assert record.size == size and not record.fault


def test_equal_pixels_have_equal_hashes_in_any_file(root: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)
    write(root / "label.png", np.zeros((12, 18), np.uint8))
    hashes = set()
    for name in ("a.png", "b.bmp", "c.tif"):
        write(root / name, pixels)
        hashes.add(examined_whole("train", Item(root / name, root / "label.png", name), None).record.hashes[0])
    assert len(hashes) == 1
    pixels[3, 4, 1] ^= 1
    write(root / "a.png", pixels)
    assert examined_whole("train", Item(root / "a.png", root / "label.png", "a"), None).record.hashes[0] not in hashes
    write(root / "d.png", pixels.reshape(18, 12, 3))
    write(root / "other.png", np.zeros((18, 12), np.uint8))
    turned = examined_whole("train", Item(root / "d.png", root / "other.png", "d"), None).record.hashes[0]
    assert turned != examined_whole("train", Item(root / "a.png", root / "label.png", "a"), None).record.hashes[0]


KINDS = {
    "8-bit colour JPEG": lambda: cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8)),
    "8-bit gray JPEG": lambda: cv2.imencode(".jpg", np.zeros((9, 9), np.uint8)),
    "16-bit gray PNG": lambda: cv2.imencode(".png", np.zeros((9, 9), np.uint16)),
    "8-bit RGBA PNG": lambda: cv2.imencode(".png", np.zeros((9, 9, 4), np.uint8)),
    "16-bit RGB TIFF": lambda: cv2.imencode(".tif", np.zeros((9, 9, 3), np.uint16)),
    "BMP": lambda: cv2.imencode(".bmp", np.zeros((9, 9, 3), np.uint8)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_an_image(kind: str) -> None:
    data = KINDS[kind]()[1].tobytes()
    assert image_kind(data) == kind
    for end in range(0, min(len(data), 700), 7):  # a damaged file has a kind, too
        assert image_kind(data[:end])
