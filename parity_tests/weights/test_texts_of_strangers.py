"""Names of files and texts inside them may hold anything: what is kept of them can be read back and shown."""

import json
import os

import pytest

from parity_tests.export.test_hostile_files import described
from parity_tests.training.test_damaged_checkpoints import SPEC
from parity_tests.weights.test_described_folders import TINY
from parity_tests.weights.weight_files import weights_of
from segformer_core.commands.convert_model import main as convert
from segformer_core.export.choice import sidecar_path
from segformer_core.export.sidecar import read_sidecar
from segformer_core.spec.arrays import init_arrays
from segformer_core.weights.containers import opened
from segformer_core.weights.reading import read
from segformer_core.weights.remembered import described_by
from segformer_core.weights.store import save_weights


@pytest.mark.parametrize(("name", "kept"), [(b"b0\xff", r"b0\udcff"), (b"b0\n\x1b[2J", r"b0\n\x1b[2J")], ids=["bytes", "codes"])
def test_what_is_converted_from_a_file_of_any_name_is_read_back(name, kept, tmp_path):
    path = tmp_path / os.fsdecode(name + b".safetensors")
    save_weights(path, SPEC, init_arrays(SPEC, 0))
    convert([str(path), str(tmp_path / "out.safetensors")])
    assert read(tmp_path / "out.safetensors").architecture.class_count == SPEC.class_count
    with opened(tmp_path / "out.safetensors") as content:
        assert content.metadata["source"] == f"{kept}.safetensors"


def test_metadata_with_half_a_character_are_read_back(tmp_path):
    save_weights(tmp_path / "x.safetensors", SPEC, init_arrays(SPEC, 0), note="a\ud800b")
    read(tmp_path / "x.safetensors")
    with opened(tmp_path / "x.safetensors") as content:
        assert content.metadata["note"] == r"a\ud800b"


CODES = "\x1b]0;owned\x07\u202ea\nb"
SHOWN = r"\x1b]0;owned\x07\u202ea\nb"


def test_names_of_classes_are_read_on_one_line(tmp_path):
    weights = weights_of(tmp_path, TINY).source
    convert([weights, str(tmp_path / "folder")])
    config = tmp_path / "folder/config.json"
    labels = {"0": CODES, "1": "road", "2": "sky"}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"id2label": labels}))
    assert read(tmp_path / "folder").stated.classes == (SHOWN, "road", "sky")
    convert([str(tmp_path / "folder"), str(tmp_path / "ours.safetensors")])
    assert read(tmp_path / "ours.safetensors").stated.classes == (SHOWN, "road", "sky")


def test_classes_in_metadata_are_read_on_one_line():
    assert described_by({"classes": json.dumps([CODES, "road"])}, 2).classes == (SHOWN, "road")


def test_the_weights_of_an_exported_file_are_shown_on_one_line(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"bytes")
    content = described(path, weights={"path": CODES, "sha256": "0", "more": CODES})
    sidecar_path(path).write_text(json.dumps(content))
    assert read_sidecar(path)[1]["weights"] == {"path": SHOWN, "sha256": "0"}
