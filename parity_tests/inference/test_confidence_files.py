"""How sure the network is, as inference writes it and as a program gets it; and what a threshold makes of it."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import backend_mindspore
import backend_torch
from parity_tests.conftest import need
from parity_tests.inference.halves import CLASSES, CONFIDENCES, Halves, halves, segmenter
from parity_tests.inference.photos import names, write_images
from parity_tests.inference.test_video import LENGTH, SIZE, write_clip
from parity_tests.support import DEVICE, undecided_arrays
from parity_tests.training_runs import SLOW_IN_MINDSPORE
from segformer_core.config.keys import InferenceConfig
from segformer_core.config.load import load_config
from segformer_core.data.dataset import IGNORED
from segformer_core.errors import ConfigError, DataError
from segformer_core.inference.infer import infer
from segformer_core.inference.likeliest import likeliest
from segformer_core.inference.results import Results
from segformer_core.inference.sources import named
from segformer_core.inference.threshold import thresholded
from segformer_core.inference.video import Video
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

BACKENDS = {"torch": backend_torch, "mindspore": backend_mindspore}
SPEC = segformer("b0", class_count=7)
SHADES = tuple(round(255 * confidence) for confidence in CONFIDENCES)


def run(files: list[Path], output: Path, **keys: object) -> None:
    settings = InferenceConfig(infer_output_path=str(output), **keys)
    sources = named((file, Path(file.name)) for file in files)
    network = segmenter(Halves(), batch_size=2, threshold=settings.infer_threshold)
    infer(network, Results(sources, CLASSES, settings), settings.infer_log_interval, lambda _: None)


def gray(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_confidence_is_a_picture_of_its_own(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", {"one.png": (30, 71), "two.png": (30, 71), "tall.png": (40, 20)})
    run(images, tmp_path / "out", infer_save_confidence_img=True)
    assert {name for name in names(tmp_path / "out") if "confidence" in name} == {
        "one_confidence.png",
        "two_confidence.png",
        "tall_confidence.png",
    }
    for name, size in (("one", (30, 71)), ("two", (30, 71)), ("tall", (40, 20))):
        assert np.array_equal(gray(tmp_path / "out" / f"{name}_confidence.png"), np.array(SHADES, np.uint8)[halves(size)])
        assert np.array_equal(gray(tmp_path / "out" / f"{name}_gray.png"), halves(size))


def test_a_videos_confidence_is_without_loss(tmp_path: Path) -> None:
    run([write_clip(tmp_path / "clip.mp4")], tmp_path / "out", infer_save_confidence_img=True, infer_threshold=0.9)
    shown = list(Video(tmp_path / "out" / "clip_confidence.mkv").frames())
    assert len(shown) == LENGTH
    assert all(np.array_equal(picture, np.dstack([np.array(SHADES, np.uint8)[halves(SIZE)]] * 3)) for picture in shown)
    labels = list(Video(tmp_path / "out" / "clip_gray.mkv").frames())
    assert len(labels) == LENGTH and not any(picture.any() for picture in labels), "nowhere is class 1 as sure as 0.9"


def test_what_is_no_number_is_black_and_below_every_threshold() -> None:
    from segformer_core.inference.results import shades

    confidence = np.array([[0.0, 0.25, 0.5, 0.998, 1.0, np.nan]], np.float32)
    assert shades(confidence).tolist() == [[0, 64, 128, 254, 255, 0]]
    assert thresholded(np.zeros((1, 1), np.uint8), confidence[:, 5:], 0.01, 3).tolist() == [[IGNORED]]


@pytest.mark.parametrize(
    ("threshold", "left", "right"), [(0.0, 0, 1), (0.3, 1, 1), (0.5, 0, 1), (0.79, 0, 1), (0.81, 0, 0), (1.0, 0, 0)]
)
def test_of_two_classes_the_threshold_decides_on_the_second(tmp_path: Path, threshold: float, left: int, right: int) -> None:
    """Class 1 has 0.4 in the left half and 0.8 in the right one. No pixel is ignored."""
    (image,) = write_images(tmp_path / "in", {"one.png": (32, 64)})
    run([image], tmp_path / "out", infer_threshold=threshold)
    assert np.array_equal(gray(tmp_path / "out" / "one_gray.png"), np.where(halves((32, 64)), right, left))
    assert "one_confidence.png" not in names(tmp_path / "out")


def test_a_label_below_the_threshold_is_ignored_and_one_just_at_it_is_kept() -> None:
    labels = np.array([[3, 2, 1, 0]], np.uint8)
    confidence = np.array([[0.7, 0.7, 0.2, 1.0]], np.float32)
    confidence[0, 1] = np.nextafter(np.float32(0.7), np.float32(0))
    before = labels.copy()
    assert thresholded(labels, confidence, 0.7, 4).tolist() == [[3, IGNORED, IGNORED, 0]]
    assert thresholded(labels, confidence, 0.0, 4).tolist() == [[3, 2, 1, 0]]
    assert thresholded(labels, confidence, 1.0, 4).tolist() == [[IGNORED, IGNORED, IGNORED, 0]]
    assert np.array_equal(labels, before) and thresholded(labels, confidence, 0.7, 4).dtype == np.uint8


def test_of_two_classes_one_just_at_the_threshold_is_the_second() -> None:
    """p of class 1: 0.75, a little less, 0.25, a little less. These are exact in float32."""
    less = [float(np.nextafter(np.float32(value), np.float32(0))) for value in (0.75, 0.25)]
    labels = np.array([1, 1, 0, 0], np.uint8)
    confidence = np.array([0.75, less[0], 0.75, 1 - less[1]], np.float32)
    assert thresholded(labels, confidence, 0.75, 2).tolist() == [1, 0, 0, 0]
    assert thresholded(labels[2:3], confidence[2:3], 0.25, 2).tolist() == [1]
    assert thresholded(np.array([0], np.uint8), np.array([0.8], np.float32), 0.25, 2).tolist() == [0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_likeliest_classes_come_in_order(count: int) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), (4, 6)).astype(np.float32).transpose(2, 0, 1).copy()
    probabilities[:, 0, 0] = (0.1, 0.3, 0.3, 0.2, 0.1)
    before = probabilities.copy()
    classes, largest = likeliest(probabilities, count)
    assert classes.dtype == np.uint8 and largest.dtype == np.float32 and classes.shape == largest.shape == (count, 4, 6)
    assert np.array_equal(largest, -np.sort(-probabilities, 0)[:count]) and np.array_equal(probabilities, before)
    assert np.array_equal(np.take_along_axis(probabilities, classes.astype(int), 0), largest)
    assert classes[:, 0, 0].tolist() == [1, 2, 3, 0, 4][:count], "of equal ones the first goes first"


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 8, 3)).astype(np.uint8), (90, 60))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory):
    """(backend, further keys) -> the network, over windows, two scales and mirror images."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(path, SPEC, undecided_arrays(SPEC))
    views = {
        "eval_mode": "slide",
        "eval_crop_size": [48, 48],
        "eval_stride": [32, 32],
        "eval_scales": [0.75, 1],
        "eval_flip": True,
    }
    made: dict[tuple, object] = {}

    def load(backend: str, **keys: object):
        need(backend)
        name = (backend, *keys.items())
        if name not in made:
            own = {"base_size": [60, 90], "device_target": DEVICE}
            made[name] = BACKENDS[backend].load(path, **own, **views, **keys)
        return made[name]

    return load


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_a_program_gets_probabilities_confidence_and_the_likeliest(backend, networks, pixels, tmp_path) -> None:
    network = networks(backend)
    cv2.imwrite(str(tmp_path / "image.png"), pixels[..., ::-1])
    probabilities = network.probabilities(tmp_path / "image.png")
    assert probabilities.shape == (7, 60, 90) and probabilities.dtype == np.float32
    assert np.abs(probabilities.sum(0) - 1).max() < 1e-6
    labels, confidence = network.labels_and_confidence(pixels)
    assert np.array_equal(labels, network.segment(pixels)) and len(np.unique(labels)) > 1
    assert np.array_equal(confidence, probabilities.max(0))
    classes, largest = network.probabilities(pixels, top=3)
    assert np.array_equal(classes[0], labels) and np.array_equal(largest[0], confidence) and classes.shape == (3, 60, 90)


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_a_threshold_leaves_labels_open_over_windows_scales_and_mirror_images(backend, networks, pixels) -> None:
    labels, confidence = networks(backend).labels_and_confidence(pixels)
    threshold = float(np.median(confidence))
    open_labels = networks(backend, infer_threshold=threshold)
    want = np.where(confidence < threshold, IGNORED, labels)
    assert 0.4 < (want == IGNORED).mean() < 0.6
    assert np.array_equal(open_labels.segment(pixels), want)
    got, same = open_labels.labels_and_confidence(pixels)
    assert np.array_equal(got, want) and np.array_equal(same, confidence), "the confidence is of the likeliest class"
    assert np.array_equal(open_labels.probabilities(pixels), networks(backend).probabilities(pixels))
    ((_, _, run_labels),) = open_labels.run([pixels], lambda image: (image, None))
    assert np.array_equal(run_labels, want)


@pytest.mark.parametrize("top", [0, 8, -1, 2.0, "all"])
def test_a_number_of_classes_that_there_is_not_is_refused(top, networks, pixels) -> None:
    sentence = f"top is {top!r}; expected how many classes to give of each pixel, 1 to 7"
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        networks("torch").probabilities(pixels, top=top)


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--infer_threshold=1.5", "infer_threshold in the command line is 1.5; expected 0 to 1"),
        ("--infer_threshold=-0.1", "infer_threshold in the command line is -0.1; expected 0 to 1"),
        ("--infer_threshold=70%", "infer_threshold in the command line is '70%'; expected a number"),
        ("--infer_save_confidence_img=maybe", "infer_save_confidence_img in the command line is 'maybe'; expected True or False"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(flag: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        load_config([flag])
