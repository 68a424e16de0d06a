"""Rung 5, pixels: the augmentation against plain references, and both frameworks' loaders against the stream."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import check_exact_control
from segformer_core.commands.opening import connector
from segformer_core.config.keys import DataConfig, RuntimeConfig
from segformer_core.data import transforms as t
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import DataError


def sample(height: int = 60, width: int = 80, seed: int = 0):
    """An image whose red channel is its label times 40, so that a shift between the two shows."""
    rng = np.random.default_rng(seed)
    label = np.kron(rng.integers(0, 5, (height // 10, width // 10)), np.ones((10, 10))).astype(np.uint8)
    return np.stack([label * 40] * 3, axis=-1), label


@pytest.mark.parametrize(
    ("size", "bounds", "fitted"),
    [
        ((1024, 2048), (512, 1024), (512, 1024)),
        ((360, 480), (352, 480), (352, 469)),
        ((480, 360), (352, 480), (469, 352)),
        ((1, 1000), (50, 100), (1, 100)),
    ],
)
def test_fitted_size_keeps_the_ratio(size, bounds, fitted):
    assert t.fitted_size(size, bounds) == fitted


def test_scale_stays_in_range_and_labels_stay_classes():
    image, label = sample()
    sizes = set()
    for seed in range(50):
        scaled, scaled_label = t.random_scale(image, label, np.random.default_rng(seed), (60, 80), (0.5, 2.0))
        assert scaled.shape[:2] == scaled_label.shape
        assert set(np.unique(scaled_label)) <= set(np.unique(label))
        sizes.add(scaled_label.shape[0])
    assert 30 <= min(sizes) < 40 and 110 < max(sizes) <= 120


def test_crop_is_aligned_and_avoids_one_class():
    image, label = sample()
    label[:, :60] = 0
    image[:, :60] = 0
    full = [0, 0]
    for seed in range(200):
        for ratio, counter in ((0.75, 0), (1.0, 1)):
            crop, crop_label = t.random_crop(image, label, np.random.default_rng(seed), (30, 30), ratio)
            assert crop.shape == (30, 30, 3) and (crop[..., 0] == crop_label * 40).all()
            full[counter] += np.bincount(crop_label.ravel()).max() > 0.75 * crop_label.size
    assert full[0] < 10 < 100 < full[1]


def test_ignored_pixels_do_not_count_and_an_eleventh_crop_is_taken_as_it_is():
    """Half is ignored; of the rest one class has three quarters, which is too much: all ten tries fail."""
    image, label = sample(30, 60)
    label[:] = 255
    label[:, ::4], label[0, 2::4] = 0, 1
    rng, eleven = np.random.default_rng(0), np.random.default_rng(0)
    image[..., 0] = np.arange(60)
    crop, _ = t.random_crop(image, label, rng, (30, 40), 0.75)
    lefts = [(eleven.integers(0, 1), eleven.integers(0, 21))[1] for _ in range(11)]
    assert crop[0, 0, 0] == lefts[10] != lefts[9]
    assert rng.random() == eleven.random()


def test_flip_turns_both_half_the_time():
    image, label = sample()
    flipped = 0
    for seed in range(100):
        other, other_label = t.random_flip(image, label, np.random.default_rng(seed))
        assert (other[..., 0] == other_label * 40).all()
        flipped += not np.array_equal(other_label, label)
    assert 30 < flipped < 70


def reference_distortion(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The definition of the paper's code, in its order: uint8 after every step, HSV and back for each of the two colour steps."""

    def affine(values, factor, offset):
        return np.clip(values.astype(np.float32) * np.float32(factor) + np.float32(offset), 0, 255).astype(np.uint8)

    if rng.random() < 0.5:
        image = affine(image, 1, rng.uniform(-32, 32))
    last = rng.random() < 0.5
    if not last and rng.random() < 0.5:
        image = affine(image, rng.uniform(0.5, 1.5), 0)
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = affine(hsv[..., 1], rng.uniform(0.5, 1.5), 0)
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(-18, 18)) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return affine(image, rng.uniform(0.5, 1.5), 0) if last and rng.random() < 0.5 else image


def test_distortion_is_its_definition():
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    changed = 0
    for seed in range(200):
        got = t.distort(image, np.random.default_rng(seed))
        assert np.array_equal(got, reference_distortion(image, np.random.default_rng(seed))), seed
        changed += not np.array_equal(got, image)
    assert changed > 150


def test_padding_is_zero_after_normalising_and_ignored():
    image = np.full((2, 3, 3), (255, 0, 100), np.uint8)
    normal = t.normalise(image, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    padded, label = t.pad(normal, np.zeros((2, 3), np.uint8), (4, 5))
    assert padded.shape == (3, 4, 5) and padded.dtype == np.float32 and padded.flags.c_contiguous
    assert padded[:, 0, 0] == pytest.approx([(255 - 123.675) / 58.395, -116.28 / 57.12, (100 - 103.53) / 57.375], rel=1e-6)
    assert not padded[:, 2:].any() and not padded[:, :, 3:].any()
    assert (label[2:] == 255).all() and (label[:, 3:] == 255).all() and (label[:2, :3] == 0).all()


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_the_streams_pixels(backend, workers, tmp_path, request):
    request.getfixturevalue(f"need_{backend}")
    batches = connector(backend)(RuntimeConfig(device_target="CPU")).batches
    dataset = open_dataset(str(write_folder_dataset(tmp_path / "set", images=5)), "train")
    stream = TrainingStream(dataset, DataConfig(base_size=(64, 96), crop_size=(48, 64)), seed=3, batch_size=2, epochs=2)
    got = list(batches(stream, workers, 1))
    assert len(got) == 3, "two epochs of two steps, from the second step on"
    for step, (images, labels) in enumerate(got, start=1):
        for place in range(2):
            image, label = stream[step * 2 + place]
            assert np.array_equal(images[place], image) and np.array_equal(labels[place], label)
    shorter = list(batches(replace(stream, max_steps=3), workers, 1))
    assert len(shorter) == 2, "in the middle of the second epoch"
    assert all(
        np.array_equal(a, b) for batch, whole in zip(shorter, got[:2], strict=True) for a, b in zip(batch, whole, strict=True)
    )
    other = replace(stream, seed=4)
    check_exact_control("augmentation by another seed", float(np.abs(got[0][0][0] - other[2][0]).max()), "pixels")


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_loaders_name_a_bad_file(backend, tmp_path, request):
    request.getfixturevalue(f"need_{backend}")
    batches = connector(backend)(RuntimeConfig(device_target="CPU")).batches
    root = write_folder_dataset(tmp_path / "set", images=2)
    (root / "labels/train/train1.png").write_bytes(b"")
    stream = TrainingStream(open_dataset(str(root), "train"), DataConfig(crop_size=(48, 64)), seed=0, batch_size=2, epochs=1)
    with pytest.raises(DataError, match=r"train1.png is empty or truncated \(0 bytes\); copy it again$"):
        list(batches(stream, 1, 0))
