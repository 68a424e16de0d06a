"""Damaged and hostile weight files: one sentence that helps; nothing is run."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from parity_tests.training_runs import FULL
from parity_tests.weights.weight_files import foreign_arrays, saved, segmenter, weights_of
from segformer_core.errors import UserError, WeightsError
from segformer_core.weights.containers import mindspore_file, torch_file
from segformer_core.weights.dialects import NVLABS
from segformer_core.weights.reading import read
from segformer_core.weights.writing import plan_writing, write

SEGMENTER = segmenter("b0")


TRIALS = 30 if FULL else 8


class Payload:
    """Pickled, it calls a function when it is loaded."""

    def __init__(self, trace: Path, call=os.mkdir):
        self.trace, self.call = trace, call

    def __reduce__(self):
        return self.call, (str(self.trace),)


@pytest.mark.parametrize("call", [os.mkdir, os.system, eval, exec, __import__], ids=lambda call: call.__name__)
@pytest.mark.parametrize("form", ["pdparams", "zip", "legacy"])
def test_a_pickle_that_would_run_code_runs_nothing(form, call, tmp_path, need_torch):
    import torch

    trace, path = tmp_path / "trace", tmp_path / "x.pth"
    tree = {"state_dict": {}, "payload": Payload(trace, call)}
    if form == "pdparams":
        path.write_bytes(pickle.dumps(tree))
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=form == "zip")
    name = {os.mkdir: r"posix\.mkdir", os.system: r"posix\.system"}.get(call, rf"(builtins|__builtin__)\.{call.__name__}")
    with pytest.raises(WeightsError, match=rf"is a pickle that would call {name}, .*nothing of it was run"):
        read(path)
    assert not trace.exists()


def test_the_payload_would_leave_its_trace(tmp_path):
    """The control of the test above: unpickled normally, the payload runs."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


def test_training_objects_beside_the_weights_stay_inert(tmp_path, need_torch):
    """Objects such as a Namespace are neither refused nor built."""
    import argparse

    import torch

    arrays = foreign_arrays(NVLABS, SEGMENTER)
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    beside = {"args": argparse.Namespace(lr=1), "path": Path("x"), "dtype": torch.float16, "device": torch.device("cpu")}
    torch.save({"state_dict": state, **beside}, tmp_path / "x.pth")
    assert read(tmp_path / "x.pth").architecture == SEGMENTER


def forms(tmp_path: Path) -> dict[str, Path]:
    """One sound file of each form."""
    weights = weights_of(tmp_path, SEGMENTER)
    paths = {suffix: tmp_path / f"sound{suffix}" for suffix in (".pth", ".safetensors", ".ckpt", ".pdparams", ".h5")}
    for path in paths.values():
        write(weights, path, plan_writing(weights, path))
    return paths


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt", ".pdparams", ".h5"])
def test_truncated_and_empty_files(suffix, tmp_path):
    whole = forms(tmp_path)[suffix].read_bytes()
    path = tmp_path / f"damaged{suffix}"
    for kept in (len(whole) - 7, len(whole) // 2, 100, 11, 3):
        path.write_bytes(whole[:kept])
        with pytest.raises(WeightsError, match=rf"damaged{suffix} (is|cannot|holds).*(damaged|truncated|read|no arrays)"):
            read(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="is empty; fetch or write it again"):
        read(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt", ".pdparams", ".h5"])
def test_flipped_bytes_are_an_error_or_other_numbers_never_a_crash(suffix, tmp_path):
    whole = bytearray(forms(tmp_path)[suffix].read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / f"flipped{suffix}"
    for trial in range(TRIALS):
        damaged = bytearray(whole)
        span = min(len(whole), 20_000) if trial % 2 else len(whole)  # headers are at one end or the other
        for at in rng.integers(0, span, 5):
            damaged[at if trial % 4 < 2 else -1 - at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read(path)
        except UserError as error:
            assert "\n" not in str(error)


def test_a_safetensors_header_that_lies_about_sizes(tmp_path):
    whole = saved(tmp_path / "x.safetensors", {"a": np.ones(4, np.float32)}).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    for change in ({"data_offsets": [0, 1 << 40]}, {"shape": [1 << 60]}, {"data_offsets": [8, 0]}, {"dtype": "F64"}):
        text = json.dumps({"a": header["a"] | change}).encode()
        (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
        with pytest.raises(WeightsError, match="damaged or not a safetensors file"):
            read(tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + whole[8:])
    with pytest.raises(WeightsError, match="damaged or not a safetensors file"):
        read(tmp_path / "x.safetensors")


def test_a_tensor_that_reaches_beyond_its_storage(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "_integers", lambda numbers: real(tuple(1000 * number for number in numbers)))
    real = _REAL_INTEGERS
    torch_file.write(tmp_path / "x.pth", {"a": np.ones((2, 2), np.float32)}, "float32")
    with pytest.raises(WeightsError, match="reaches beyond its storage"):
        read(tmp_path / "x.pth")


_REAL_INTEGERS = torch_file._integers


def test_a_checkpoint_that_lies_about_sizes(tmp_path):
    mindspore_file.write(tmp_path / "x.ckpt", {"a": np.ones((2, 2), np.float32)}, "float32")
    raw = (tmp_path / "x.ckpt").read_bytes()
    (tmp_path / "x.ckpt").write_bytes(raw.replace(b"\x08\x02\x08\x02", b"\x08\x02\x08\x03"))
    with pytest.raises(WeightsError, match=r"a of shape \(2, 3\) and type Float32 holds 16 bytes"):
        read(tmp_path / "x.ckpt")


def test_files_of_no_known_kind(tmp_path):
    sentences = {
        "model.tlt": (np.random.default_rng(0).bytes(100), "is an encrypted TAO file"),
        "model.onnx": (b"\x08\x07\x12\x07pytorch", "is an ONNX network, an export of weights"),
        "model.ckpt": (b"\x08\x07\x12\x07pytorch", "holds no arrays|damaged, encrypted, or of no known kind"),
        "notes.txt": (b"hello", "a weight file of no known kind"),
    }
    for name, (raw, sentence) in sentences.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(WeightsError, match=sentence):
            read(tmp_path / name)
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(WeightsError, match="a zip archive but not one that torch.save wrote"):
        read(tmp_path / "x.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="empty holds none of model.safetensors"):
        read(tmp_path / "empty")


def test_a_whole_pickled_model_is_not_a_state_dict(tmp_path, need_torch):
    import torch

    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"holds a Linear, not a dictionary of arrays; .* save its state_dict\(\)"):
        read(tmp_path / "model.pth")
