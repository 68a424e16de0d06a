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
from segformer_core.data.dataset import digest_of
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
        size = t.random_size(label.shape, np.random.default_rng(seed), (60, 80), (0.5, 2.0))
        scaled, scaled_label = t.resize_image(image, size), t.resize_label(label, size)
        assert scaled.shape[:2] == scaled_label.shape == size
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
            window = t.random_window(label, np.random.default_rng(seed), (30, 30), ratio)
            crop, crop_label = image[window], label[window]
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
    crop = image[t.random_window(label, rng, (30, 40), 0.75)]
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
    config = DataConfig(crop_size=(4, 5), img_norm_mean=(123.675, 116.28, 103.53), img_norm_std=(58.395, 57.12, 57.375))
    for values in (image, image.astype(np.float32)):
        padded, label = t.as_sample(values, t.UNCHANGED, np.zeros((2, 3), np.uint8), config)
        assert padded.shape == (3, 4, 5) and padded.dtype == np.float32 and padded.flags.c_contiguous
        want = [(255 - 123.675) / 58.395, -116.28 / 57.12, (100 - 103.53) / 57.375]
        assert padded[:, 0, 0] == pytest.approx(want, rel=1e-6) and (padded[:, :2, :3] == padded[:, :1, :1]).all()
        assert not padded[:, 2:].any() and not padded[:, :, 3:].any()
        assert (label[2:] == 255).all() and (label[:, 3:] == 255).all() and (label[:2, :3] == 0).all()


def test_a_window_is_that_of_the_whole_resized_image():
    """To the bit: of 8 bits only the part above and left of the window's corner is resized."""
    rng = np.random.default_rng(0)
    for _ in range(3000):
        height, width, channels, depth = *rng.integers(3, 120, 2), rng.choice([1, 3, 4]), rng.choice([np.uint8, np.float32])
        image = (rng.random((height, width, channels)) * 255).astype(depth)
        factor = rng.choice([0.5, 1, 1.01, 2, 4, rng.uniform(0.3, 3)])
        size = max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1)
        top, left = (int(rng.integers(side)) for side in size)
        window = np.s_[top : int(rng.integers(top, size[0])) + 1, left : int(rng.integers(left, size[1])) + 1]
        got = t.resize_window(image, size, window)
        assert np.array_equal(got, t.resize_image(image, size)[window]), (image.shape, depth, size, window)


def reference_augmentation(image: np.ndarray, label: np.ndarray, rng: np.random.Generator, config: DataConfig):
    """The recipe step by step on whole arrays, each step an array of its own."""
    size = t.random_size(label.shape, rng, config.base_size, config.scale_range)
    image, label = t.resize_image(image, size), t.resize_label(label, size)
    for tries_left in range(10, -1, -1):
        top, left = (int(rng.integers(0, max(have - want, 0) + 1)) for have, want in zip(size, config.crop_size, strict=True))
        crop = np.s_[top : top + config.crop_size[0], left : left + config.crop_size[1]]
        counts = np.bincount(label[crop].ravel(), minlength=256)[:255]
        if not tries_left or (np.count_nonzero(counts) > 1 and counts.max() < config.cat_max_ratio * counts.sum()):
            break
    image, label = image[crop], label[crop]
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    distorted = reference_distortion(image, rng) if image.dtype == np.uint8 else t.distort_floats(image, rng)
    normal = (distorted.astype(np.float32) - np.float32(config.img_norm_mean)) / np.float32(config.img_norm_std)
    pixels, labels = np.zeros((3, *config.crop_size), np.float32), np.full(config.crop_size, 255, np.int32)
    pixels[:, : label.shape[0], : label.shape[1]] = normal.transpose(2, 0, 1)
    labels[: label.shape[0], : label.shape[1]] = label
    return pixels, labels


@pytest.mark.parametrize("depth", [np.uint8, np.float32])
def test_the_augmentation_is_its_steps_to_the_bit(depth):
    noise, label = np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(depth), sample()[1]
    for seed in range(150):
        config = DataConfig(base_size=(60, 80), crop_size=((40, 56), (90, 48), (130, 170))[seed % 3])
        rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
        got, want = t.augment(noise, label, rng, config), reference_augmentation(noise, label, other, config)
        for mine, plain in zip(got, want, strict=True):
            assert np.array_equal(mine, plain) and mine.dtype == plain.dtype and mine.flags.c_contiguous, seed
        assert rng.random() == other.random(), "as many draws"


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


def test_a_data_set_of_bmps_gives_the_same_samples(tmp_path):
    roots = [write_folder_dataset(tmp_path / name) for name in ("png", "bmp")]
    for path in roots[1].glob("*/*/*.png"):
        cv2.imwrite(str(path.with_suffix(".bmp")), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        path.unlink()
    with (roots[1] / "dataset.yaml").open("a") as file:
        file.write("label_suffix: .bmp\n")
    config = DataConfig(base_size=(64, 96), crop_size=(48, 64))
    png, bmp = (TrainingStream(open_dataset(str(root), "train"), config, seed=0, batch_size=2, epochs=1) for root in roots)
    assert len(png) == len(bmp) == 4 and bmp.dataset.items[0].image.suffix == bmp.dataset.items[0].label.suffix == ".bmp"
    assert all(np.array_equal(mine, plain) for at in range(4) for mine, plain in zip(bmp[at], png[at], strict=True))
    assert digest_of(png.dataset) == digest_of(bmp.dataset), "a run goes on with either"


class Threads(TrainingStream):
    """Its pixels are the number of threads that cv2 has where they are made."""

    def __getitem__(self, position):
        image, label = super().__getitem__(position)
        return np.full_like(image, cv2.getNumThreads()), label


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_worker_keeps_to_its_core(backend, tmp_path, request):
    """Also where this process has threads of cv2 running, which a forked one would look for; they come back."""
    request.getfixturevalue(f"need_{backend}")
    batches = connector(backend)(RuntimeConfig(device_target="CPU")).batches
    dataset = open_dataset(str(write_folder_dataset(tmp_path / "set", images=4)), "train")
    usual = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        cv2.resize(np.zeros((2048, 2048, 3), np.uint8), (3000, 3000))
        got = list(batches(Threads(dataset, DataConfig(crop_size=(48, 64)), seed=0, batch_size=2, epochs=1), 2, 0))
        assert len(got) == 2 and all((images == 1).all() for images, _ in got)
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(usual)


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_loaders_name_a_bad_file(backend, tmp_path, request):
    request.getfixturevalue(f"need_{backend}")
    batches = connector(backend)(RuntimeConfig(device_target="CPU")).batches
    root = write_folder_dataset(tmp_path / "set", images=2)
    (root / "labels/train/train1.png").write_bytes(b"")
    stream = TrainingStream(open_dataset(str(root), "train"), DataConfig(crop_size=(48, 64)), seed=0, batch_size=2, epochs=1)
    with pytest.raises(DataError, match=r"train1.png is empty or truncated \(0 bytes\); copy it again$"):
        list(batches(stream, 1, 0))
