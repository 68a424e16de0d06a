"""Bad and hostile weight files: one sentence that helps, exit code 2, nothing run, nothing written, nothing lost."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.training_runs import FULL
from parity_tests.weights.weight_files import (
    architecture,
    assert_equal_arrays,
    foreign_arrays,
    listed_shapes,
    random_arrays,
    saved,
    segmenter,
    weights_of,
)
from segformer_core.commands.convert_model import main
from segformer_core.errors import UserError, WeightsError
from segformer_core.weights.containers import mindspore_file, torch_file
from segformer_core.weights.dialects import NVLABS, NVLABS_BACKBONE, TIMM
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
    """The control of the test above."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


def test_training_objects_beside_the_weights_stay_inert(tmp_path, need_torch):
    """A Namespace, a logger's history: neither refused nor built."""
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


@pytest.mark.parametrize("kind", ["int8", "uint8", "bool", "int64"])
def test_a_type_that_is_no_float(kind, tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"] = arrays["backbone.norm1.weight"].astype(kind)
    with pytest.raises(WeightsError, match=rf"backbone.norm1.weight is of type {kind}; expected floats"):
        read(saved(tmp_path / "x.safetensors", arrays))


def test_nan_and_float64_are_warned_of(tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"][3] = np.nan
    arrays["backbone.norm2.weight"][3] = np.inf
    weights = read(saved(tmp_path / "x.safetensors", arrays))
    assert weights.warnings == ("2 arrays hold NaN or infinity, first backbone.norm1.weight: the network cannot work",)
    torch_file.write(tmp_path / "x.pth", foreign_arrays(NVLABS, SEGMENTER), "float64")
    assert read(tmp_path / "x.pth").warnings == ("191 arrays are float64 and become float32",)


def test_other_networks_are_refused_by_name(tmp_path):
    lucidrains = random_arrays(listed_shapes("lucidrains_b0like"))
    with pytest.raises(WeightsError, match="lucidrains/segformer-pytorch, another network"):
        read(saved(tmp_path / "x.safetensors", lucidrains))
    for dialect in (NVLABS_BACKBONE, TIMM):
        arrays = foreign_arrays(dialect, architecture("b2"))
        for name in [name for name in arrays if ".mlp.fc1.weight" in name]:
            arrays[name] = np.repeat(arrays[name], 2, axis=0)
        with pytest.raises(WeightsError, match="is a PVTv2-B0…B4 .* cannot be converted"):
            read(saved(tmp_path / "x.safetensors", arrays))


def test_files_of_no_known_kind(tmp_path):
    sentences = {
        "model.tlt": (np.random.default_rng(0).bytes(100), "is an encrypted TAO file"),
        "model.onnx": (b"\x08\x07\x12\x07pytorch", "a weight file of no known kind"),
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


def test_an_existing_output_is_kept_unless_forced(tmp_path, capsys):
    path = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    for name in ("out.ckpt", "folder/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
        target = str(tmp_path / name.partition("/")[0])
        with pytest.raises(UserError, match="exists and is kept; choose another name, or --force"):
            main([str(path), target])
        assert (tmp_path / name).read_text() == "precious"
        main([str(path), target, "--force"])
        assert_equal_arrays(read(target).atoms, read(path).atoms)


def test_a_full_disk_leaves_nothing_and_takes_nothing(tmp_path):
    """RLIMIT_FSIZE stands in for the disk's end."""
    path = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    (tmp_path / "out.ckpt").write_text("precious")
    program = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000)); sys.argv = sys.argv[1:]; "
        "runpy.run_path('tools/convert_model.py', run_name='__main__')"
    )
    for target in ("out.ckpt", "new.pth", "new.safetensors", "new.pdparams", "folder"):
        command = [sys.executable, "-c", program, "convert_model", str(path), str(tmp_path / target), "--force"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith(f"error: cannot write {tmp_path / target}: "), done.stderr
        assert done.stderr.count("\n") == 1
    assert (tmp_path / "out.ckpt").read_text() == "precious"
    left = {item.name for item in tmp_path.rglob("*")} - {"folder"}
    assert left == {"x.safetensors", "out.ckpt"}


def test_values_beyond_fp16_are_refused(tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"][0] = 1e5
    path = saved(tmp_path / "x.safetensors", arrays)
    weights = read(path)
    with pytest.raises(WeightsError, match="stages.0.norm.weight holds values beyond 65504"):
        write(weights, tmp_path / "y.safetensors", plan_writing(weights, tmp_path / "y.safetensors"), "fp16")
    assert not (tmp_path / "y.safetensors").exists()
    write(weights, tmp_path / "y.safetensors", plan_writing(weights, tmp_path / "y.safetensors"), "bf16")


MISTAKES = {
    "nothing": ([], "expected INPUT OUTPUT, or --pt_model_path A.pth --ms_model_path B.ckpt"),
    "one path": (["{x}"], "expected INPUT OUTPUT"),
    "both spellings": (["{x}", "y.ckpt", "--pt_model_path", "{x}", "--ms_model_path", "z.ckpt"], "expected INPUT OUTPUT"),
    "half of the seed's spelling": (["--pt_model_path", "{x}"], "expected INPUT OUTPUT"),
    "no such file": (["nowhere.pth", "y.ckpt"], "no such weight file: nowhere.pth"),
    "unknown suffix": (["{x}", "y.npz"], "cannot tell what form y.npz should have"),
    "keras in a .pth": (["{x}", "y.pth", "--to", "keras"], "keras weights cannot be written as y.pth; expected a .h5 file"),
    "smp as a folder": (["{x}", "y", "--to", "smp"], "smp weights cannot be written as y; expected a file"),
    "another format": (["{x}", "y.ckpt", "--from", "zoo"], "x.safetensors is not recognised; nearest is the MindSpore model zoo"),
    "a part that is not there": (["{x}", "y.ckpt", "--part", "ema"], "has nothing below 'ema'"),
    "folder not writable": (["{x}", "/proc/y.ckpt"], "cannot write /proc/y.ckpt"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_command_are_one_sentence(mistake, tmp_path):
    arguments, sentence = MISTAKES[mistake]
    source = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    command = [sys.executable, str(ROOT / "tools/convert_model.py"), *(word.format(x=source) for word in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert sentence in done.stderr, done.stderr
    assert [item.name for item in tmp_path.iterdir()] == ["x.safetensors"]


def test_the_report_says_what_was_found_left_out_and_what_differs(tmp_path, capsys):
    arrays = random_arrays(listed_shapes("nvlabs_seg_b0"))
    path = saved(tmp_path / "x.safetensors", arrays)
    main([str(path), str(tmp_path / "y.ckpt"), "--to", "zoo", "--dry_run"])
    printed = capsys.readouterr().out
    for words in (
        "NVlabs/SegFormer (safetensors), MiT-B0 with a decode head of width 256 and 19 classes",
        "numerics: nvlabs",
        "left out: 2 arrays, NVlabs' decode head inherits it and never computes with it: decode_head.conv_seg.",
        "differs:  the MindSpore model zoo computes GELU by tanh, these weights' code by erf: up to 1e-3 in features",
        "would write",
    ):
        assert words in printed, printed
    assert not (tmp_path / "y.ckpt").exists()
    main([str(path), str(tmp_path / "folder")])
    assert "transformers computes LayerNorm with another eps (block 1e-05 for 1e-06, stage 1e-05" in capsys.readouterr().out
    main([str(path), str(tmp_path / "folder"), "--profile", "hf", "--force"])
    printed = capsys.readouterr().out
    assert "numerics: hf (stated)" in printed and "differs" not in printed


def test_hub_names_without_the_hub_say_what_to_download(monkeypatch, tmp_path):
    from segformer_core.weights.hub import local_path, stated_numerics

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    sentence = r"huggingface_hub \(pip install.*\); or download config.json and .* from https://huggingface.co/nvidia/mit-b0/"
    with pytest.raises(WeightsError, match=sentence):
        local_path("hf:nvidia/mit-b0")
    assert local_path("a.pth") == Path("a.pth")
    assert stated_numerics("hf:nvidia/mit-b0") == "nvlabs" and stated_numerics("hf:someone/b0") == stated_numerics("a.pth") == ""


def test_hub_names_without_a_network_say_what_to_download(monkeypatch):
    import huggingface_hub

    from segformer_core.weights.hub import local_path

    def unreachable(*_, **__):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(WeightsError, match=r"cannot fetch hf:nvidia/mit-b0 \(no route to host\); download config.json"):
        local_path("hf:nvidia/mit-b0")


def test_hub_names_are_fetched(monkeypatch, tmp_path):
    import huggingface_hub

    from segformer_core.weights.hub import local_path

    asked = []

    def fetch(name, allow_patterns):
        asked.append((name, allow_patterns[1]))
        if "bin" in allow_patterns[1]:
            (tmp_path / "pytorch_model.bin").write_bytes(b"x")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert local_path("hf:nvidia/mit-b0") == tmp_path
    assert asked == [("nvidia/mit-b0", "model*.safetensors*"), ("nvidia/mit-b0", "pytorch_model*.bin*")]
