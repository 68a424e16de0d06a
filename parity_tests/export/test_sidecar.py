"""What FILE.json says, held against literal values, and which files it refuses."""

import json
from pathlib import Path

import pytest

from parity_tests.export.export_files import SPEC, form
from segformer_core.config.keys import Config
from segformer_core.data.dataset import Classes
from segformer_core.errors import WeightsError
from segformer_core.export.choice import sidecar_path
from segformer_core.export.sidecar import (
    SIDECAR_VERSION,
    ExportedFile,
    Origin,
    Proof,
    described_input,
    described_output,
    network_keys,
    read_sidecar,
    write_sidecar,
)
from segformer_core.export.verification import Comparison
from segformer_core.files import sha256_of_files
from segformer_core.spec.model import segformer

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def test_a_static_file_of_logits():
    plain = form("ONNX")
    height, width = plain.size
    assert described_input(plain) == {
        "name": "images",
        "shape": [1, 3, height, width],
        "dtype": "float32",
        "layout": "NCHW",
        "channels": 3,
        "colour_order": "RGB",
        "normalisation": "before the file: (value - mean) / std, value and both in 0..255",
        "mean": MEAN,
        "std": STD,
    }
    assert described_output(plain) == {
        "name": "logits",
        "shape": [1, plain.class_count, height // 4, width // 4],
        "dtype": "float32",
        "meaning": "scores of the classes; upsample bilinearly, then arg-max",
    }


def test_a_dynamic_file_of_labels():
    labels = form("ONNX", dynamic=True, preprocess=True, labels=True)
    assert described_input(labels) == {
        "name": "images",
        "shape": ["batch", "height", "width", 3],
        "dtype": "uint8",
        "layout": "NHWC",
        "channels": 3,
        "colour_order": "RGB",
        "normalisation": "inside the file",
        "mean": MEAN,
        "std": STD,
    }
    assert described_output(labels) == {
        "name": "labels",
        "shape": ["batch", "height", "width"],
        "dtype": "uint8",
        "meaning": "class index of each pixel",
    }


def test_every_key_that_makes_another_network_is_in_it():
    assert network_keys(segformer("b2", 7)) == {
        "backbone": "mit_b2",
        "class_num": "7",
        "in_channels": "3",
        "decoder_width": "768",
        "numerics": "nvlabs",
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file of any bytes with its description."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"bytes")
    classes = Classes(tuple(f"class {index}" for index in range(SPEC.class_count)), ((1, 2, 3),) * SPEC.class_count)
    origin = Origin(SPEC, Config(), {"path": "w.safetensors", "sha256": "0"}, classes)
    proof = Proof(Comparison(3, 100, 2.0, 1e-6, 4, 0), "made images")
    write_sidecar(ExportedFile(path, sha256_of_files(path), form("ONNX"), "torch", ("onnxruntime",)), origin, proof)
    return path


def test_a_description_is_read_back_whole(written):
    got, content = read_sidecar(written)
    assert got == form("ONNX")
    assert content["classes"][1] == {"index": 1, "name": "class 1", "colour": [1, 2, 3]}
    assert content["verification"] == {
        "images": 3,
        "pixels": 100,
        "scale": 2.0,
        "largest_difference": 1e-6,
        "near_ties": 4,
        "unequal": 0,
        "agreement": 1.0,
        "images_from": "made images",
    }
    assert content["convert"].keys() == {"atc", "converter_lite", "trtexec"}
    assert {"segformer", "python", "torch", "onnx", "onnxruntime"} <= content["versions"].keys()
    assert content["settings"]["base_size"] == [512, 1024] and content["weights"]["path"] == "w.safetensors"


def test_a_description_of_another_version_is_refused(written):
    description = sidecar_path(written)
    description.write_text(json.dumps(json.loads(description.read_text()) | {"format": 99}))
    with pytest.raises(WeightsError, match=f"has format 99; expected {SIDECAR_VERSION}: export the file again"):
        read_sidecar(written)


def test_a_description_of_another_file_is_refused(written):
    written.write_bytes(b"other bytes")
    with pytest.raises(WeightsError, match="is not the file that net.onnx.json describes; export it again"):
        read_sidecar(written)
