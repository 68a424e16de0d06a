"""Datasets on disk: both layouts, and one clear sentence for every mistake in them."""

import json
import multiprocessing.pool
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import CLASSES, write_folder_dataset
from segformer_core.config.keys import DataConfig
from segformer_core.data import cityscapes
from segformer_core.data.ahead import prefetch
from segformer_core.data.conversion import convert, convert_all, find_annotations
from segformer_core.data.dataset import read_label, read_pair
from segformer_core.data.description import read_classes
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import GuardedStream, TrainingStream, raise_message
from segformer_core.errors import ConfigError, DataError

DATA = DataConfig(base_size=(64, 96), crop_size=(48, 64))


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder_dataset(tmp_path / "set")


@pytest.fixture
def city(tmp_path) -> Path:
    """Two training images in Cityscapes' layout, one with a vehicle, not yet converted."""
    root = tmp_path / "city"
    for index, label in enumerate(["car", "cargroup"]):
        stem = f"aachen_{index:06d}_000019"
        images, labels = (root / kind / "train" / "aachen" for kind in ("leftImg8bit", "gtFine"))
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(images / f"{stem}_leftImg8bit.png"), np.full((32, 64, 3), 90, np.uint8))
        objects = [
            {"label": "road", "polygon": [[0, 0], [63, 0], [63, 31], [0, 31]]},
            {"label": label, "polygon": [[8, 8], [20, 8], [20, 20], [8, 20]]},
            {"label": "ego vehicle", "polygon": [[0, 28], [63, 28], [63, 31], [0, 31]]},
        ]
        text = json.dumps({"imgHeight": 32, "imgWidth": 64, "objects": objects})
        (labels / f"{stem}_gtFine_polygons.json").write_text(text)
    return root


def test_folder_layout(folder):
    dataset = open_dataset(str(folder), "train")
    assert len(dataset) == 4 and dataset.classes.names == CLASSES
    image, label = read_pair(dataset.items[0], dataset.classes)
    assert image.shape == (64, 96, 3) and label.shape == (64, 96)
    assert set(np.unique(label)) == {0, 1, 2, 255}
    blue = image[label == 2].mean(0)
    assert blue[2] > blue[0] + 100, "images are RGB"


def test_cityscapes_layout_after_conversion(city):
    with pytest.raises(DataError, match="2 of 2 images of train have no .*run python -m segformer_core convert_dataset"):
        open_dataset(str(city), "train")
    results = list(convert_all(find_annotations(city), processes=1))
    assert [result.converted for result in results] == [True, True]
    dataset = open_dataset(str(city), "train")
    assert dataset.classes is cityscapes.CLASSES and len(dataset.classes) == 19
    for item, label in zip(dataset.items, (13, 13), strict=True):  # car and cargroup
        _, truth = read_pair(item, dataset.classes)
        assert truth[12, 12] == label and truth[2, 2] == 0 and truth[30, 5] == 255


def test_the_processes_of_a_conversion_end_by_themselves(city, monkeypatch):
    """A signal that meets a worker at the wrong moment is not answered, and the command would wait for ever."""
    codes: list[int | None] = []
    leave = multiprocessing.pool.Pool.__exit__

    def left(pool, *reason):
        codes.extend(process.exitcode for process in pool._pool)
        leave(pool, *reason)

    monkeypatch.setattr(multiprocessing.pool.Pool, "__exit__", left)
    assert [result.converted for result in convert_all(find_annotations(city), processes=2)] == [True, True]
    assert codes == [0, 0]


def test_conversion_skips_finishes_and_redoes(city):
    polygons = find_annotations(city)
    first, second = (path.with_name(path.name.replace("polygons.json", "labelTrainIds.png")) for path in polygons)
    assert convert(polygons[0]).converted and first.exists()
    assert [result.converted for result in convert_all(polygons, 1)] == [False, True], "finishes what is left"
    before = second.read_bytes()
    for part in (b"", before[:-20]):
        second.write_bytes(part)
        assert convert(polygons[1]).converted and second.read_bytes() == before, "newer than its polygons, but not whole"
    assert not convert(polygons[1]).converted, "up to date"
    assert convert(polygons[1], force=True).converted and second.read_bytes() == before
    polygons[0].touch()
    assert [result.converted for result in convert_all(polygons, 2)].count(True) == 1, "polygons changed"
    assert not [path for path in first.parent.iterdir() if path.name.startswith(".")], "no temporary file is left"


