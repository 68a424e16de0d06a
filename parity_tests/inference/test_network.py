"""The Python API in both backends: a network called with images, and its results."""

import base64
import doctest
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import backend_mindspore
import backend_torch
from parity_tests.conftest import need
from parity_tests.inference.counting import Counting
from parity_tests.support import DEVICES, undecided_arrays
from parity_tests.training_runs import SLOW_IN_MINDSPORE
from segformer_core.cli import main
from segformer_core.data.classes import Classes
from segformer_core.errors import DataError
from segformer_core.inference import network as network_module
from segformer_core.inference import result as result_module
from segformer_core.inference.network import Network
from segformer_core.inference.result import Result
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

BACKENDS = {"torch": backend_torch, "mindspore": backend_mindspore}
SIZE = (64, 128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Weights of Cityscapes' classes, with which no class wins everywhere, and three photos."""
    folder = tmp_path_factory.mktemp("network")
    spec = segformer("b0", 19)
    save_weights(folder / "segformer_b0.safetensors", spec, undecided_arrays(spec))
    for index, name in enumerate(("street", "square", "tower")):
        noise = np.random.default_rng(index).integers(0, 256, (6, 9, 3)).astype(np.uint8)
        size = (90, 60) if name == "tower" else SIZE[::-1]
        cv2.imwrite(str(folder / f"{name}.jpg"), cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request) -> str:
    need(request.param)
    return request.param


@pytest.fixture(scope="module")
def loaded(backend, folder) -> Network:
    weights = folder / "segformer_b0.safetensors"
    return BACKENDS[backend].load(weights, base_size=SIZE, eval_batch_size=2, device_target=DEVICES[backend])


OF_THE_CORE = pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE, indirect=True)
"""What needs some network, and is done by the core with its labels. MindSpore compiles something for each size of an image."""


@pytest.fixture
def network(loaded) -> Network:
    """Its own predictor's calls are counted; nothing was saved yet."""
    return replace(loaded, predictor=Counting(loaded.predictor), saved={})


