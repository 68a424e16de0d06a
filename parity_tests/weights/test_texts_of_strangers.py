"""Names of files and texts inside them may hold anything: what is kept of them can be read back and shown."""

import os

import pytest

from parity_tests.training.test_damaged_checkpoints import SPEC
from segformer_core.commands.convert_model import main as convert
from segformer_core.spec.arrays import init_arrays
from segformer_core.weights.containers import opened
from segformer_core.weights.reading import read
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