def test_conversion_names_a_broken_file_and_goes_on(city):
    polygons = find_annotations(city)
    polygons[0].write_text('{"imgHeight": 32')
    results = {result.annotation: result for result in convert_all(polygons, 1)}
    assert str(polygons[0]) in results[polygons[0]].error and results[polygons[1]].converted
    assert len(list(polygons[0].parent.glob("*.png"))) == 1


def test_conversion_says_which_label_is_unknown(city, capsys):
    polygons = find_annotations(city)[0]
    polygons.write_text(polygons.read_text().replace('"car"', '"dragon"'))
    assert "(ERROR: Label 'dragon' not known.)" in convert(polygons).error
    assert capsys.readouterr() == ("", ""), "cityscapesscripts prints its usage"


def test_a_jpeg_is_whole_when_its_scan_ends(tmp_path):
    """Cameras append data to a JPEG and put a thumbnail, with an end of its own, before the scan; a name may be wrong."""
    path = tmp_path / "photo.png"
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))[1].tobytes()
    thumbnail = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    photo = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + jpeg[2:]
    for whole in (jpeg, photo, photo + bytes(500)):
        path.write_bytes(whole)
        assert read_image(path).shape == (40, 60, 3)
    for share in (0.3, 0.6, 0.99):
        path.write_bytes(photo[: int(share * len(photo))])
        with pytest.raises(DataError, match="photo.png is empty or truncated"):
            read_image(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def repaint(path: Path, label: np.ndarray) -> None:
    cv2.imwrite(str(path), label)


MISTAKES = {
    "no folder": (lambda root: __import__("shutil").rmtree(root), "no such data path: .*set"),
    "no layout": (lambda root: (root / "dataset.yaml").unlink(), "is no dataset: expected Cityscapes"),
    "empty split": (lambda root: [path.unlink() for path in (root / "images/train").iterdir()], "no images in .*images/train"),
    "no label": (
        lambda root: (root / "labels/train/train1.png").unlink(),
        "1 of 4 images of train have no label; first: .*train1.png, expected .*train1.png",
    ),
    "same name": (
        lambda root: (root / "images/train/train1.jpg").write_bytes((root / "images/train/train1.png").read_bytes()),
        "train1.jpg and .*train1.png have one name and would have one label; rename one, or write the images' ending",
    ),
    "stray label": (
        lambda root: repaint(root / "labels/train/train2.png", np.full((64, 96), 7, np.uint8)),
        r"train2.png has label 7 at row 0, column 0; expected a class index 0..2 or the ignore value 255",
    ),
    "other size": (
        lambda root: repaint(root / "labels/train/train2.png", np.zeros((64, 95), np.uint8)),
        "train2.png is 64×95 pixels and its image .*train2.* is 64×96",
    ),
    "colour label": (
        lambda root: repaint(root / "labels/train/train2.png", np.full((64, 96, 3), (1, 2, 3), np.uint8)),
        r"train2.png has the colour \[3, 2, 1\] at row 0, column 0, and the first labels of its data set hold class indices",
    ),
    "deep label": (
        lambda root: repaint(root / "labels/train/train2.png", np.full((64, 96), 256, np.uint16)),
        r"has label 256 at row 0, column 0; expected a class index 0..2 or the ignore value 255",
    ),
    "truncated image": (lambda root: truncate(root / "images/train/train0.png"), "train0.png is empty or truncated"),
    "truncated label": (lambda root: truncate(root / "labels/train/train0.png"), "labels.*train0.png is empty or truncated"),
    "empty image": (lambda root: (root / "images/train/train0.png").write_bytes(b""), "train0.png is empty or truncated"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_dataset(folder, mistake):
    spoil, message = MISTAKES[mistake]
    spoil(folder)
    with pytest.raises(DataError, match=message):
        dataset = open_dataset(str(folder), "train")
        for item in dataset.items:
            read_pair(item, dataset.classes)


def test_a_description_that_is_not_there(folder):
    with pytest.raises(ConfigError, match="no such configuration file: other.yaml"):
        open_dataset(str(folder), "train", "other.yaml")


def test_another_ignore_value_becomes_255(tmp_path):
    (tmp_path / "dataset.yaml").write_text("classes: [{name: a, colour: [1, 2, 3]}]\nignore_value: 9")
    cv2.imwrite(str(tmp_path / "label.png"), np.array([[0, 9]], np.uint8))
    assert read_label(tmp_path / "label.png", read_classes(tmp_path / "dataset.yaml")).tolist() == [[0, 255]]


def test_gray_and_transparent_images_are_read_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((4, 5), 7, np.uint8))
    cv2.imwrite(str(tmp_path / "rgba.png"), np.full((4, 5, 4), 9, np.uint8))
    assert read_image(tmp_path / "gray.png").shape == read_image(tmp_path / "rgba.png").shape == (4, 5, 3)


def test_samples_depend_on_seed_epoch_and_index_alone(folder):
    dataset = open_dataset(str(folder), "train")
    stream = TrainingStream(dataset, DATA, seed=0, batch_size=3, epochs=3)
    assert (stream.steps_per_epoch, len(stream)) == (1, 9)
    forward = [stream[position] for position in range(9)]
    copy = pickle.loads(pickle.dumps(stream))
    for position in (8, 0, 4):
        for again in (stream[position], copy[position]):
            assert all(np.array_equal(a, b) for a, b in zip(forward[position], again, strict=True))
    other = TrainingStream(dataset, DATA, seed=1, batch_size=3, epochs=3)
    assert not any(np.array_equal(forward[position][0], other[position][0]) for position in range(9))
    images = [image.tobytes() for image, _ in forward]
    assert len(set(images)) == 9, "every epoch augments anew"
    assert forward[0][0].shape == (3, 48, 64) and forward[0][0].dtype == np.float32
    assert forward[0][1].shape == (48, 64) and forward[0][1].dtype == np.int32


@pytest.mark.parametrize(
    ("max_steps", "steps", "last_epoch", "in_last"), [(0, 6, 3, 2), (6, 6, 3, 2), (5, 5, 3, 1), (1, 1, 1, 1), (13, 13, 7, 1)]
)
def test_a_stream_has_its_epochs_or_its_steps(max_steps, steps, last_epoch, in_last, folder):
    """Of four images two make a step."""
    stream = TrainingStream(open_dataset(str(folder), "train"), DATA, 0, 2, epochs=3, rank=1, processes=2, max_steps=max_steps)
    assert (stream.steps, len(stream), stream.last_epoch) == (steps, steps, last_epoch)
    assert [stream.steps_in(epoch) for epoch in range(1, last_epoch + 1)] == [2] * (last_epoch - 1) + [in_last]
    whole = replace(stream, max_steps=0)
    assert all(np.array_equal(a, b) for step in range(min(steps, 6)) for a, b in zip(stream[step], whole[step], strict=True))


def test_an_epoch_takes_every_sample_at_most_once(folder):
    stream = TrainingStream(open_dataset(str(folder), "train"), DATA, seed=0, batch_size=2, epochs=50)
    orders = [tuple(stream._order(epoch)) for epoch in range(50)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders) and len(set(orders)) > 10


def test_threads_share_a_stream(folder):
    """One thread may begin the next epoch between two reads of this epoch's order in another."""

    class Forgetful(dict):
        def __contains__(self, epoch: object) -> bool:
            present = super().__contains__(epoch)
            self.clear()
            return present

    stream = TrainingStream(open_dataset(str(folder), "train"), DATA, seed=0, batch_size=2, epochs=2)
    order = stream._order(0).tolist()
    stream.__dict__["_orders"] = Forgetful({0: stream._order(0)})
    assert stream._order(0).tolist() == order


def test_too_few_images_for_a_batch(folder):
    with pytest.raises(DataError, match="has 4 train images and batch_size is 5"):
        TrainingStream(open_dataset(str(folder), "train"), DATA, seed=0, batch_size=5, epochs=1)


def test_an_error_travels_with_the_sample(folder):
    truncate(folder / "images/train/train0.png")
    stream = TrainingStream(open_dataset(str(folder), "train"), DATA, seed=0, batch_size=4, epochs=1)
    samples = [GuardedStream(stream)[position] for position in range(4)]
    assert len({tuple(part.shape for part in sample) for sample in samples}) == 1
    with pytest.raises(DataError, match="train0.png is empty or truncated"):
        raise_message(np.stack([sample[2] for sample in samples]))
    raise_message(np.zeros((2, 1024), np.uint8))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetch_keeps_the_order_and_raises_in_place(workers):
    def half(value: int) -> float:
        return 1 / (value - 20)

    assert list(prefetch(half, range(20), workers)) == [half(value) for value in range(20)]
    results = prefetch(half, range(30), workers)
    with pytest.raises(ZeroDivisionError):
        for expected in range(30):
            assert next(results) == half(expected)