def test_the_examples_run(loaded, folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = {"network": loaded, "result": loaded("street.jpg")}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = 0
    for module in (network_module, result_module):
        for test in doctest.DocTestFinder().find(module, extraglobs=given):
            runner.run(test)
            examples += len(test.examples)
    assert runner.failures == 0 and examples > 10


def test_a_call_costs_what_segment_costs(network, folder):
    result = network(folder / "street.jpg")
    assert network.predictor.seen == [("predict", 1)]
    assert np.array_equal(result.labels, network.segment(folder / "street.jpg")) and len(np.unique(result.labels)) > 2
    result.overlay(), result.areas, result.geojson(), repr(result), result._repr_html_()
    assert len(network.predictor.seen) == 2, "pictures and figures need the labels alone"


def test_probabilities_and_confidence_are_computed_when_asked_for_and_once(network, folder):
    result = network(folder / "street.jpg")
    for _ in range(2):
        assert result.probabilities.shape == (19, *SIZE) and result.probabilities.dtype == np.float32
        assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
        assert np.array_equal(result.probabilities.argmax(0), result.labels)
        assert np.allclose(result.probabilities.max(0), result.confidence, atol=1e-6)
    assert network.predictor.seen == [("predict", 1), ("probabilities", 1), ("labels_and_confidences", 1)]
    both = network(folder / "street.jpg", confidence=True)
    assert np.array_equal(both.confidence, result.confidence) and np.array_equal(both.labels, result.labels)
    assert network.predictor.seen[3:] == [("labels_and_confidences", 1)], "on the way, not afterwards"


@OF_THE_CORE
def test_several_images_come_lazily_in_batches_and_in_order(network, folder):
    taken = []

    def photos():
        for name in ("street", "square", "tower", "street"):
            taken.append(name)
            yield folder / f"{name}.jpg"

    results = network(photos(), confidence=True)
    assert not taken and not network.predictor.seen, "nothing before the first is asked for"
    found = list(results)
    assert [result.name for result in found] == taken == ["street", "square", "tower", "street"]
    assert [count for _, count in network.predictor.seen] == [2, 1, 1], "two of one size; the tower has another"
    assert len(network.predictor.seen) == 3 and all(result.confidence.shape == result.labels.shape for result in found)
    for result in found:
        assert np.array_equal(result.labels, network(result.source).labels)


@OF_THE_CORE
def test_images_in_memory_are_numbered(network):
    images = np.zeros((3, 32, 64, 3), np.uint8)
    assert [result.name for result in network(list(images))] == ["image_000000", "image_000001", "image_000002"]
    assert list(network([])) == []


@OF_THE_CORE
def test_an_image_that_cannot_be_read_ends_the_series_unless_somebody_is_told(network, folder):
    items = [folder / "street.jpg", "nowhere.jpg", np.zeros((4, 4)) - 1, folder / "square.jpg"]
    results = network(items)
    assert next(results).name == "street"
    with pytest.raises(DataError, match=r"^cannot read nowhere\.jpg"):
        next(results)
    told = []
    names = [result.name for result in network(items, on_error=lambda image, error: told.append((image, str(error))))]
    assert names == ["street", "square"]
    sentences = sorted(sentence for _, sentence in told)
    assert len(told) == 2 and any(image == "nowhere.jpg" for image, _ in told if isinstance(image, str))
    assert sentences[1].startswith("image 2 is an array of 4×4 float64 with values from -1 to -1")


def made(labels: np.ndarray, names: tuple[str, ...] = ("road", "car", "<b>sky</b>"), **fields) -> Result:
    """A result of made-up labels."""
    colours = ((128, 64, 128), (0, 0, 142), (70, 130, 180))[: len(names)]
    image = np.full((*labels.shape, 3), 90, np.uint8)

    def nothing() -> np.ndarray:
        raise AssertionError("nobody asked for it")

    given = {"source": None, "name": "image"} | fields
    return Result(image, labels.astype(np.uint8), Classes(names, colours), given["source"], given["name"], nothing, nothing)


LABELS = np.array([[0, 0, 1, 255], [0, 0, 1, 1]])


def test_areas_masks_and_colours_by_hand():
    result = made(LABELS)
    assert result.areas == {"road": 0.5, "car": 0.375, "<b>sky</b>": 0.0} and result.size == (2, 4)
    assert np.array_equal(result.mask("car"), LABELS == 1) and result.mask("car").dtype == bool
    assert np.array_equal(result.mask("car"), result.mask(1)) and np.array_equal(result.mask(np.int64(1)), result.mask(1))
    assert np.array_equal(result.mask("road", "car"), LABELS != 255) and not result.mask().any()
    assert result.palette[result.labels][0, 2].tolist() == [0, 0, 142] and result.palette[255].tolist() == [0, 0, 0]
    assert repr(result) == "<Result image 2×4: road 50%, car 38%>"
    assert repr(made(LABELS, source=Path("a/b.jpg"))).startswith("<Result a/b.jpg 2×4: ")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cra", r"^no class 'cra' \(did you mean \"car\"\?\); the classes are 0 road, 1 car, 2 <b>sky</b>$"),
        ("zzz", "^no class 'zzz'; the classes are 0 road"),
        (3, "^no class 3; the classes are"),
        (-1, "^no class -1; "),
        (True, "^no class True; "),
        (1.0, "^no class 1.0; "),
    ],
)
def test_an_unknown_class_is_told_with_those_that_there_are(name, sentence):
    for ask in (made(LABELS).mask, made(LABELS).polygons):
        with pytest.raises(DataError, match=sentence):
            ask(name)


def test_polygons_are_features_with_their_class():
    [car] = made(LABELS).polygons("car")
    assert car["properties"] == {"class": "car", "index": 1, "pixels": 3} and car["type"] == "Feature"
    assert sorted(map(tuple, car["geometry"]["coordinates"][0][:-1])) == [(2, 0), (2, 2), (3, 0), (3, 1), (4, 1), (4, 2)]
    assert [feature["properties"]["class"] for feature in made(LABELS).polygons()] == ["road", "car"]
    whole = made(LABELS).geojson(smallest=4)
    assert whole["type"] == "FeatureCollection" and [feature["properties"]["index"] for feature in whole["features"]] == [0]


def test_an_overlay_shows_the_share_that_is_asked_for():
    labels = np.zeros((40, 60), np.uint8)
    assert np.array_equal(made(labels).overlay(alpha=0), made(labels).image)
    assert (made(labels).overlay(alpha=1, outlines=False) == (128, 64, 128)).all()
    labels[:, 30:] = 1
    assert not np.array_equal(made(labels).overlay(outlines=True), made(labels).overlay(outlines=False))


