"""Files of ours carry a hash of their arrays and one of the rest: what does not have it is refused wherever it is read."""

import json
import shutil

import numpy as np
import pytest

from parity_tests.training.test_damaged_checkpoints import SPEC, Weights, opened
from parity_tests.training_runs import saved
from segformer_core.commands.convert_model import main as convert
from segformer_core.errors import WeightsError
from segformer_core.spec.arrays import init_arrays
from segformer_core.weights.containers import safetensors_file
from segformer_core.weights.loading import load_network
from segformer_core.weights.reading import network_arrays, read
from segformer_core.weights.store import ARRAYS_HASH, METADATA_HASH, save_weights

FILES = ("weights", "a checkpoint", "converted", "converted fp16", "converted bf16", "in a folder")


@pytest.fixture
def file_of(tmp_path):
    def write(kind: str):
        path = tmp_path / "weights.safetensors"
        if kind == "a checkpoint":
            return opened(tmp_path / "run").save(Weights(0), 1, 10)
        save_weights(path, SPEC, init_arrays(SPEC, 0))
        if kind.startswith("converted"):
            words = [str(path), str(tmp_path / "converted.safetensors"), "--dtype", kind.split()[1] if " " in kind else "fp32"]
            convert(words)
            return tmp_path / "converted.safetensors"
        if kind == "in a folder":
            (tmp_path / "folder").mkdir()
            return shutil.move(path, tmp_path / "folder" / "model.safetensors")
        return path

    return write


def named(path):
    return path.parent if path.name == "model.safetensors" else path


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_bit_of_the_arrays_is_refused(kind, file_of, tmp_path):
    path = file_of(kind)
    assert load_network(str(named(path)))[1].keys() == init_arrays(SPEC, 0).keys()
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)
    sentence = f"{named(path)} is damaged: its arrays do not have the hash that they were saved with; copy or write it again"
    with pytest.raises(WeightsError, match=sentence):
        load_network(str(named(path)))
    with pytest.raises(WeightsError, match=sentence):
        convert([str(named(path)), str(tmp_path / "out.pth")])
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("kind", FILES)
def test_changed_metadata_are_refused(kind, file_of):
    path = file_of(kind)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"numerics": "nvlabs"', b'"numerics": "nvlabt"'))
    with pytest.raises(WeightsError, match="is damaged: its metadata do not have the hash that they were saved with"):
        read(named(path))


def test_files_from_before_the_hash_of_the_metadata_and_foreign_ones_are_read(file_of, tmp_path):
    path = file_of("weights")
    arrays, metadata = saved(path)
    wanted = network_arrays(read(path))
    without = {name: value for name, value in metadata.items() if name != METADATA_HASH}
    for kept in (
        without,
        {name: value for name, value in without.items() if name != ARRAYS_HASH},
        {"format": "pt", "sha256": "of something else"},
        {},
    ):
        safetensors_file.write(path, arrays, "float32", kept)
        got = network_arrays(read(path))
        assert all(np.array_equal(got[name], array) for name, array in wanted.items()), json.dumps(kept)
    changed = arrays | {"stages.0.norm.bias": arrays["stages.0.norm.bias"] + 1}
    safetensors_file.write(path, changed, "float32", without)
    with pytest.raises(WeightsError, match="its arrays do not have the hash"):
        read(path)
