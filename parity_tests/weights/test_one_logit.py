"""Networks of one logit a pixel: label 1 where the logit is above 0, means of sigmoids, a file that does the same."""

import json

import numpy as np
import pytest

from parity_tests.export.export_files import SMALL, connected
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import LEARNERS, assert_close, check_difference, difference, hot_arrays, random_images
from parity_tests.training_runs import SLOW_IN_MINDSPORE, flags
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.commands import convert_model
from segformer_core.errors import WeightsError
from segformer_core.protocol.plan import Plan, View
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_network, load_pretrained, load_weights
from segformer_core.weights.one_logit import SENTENCE
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights

SPEC = segformer("b0", class_count=1, numerics="hf")
TWO = segformer("b0", class_count=2, numerics="hf")
ARRAYS = hot_arrays(SPEC)
HEAD = "decode_head.linear_pred.weight"
ARRAYS["decode_head.linear_pred.bias"] -= np.float32(0.5)  # labels of both kinds
SIZE = (64, 96)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of ours of one class."""
    path = tmp_path_factory.mktemp("one") / "one.safetensors"
    save_weights(path, SPEC, ARRAYS)
    return path


@pytest.fixture(scope="module")
def hf_folder(path):
    """The same as transformers keeps it, which the conversion leaves as it is."""
    folder = path.parent / "hf"
    convert_model.main([str(path), str(folder)])
    return folder


def test_a_conversion_keeps_one_class(path, hf_folder):
    config = json.loads((hf_folder / "config.json").read_text())
    assert len(config["id2label"]) == 1
    weights = read(hf_folder)
    assert weights.architecture.class_count == 1 and not weights.notes
    assert np.array_equal(weights.atoms[HEAD], ARRAYS[HEAD])


def test_a_row_of_zeros_comes_first(path, hf_folder):
    for source in (path, hf_folder):
        spec, arrays, notes = load_network(str(source), numerics="hf")
        assert spec == TWO and notes == (SENTENCE,)
        for name, array in arrays.items():
            zero, *rest = np.split(array, 2) if name.startswith("decode_head.linear_pred") else (0.0, array)
            assert not np.any(zero) and np.array_equal(rest[0], ARRAYS[name]), name
        same, sentence = load_weights(str(source), TWO)
        assert SENTENCE in sentence and all(np.array_equal(same[name], arrays[name]) for name in arrays)
        started, sentence = load_pretrained(str(source), TWO, init_arrays(TWO, 0))
        assert "all arrays" in sentence and SENTENCE in sentence
        assert all(np.array_equal(started[name], arrays[name]) for name in arrays)
        with pytest.raises(WeightsError, match="one logit a pixel .* has class_num 2; the configuration has class_num 1"):
            load_weights(str(source), SPEC)
    several = hot_arrays(segformer("b0", class_count=3))
    save_weights(path.parent / "three.safetensors", segformer("b0", class_count=3), several)
    _, arrays, notes = load_network(str(path.parent / "three.safetensors"))
    assert not notes and np.array_equal(arrays[HEAD], several[HEAD])


@pytest.mark.compares("{backend}", "its own single logit")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_labels_and_means_are_those_of_the_sigmoid(backend, hf_folder, request):
    request.getfixturevalue(f"need_{backend}")
    _, arrays, _ = load_network(str(hf_folder))
    single, double = LEARNERS[backend](SPEC, ARRAYS), LEARNERS[backend](TWO, arrays)
    views = [random_images(1, *SIZE), random_images(1, 32, 64, seed=1)]
    logits = [[logit(single, image), logit(single, image[..., ::-1])[:, ::-1]] for image in views]
    x = logits[0][0]
    labels = double.predict(views[:1], plan(views[:1]))[0]
    sure = np.abs(x) > 1e-4
    assert np.array_equal(labels[sure], x[sure] > 0) and 0.05 < labels.mean() < 0.95 and sure.mean() > 0.99
    scores = double.scores(views[:1], plan(views[:1]))[0]
    assert not scores[0].any()
    assert_close("the object's logit", scores[1], x, "logits")

    mean = double.scores(views, Plan(SIZE, plan(views).views, flip=True))[0]
    sigmoids = sum(1 / (1 + np.exp(-x.astype(np.float64))) for pair in logits for x in pair)
    check_difference("sum of sigmoids", difference(mean[1], sigmoids), "logits")


def logit(learner, image: np.ndarray) -> np.ndarray:
    """(1, 3, h, w) -> (*SIZE) float32: the only logit, at the plan's size."""
    return learner.scores([np.ascontiguousarray(image)], plan([image]))[0, 0]


def plan(images: list[np.ndarray]) -> Plan:
    return Plan(SIZE, tuple(View(image.shape[2:], image.shape[2:]) for image in images))


def test_an_exported_file_labels_the_object(path, tmp_path):
    connect = connected("torch")
    keys = SMALL | {"data_path": tmp_path, "export_ckpt_path": path, "export_path": tmp_path / "net.onnx", "numerics": "hf"}
    keys |= {"class_num": 2, "export_output": "labels", "export_format": "ONNX"}
    assert main("export", connect, flags(keys)) == DONE
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    image = random_images(1, *SIZE)
    labels = session.run(None, {session.get_inputs()[0].name: image})[0][0]
    x = logit(LEARNERS["torch"](SPEC, ARRAYS), image)
    sure = np.abs(x) > 1e-4
    assert labels.shape == x.shape and np.array_equal(labels[sure], x[sure] > 0) and 0.05 < labels.mean() < 0.95


def test_a_network_of_one_class_is_not_trained(tmp_path, capsys):
    write_folder_dataset(tmp_path)
    (tmp_path / "dataset.yaml").write_text("classes: [crack]")
    assert main("train", connected("torch"), flags(SMALL | {"data_path": tmp_path, "class_num": 1})) == USERS_MISTAKE
    said = capsys.readouterr().err
    assert (
        "dataset.yaml lists one class, crack, and the loss of one class is always 0; list the background as a class too" in said
    )
    assert "classes: [background, crack], and if the masks hold 0 and 255, label_map: {0: background, 255: crack}\n" in said