def test_a_notebook_shows_picture_and_table():
    text = made(np.repeat(np.repeat(LABELS, 300, 0), 300, 1), name="<i>")._repr_html_()
    [encoded] = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (320, 640, 3) and len(text) < 100_000
    assert "&lt;i&gt; · 600×1200" in text and "<i>" not in text and "<script" not in text
    assert re.findall(r">(\w[\w ]*)</td><td[^>]*>([\d.]+%)", text) == [("road", "50.0%"), ("car", "37.5%"), ("no class", "12.5%")]
    assert "sky" not in text, "a class that is not there"


@OF_THE_CORE
def test_a_long_table_is_cut(network, folder):
    classes = tuple(f"class {index}" for index in range(20))
    labels = np.arange(20, dtype=np.uint8)[None]
    result = Result(np.zeros((1, 20, 3), np.uint8), labels, Classes(classes, ((1, 2, 3),) * 20), None, "a", None, None)
    assert "8 more" in result._repr_html_() and result._repr_html_().count("<tr>") == 13


def test_save_writes_what_infer_writes(backend, network, folder, tmp_path, capsys):
    keys = {"infer_ckpt_path": folder / "segformer_b0.safetensors", "data_path": folder / "street.jpg", "base_size": "[64,128]"}
    keys |= {"infer_output_path": tmp_path / "infer", "device_target": DEVICES[backend], "infer_save_confidence_img": True}
    connect = __import__(f"backend_{backend}.device", fromlist=["connect"]).connect
    assert main("infer", connect, [f"--{name}={value}" for name, value in keys.items()]) == 0
    assert network(folder / "street.jpg").save(tmp_path / "api", confidence=True) == tmp_path / "api"
    infer, api = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("infer", "api"))
    assert len(infer) == 6 and infer == api


@OF_THE_CORE
def test_save_never_overwrites_the_image(network, folder, tmp_path):
    photo = tmp_path / "street.png"
    cv2.imwrite(str(photo), cv2.imread(str(folder / "street.jpg")))
    before = photo.read_bytes()
    network(photo).save(tmp_path)
    assert photo.read_bytes() == before and (tmp_path / "street_gray.png").is_file()


@OF_THE_CORE
def test_two_files_of_one_name_are_not_saved_over_each_other(network, folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes((folder / "street.jpg").read_bytes())
    first, second = network([tmp_path / "one/a.jpg", tmp_path / "two/a.jpg"])
    first.save(tmp_path / "out")
    first.save(tmp_path / "out")
    for _ in range(2):
        with pytest.raises(DataError, match=r"one/a\.jpg and .*two/a\.jpg would both be written to .*out/a_…; give one a name"):
            second.save(tmp_path / "out")
    second.save(tmp_path / "out", name="b")
    assert {path.name for path in (tmp_path / "out").glob("b*")} == {"b.jpg", "b_color.png", "b_gray.png", "b_overlap.png"}


@OF_THE_CORE
def test_a_photo_that_lies_there_is_never_replaced(network, folder, tmp_path):
    """Not by another photo's copy, though results of an earlier run lie beside it, nor by an array's; results are replaced."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("1", "2", "image"):
        shutil.copy(folder / "street.jpg", photos / f"{name}.png")
    before = (photos / "2.png").read_bytes()
    (photos / "1.png").write_bytes(before + b" ")
    network(photos / "2.png").save(photos)
    later = replace(network, saved={})
    for _ in range(2):
        with pytest.raises(DataError, match=r"2\.png is another image; save to another folder"):
            later(photos / "1.png").save(photos, name="2")
    for value in (0, 200):
        replace(network, saved={})(np.full((*SIZE, 3), value, np.uint8)).save(photos)
    assert (photos / "2.png").read_bytes() == (photos / "image.png").read_bytes() == before
    assert cv2.imread(str(photos / "image_input.png")).max() == 200
    for name in ("../up", "/tmp/up", "..", "."):
        with pytest.raises(DataError, match="expected the beginning of a file's name"):
            later(photos / "1.png").save(photos, name=name)


@OF_THE_CORE
def test_an_image_in_memory_is_saved_with_a_copy(network, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    network(pixels).save(tmp_path, name="made")
    assert np.array_equal(cv2.imread(str(tmp_path / "made_input.png"))[..., ::-1], pixels)


def test_frames_of_a_video_are_images(backend, network, tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, SIZE[::-1])
    for shade in (0, 90, 180):
        video.write(np.full((*SIZE, 3), shade, np.uint8))
    video.release()
    results = list(network(BACKENDS[backend].frames(tmp_path / "clip.mp4")))
    assert [round(float(result.image.mean()) / 90) for result in results] == [0, 1, 2]
    assert [result.name for result in results] == ["image_000000", "image_000001", "image_000002"]
