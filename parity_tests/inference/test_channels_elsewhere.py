"""Networks of other channels where images come as arrays, as a video, or to an exported file, and weights from folders."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.support import hot_arrays
from parity_tests.training_runs import flags
from segformer_core.cli import COMMANDS
from segformer_core.commands.convert_model import main as convert
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.spec.model import segformer
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights

SIZE = (64, 96)


def weights(folder: Path, channels: int, **keys: object) -> Path:
    """A network of two classes, which remembers how images are shown to it."""
    spec, path = segformer("b0", 2, in_channels=channels), folder / f"of_{channels}.safetensors"
    mean, std = (100.0 + np.arange(channels)).tolist(), (50.0 + np.arange(channels)).tolist()
    recipe = {"base_size": list(SIZE), "img_norm_mean": mean, "img_norm_std": std} | keys
    save_weights(path, spec, hot_arrays(spec), config=json.dumps(recipe))
    return path


def run(command: str, **keys: object) -> None:
    COMMANDS[command](load_config(flags({"device_target": "CPU"} | keys), READS[command]), connector("torch"))


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_what_is_computed_afterwards_sees_the_image_as_the_labels_did(kind, tmp_path):
    """The range is applied once, not again to what is on the scale 0..255 by now."""
    need("torch")
    import backend_torch

    top = {"uint16": 4095, "float32": 1.0}[kind]
    network = backend_torch.load(weights(tmp_path, 4, image_range=[0.0, float(top)]), device_target="CPU")
    array = (np.random.default_rng(0).random((*SIZE, 4)) * top).astype(kind)
    result = network(array)
    assert np.allclose(result.confidence, network(array, confidence=True).confidence, atol=1e-6)
    assert np.allclose(result.probabilities, network.probabilities(array), atol=1e-6)
    assert np.array_equal(result.probabilities.argmax(0), result.labels)


def test_a_threshold_decides_the_labels_of_a_result(tmp_path):
    need("torch")
    import backend_torch

    path, array = weights(tmp_path, 1), np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    plain = backend_torch.load(path, device_target="CPU")
    probabilities = plain.probabilities(array)[1]
    least = float(np.quantile(probabilities, 0.7))
    sure = backend_torch.load(path, device_target="CPU", infer_threshold=least)
    foreground = probabilities >= np.float32(least)
    assert 0.2 < foreground.mean() < 0.4 and (foreground != (plain(array).labels == 1)).any()
    for result in (sure(array), sure(array, confidence=True)):
        assert (result.labels != foreground).mean() < 1e-3, "but for rounding at the threshold"


def test_a_gray_video_is_labelled_by_a_network_of_one_channel(tmp_path):
    need("torch")
    writer = cv2.VideoWriter(str(tmp_path / "gray.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, SIZE[::-1])
    for frame in range(2):
        writer.write(np.repeat(np.random.default_rng(frame).integers(0, 256, (*SIZE, 1)).astype(np.uint8), 3, 2))
    writer.release()
    run("infer", data_path=tmp_path / "gray.avi", infer_ckpt_path=weights(tmp_path, 1), infer_output_path=tmp_path / "masks")
    shown = cv2.VideoCapture(str(tmp_path / "masks/gray_gray.mkv"))
    assert shown.read()[1].shape[:2] == SIZE


@pytest.mark.parametrize("channels", [1, 4])
def test_a_file_that_normalises_channels_labels_as_its_weights(channels, tmp_path):
    need("torch")
    pytest.importorskip("onnxruntime")
    path = weights(tmp_path, channels)
    shape = SIZE if channels == 1 else (*SIZE, channels)
    np.save(tmp_path / "image.npy", np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    size = {"export_height": SIZE[0], "export_width": SIZE[1]}
    run("export", export_ckpt_path=path, export_format="ONNX", export_path=tmp_path / "net.onnx", export_preprocess=True, **size)
    labels = []
    for source in (path, tmp_path / "net.onnx"):
        output = tmp_path / f"by_{source.suffix[1:]}"
        run("infer", data_path=tmp_path / "image.npy", infer_ckpt_path=source, infer_output_path=output)
        labels.append(cv2.imread(str(output / "image_gray.png"), cv2.IMREAD_UNCHANGED))
    assert np.array_equal(*labels) and len(np.unique(labels[0])) == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_a_folder_of_transformers_keeps_channels_and_their_mean(channels, tmp_path):
    path = weights(tmp_path, channels)
    convert([str(path), str(tmp_path / "folder")])
    convert([str(tmp_path / "folder"), str(tmp_path / "back.safetensors")])
    before, after = read(path), read(tmp_path / "back.safetensors")
    assert after.architecture.in_channels == channels
    assert all(np.array_equal(array, after.atoms[name]) for name, array in before.atoms.items())
    assert after.stated.preparation.mean == pytest.approx(before.stated.preparation.mean)
    assert after.stated.preparation.std == pytest.approx(before.stated.preparation.std)
