"""A file that does not compute what the network computes is not kept. A user's mistake gives one sentence and leaves no file."""

import re
import resource

import pytest

from parity_tests.export.export_files import SMALL, connected, needed, wrongly
from parity_tests.support import perturbed
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import INCOMPLETE, USERS_MISTAKE, main
from segformer_core.commands.opening import connector
from segformer_core.errors import install


def tampered(own, spec, arrays, form, path):
    own(spec, perturbed(arrays, "decode_head.linear_pred.bias", 1e-3), form, path)


def garbled(own, spec, arrays, form, path):
    path.write_bytes(b"no file of any format")


def in_a_full_folder(own, spec, arrays, form, path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        own(spec, arrays, form, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRONG_FILES = {
    "TORCH of other weights": (
        "torch",
        "TORCH",
        tampered,
        INCOMPLETE,
        r"logits differ by at most 0.001 .*; expected a difference of at most 2.\de-05 and at least 100.0% equal labels",
    ),
    "ONNX of no format": ("torch", "ONNX", garbled, INCOMPLETE, r"the ONNX file is not kept: .* is damaged, or no exported file"),
    "TORCH in a full folder": (
        "torch",
        "TORCH",
        in_a_full_folder,
        USERS_MISTAKE,
        r"cannot write .*net.pt2: File too large; free",
    ),
    "MINDIR of other weights": (
        "mindspore",
        "MINDIR",
        tampered,
        INCOMPLETE,
        r"logits differ by at most 0.001 .*; expected a difference",
    ),
    "MINDIR in a full folder": (
        "mindspore",
        "MINDIR",
        in_a_full_folder,
        USERS_MISTAKE,
        r"cannot write .*net.mindir: File too large",
    ),
}


@pytest.mark.parametrize("how", [how for how in WRONG_FILES if FULL or how != "MINDIR of other weights"])
def test_a_wrong_file_is_not_kept(how, folder, weights, tmp_path, capsys):
    backend, name, write, code, message = WRONG_FILES[how]
    keys = {"data_path": folder, "export_ckpt_path": weights, "export_path": tmp_path / "out", "export_name": "net"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/other").write_text("kept")
    needed(backend)
    connect = wrongly(connector(backend), write)
    assert main("export", connect, flags(SMALL | keys | {"export_format": name})) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and re.search(message, error), error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other"]


def refuse(runtime):
    raise AssertionError("this mistake must be found before a framework is loaded")


EARLY_MISTAKES = {
    "no weights": ("export", {"export_ckpt_path": ""}, "export_ckpt_path is empty; give the weight file"),
    "missing weights": ("export", {"export_ckpt_path": "a.safetensors"}, "no such weight file: a.safetensors"),
    "wrong weights": ("export", {"class_num": 5}, "has class_num 3; the configuration has class_num 5"),
    "unknown format": ("export", {"export_format": "TFLITE"}, "expected one of auto, MINDIR, AIR, ONNX, TORCH"),
    "too small": ("export", {"export_height": 31}, "export_height and export_width are 31 and 96; expected at least 32"),
    "no whole number": ("export", {"export_width": "64.5"}, "export_width in the command line is 64.5; expected a whole number"),
    "unknown precision": ("export", {"export_precision": "int4"}, "expected one of fp32, fp16, int8"),
    "no such export": ("evaluate", {"eval_ckpt_path": "a.onnx"}, "no such weight file: a.onnx"),
}


@pytest.mark.parametrize("mistake", EARLY_MISTAKES)
def test_mistakes_before_anything_is_loaded(mistake, folder, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, keys, message = EARLY_MISTAKES[mistake]
    own = {"export_ckpt_path": weights} if command == "export" else {}
    assert main(command, refuse, flags(SMALL | {"data_path": folder} | own | keys)) == USERS_MISTAKE
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and message in printed.err, printed.err
    assert not [path for path in tmp_path.iterdir() if path.name != "eval_result"]


MISTAKES = {
    "another backend's format": (
        "torch",
        {"export_format": "MINDIR"},
        "for export_format MINDIR use python -m backend_mindspore",
    ),
    "the format of backend_torch": ("mindspore", {"export_format": "ONNX"}, "backend_mindspore writes MINDIR and AIR"),
    "AIR on a CPU": (
        "mindspore",
        {"export_format": "AIR"},
        "use --export_format MINDIR here, then on the host the line for converter_lite that its",
    ),
    "another suffix": (
        "torch",
        {"export_path": "net.mindir"},
        "export_path is net.mindir; expected the suffix .onnx for a file of ONNX, or a folder",
    ),
    "a folder that cannot be made": ("torch", {"export_path": "/proc/net"}, "cannot write in folder /proc/net"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake, folder, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend, keys, message = MISTAKES[mistake]
    assert main("export", connected(backend), flags(SMALL | {"data_path": folder, "export_ckpt_path": weights} | keys)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error, error
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_what_installs_them(folder, weights, tmp_path, capsys, monkeypatch):
    connect = connected("torch")
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    keys = {"data_path": folder, "export_ckpt_path": weights, "export_path": tmp_path}
    assert main("export", connect, flags(SMALL | keys)) == USERS_MISTAKE
    assert capsys.readouterr().err == f"error: ONNX needs onnxscript, which is not installed: {install('onnx')}\n"
    assert not list(tmp_path.iterdir())
