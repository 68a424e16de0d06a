"""OpenVINO in ONNX Runtime's place: the same labels, in float32, from the commands and from a program."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.export.export_files import ARRAYS, SMALL, SPEC, connected, described, form
from parity_tests.training_runs import flags, long
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError, WeightsError, install
from segformer_core.evaluation.metrics import near_ties
from segformer_core.export.exported import first_line, opened
from segformer_core.export.packages import packages_to_run
from segformer_core.export.verification import made_images
from segformer_core.memory import is_out_of_memory
from segformer_core.protocol.form import FORMATS, Form
from segformer_core.protocol.learner import Session

pytestmark = pytest.mark.usefixtures("need_torch")

FORMS = {
    "one size": form(),
    "any size": form(dynamic=True),
    "any size, fp16": form(dynamic=True, precision="fp16"),
    "images to labels, any size": form(preprocess=True, labels=True, dynamic=True),
}
SIZES = ((1, 64, 96), (3, 33, 141), (2, 32, 32), (1, 64, 96))
"""Batch, height and width, one after another by one session of any size."""


def backend():
    need("openvino")
    return connected("torch")(load_config(["--device_target", "CPU"]).runtime)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Form -> a file of it, which is made once."""
    folder, made = tmp_path_factory.mktemp("openvino"), {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = folder / f"{len(made)}.onnx"
            backend().exports.write(SPEC, ARRAYS, FORMS[name], made[name])
        return made[name]

    return of


def pixels(form: Form, batch: int, height: int, width: int) -> np.ndarray:
    images = np.stack(made_images(batch, (height, width)))
    return images if form.preprocess else (images.transpose(0, 3, 1, 2) / 64.0 - 2.0).astype(np.float32)


@pytest.mark.parametrize("name", [pytest.param(name, marks=long if "fp16" in name else ()) for name in FORMS])
def test_it_gives_what_onnx_runtime_gives(name, files):
    form = FORMS[name]
    here, there = (opened(files(name), form, backend(), runtime) for runtime in ("openvino", "onnxruntime"))
    for size in SIZES if form.dynamic else SIZES[:1]:
        images = pixels(form, *size)
        got, expected = here(images), there(images)
        if form.labels:
            assert (got != expected).mean() <= 1e-3, "near ties alone"
            continue
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.abs(got - expected).max() <= (5e-3 if form.precision == "fp16" else 1e-5) * scale
        if form.precision == "fp32":
            tie = near_ties(expected, scale)
            assert (got.argmax(1) == expected.argmax(1))[~tie].all()


BFLOAT16 = """
import sys
import numpy as np
from pathlib import Path
from backend_torch.openvino_session import SETTINGS, open_openvino
from segformer_core.export.packages import imported
core = imported("openvino").Core()
if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
    sys.exit("no bfloat16")
images = np.random.default_rng(0).standard_normal((1, 3, 64, 96)).astype(np.float32)
own = {name: value for name, value in SETTINGS.items() if name != "INFERENCE_PRECISION_HINT"}
lower = core.compile_model(sys.argv[1], "CPU", own)(images)[0]
print(np.abs(lower - open_openvino(Path(sys.argv[1]))(images)).max())
"""


def test_its_own_choice_of_precision_would_be_seen(files):
    """In a process of its own: MindSpore, which the suite prepares for, takes bfloat16 away from oneDNN."""
    backend()
    alone = {name: value for name, value in os.environ.items() if "DNN" not in name}
    command = [sys.executable, "-c", BFLOAT16, files("any size")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.stderr == "no bfloat16\n":
        pytest.skip("this CPU has no bfloat16")
    assert float(done.stdout) > 1e-3, done.stderr


def test_it_takes_the_threads_that_pytorch_takes_and_holds_on_to_no_core(files, monkeypatch):
    from backend_torch.openvino_session import open_openvino

    backend()
    import openvino
    import torch

    networks, own = [], openvino.Core.compile_model
    monkeypatch.setattr(openvino.Core, "compile_model", lambda *words: networks.append(own(*words)) or networks[-1])
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        open_openvino(files("one size"))
        assert networks[-1].get_property("INFERENCE_NUM_THREADS") == threads
        assert networks[-1].get_property("ENABLE_CPU_PINNING") is False
        assert str(networks[-1].get_property("PERFORMANCE_HINT")).endswith("LATENCY"), "one image, by all threads"


def test_an_output_is_the_callers_own(files):
    session = opened(files("any size"), FORMS["any size"], backend(), "openvino")
    images = pixels(FORMS["any size"], 1, 64, 96)
    first = session(images)
    kept = first.copy()
    session(images[..., ::-1])
    assert np.array_equal(first, kept)


LACK = """
import resource, sys
from pathlib import Path
import numpy as np
from backend_torch.openvino_session import open_openvino
from segformer_core.memory import is_out_of_memory
run = open_openvino(Path(sys.argv[1]))
small, large = (np.zeros((1, 3, side, side), np.float32) for side in (64, 1024))
run(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    print(run(large).shape)
except Exception as error:
    print("told" if is_out_of_memory(error) else error)
"""


@pytest.mark.parametrize("left", [0, 20_000_000, 40_000_000], ids="{:,} bytes left".format)
def test_a_lack_of_memory_is_told_and_not_the_last_images_labels(left, files):
    """With none left it is the assembler that says so, later the tensors; in between it changes from run to run."""
    backend()
    command = [sys.executable, "-c", LACK, files("any size"), str(left)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.stdout == "told\n", done.stdout + done.stderr


def test_what_it_says_is_told_without_places_in_its_source():
    lines = (
        "Exception from src/inference/src/cpp/core.cpp:105:",
        "Check 'ptr' failed at src/x.hpp:7:",
        "Failed to allocate 4 bytes of memory",
    )
    said = RuntimeError("\n".join((*lines, "", "")))
    assert first_line(said) == "RuntimeError: 'Failed to allocate 4 bytes of memory'" and is_out_of_memory(said)


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"weights"])
def test_a_damaged_file_is_refused_in_one_sentence(damage, files, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(damage(files("one size").read_bytes()))
    with pytest.raises(WeightsError, match=r"^\S+net\.onnx (is damaged|cannot be opened)[^\n]*export it again$"):
        opened(path, FORMS["one size"], backend(), "openvino")


TOLD = """
import sys
from segformer_core.export.packages import imported
openvino = imported("openvino")
print(sys.modules["openvino.tools.ovc"].telemetry.__class__.__module__, "openvino_telemetry" in sys.modules)
"""


def test_importing_it_sends_nothing_and_leaves_the_home_alone(tmp_path):
    need("openvino")
    command = [sys.executable, "-c", TOLD]
    environment = os.environ | {"HOME": str(tmp_path), "CI": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "openvino.tools.ovc.telemetry_stub False\n" and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def exported(folder, weights, tmp_path_factory):
    """Format -> the file that `export` writes; the ONNX file is of any size, and OpenVINO proves it."""
    need("openvino")
    made = {}

    def of(name: str) -> Path:
        if name not in made:
            place = tmp_path_factory.mktemp("exported")
            keys = {"export_dynamic": True, "runtime": "openvino"} if name == "ONNX" else {}
            paths = {"data_path": folder, "export_ckpt_path": weights, "export_path": place, "export_format": name}
            assert main("export", connected("torch"), flags(SMALL | paths | {"export_name": "net"} | keys)) == DONE
            made[name] = place / f"net{FORMATS[name].suffix}"
        return made[name]

    return of


def test_export_can_prove_a_file_in_it(exported, monkeypatch):
    content = described(exported("ONNX"))
    assert "openvino" in content["versions"] and "onnxruntime" not in content["versions"]
    assert content["verification"]["agreement"] == 1.0 and content["settings"]["runtime"] == "openvino"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_commands_and_a_program_run_the_file_by_it(runtime, exported, folder, tmp_path, monkeypatch, capsys):
    """Each with the labels of ONNX Runtime; that the package asked for runs it is seen by whom it is opened."""
    import backend_torch
    from backend_torch import exported as files
    from backend_torch import openvino_session

    used: list[str] = []

    def noted(name: str, own):
        def open_(path: Path) -> Session:
            used.append(name)
            return own(path)

        return open_

    monkeypatch.setattr(files, "open_openvino", noted("openvino", openvino_session.open_openvino))
    monkeypatch.setitem(files.OPENED, ".onnx", noted("onnxruntime", files.open_onnx))
    path, places = exported("ONNX"), {name: tmp_path / name for name in ("auto", runtime)}
    for name, place in places.items():
        keys = {"data_path": folder / "images/val", "infer_ckpt_path": path, "infer_output_path": place, "runtime": name}
        assert main("infer", connected("torch"), flags(SMALL | keys)) == DONE
    assert used == ["onnxruntime", runtime]
    assert f"in fp32, by {runtime}, written from" in capsys.readouterr().out
    photos = sorted((folder / "images/val").iterdir())
    network = backend_torch.load(path, runtime=runtime, device_target="CPU", base_size=SMALL["base_size"])
    for photo in photos:
        expected, got = (cv2.imread(str(place / f"{photo.stem}_gray.png"), -1) for place in places.values())
        assert (got != expected).mean() <= 1e-3 and (network(photo).labels != expected).mean() <= 1e-3

    keys = {"data_path": folder, "eval_ckpt_path": path, "eval_output_path": tmp_path / "scores", "runtime": runtime}
    assert main("evaluate", connected("torch"), flags(SMALL | keys)) == DONE
    assert used == ["onnxruntime", *[runtime] * 3] and json.loads((tmp_path / "scores/result.json").read_text())["miou"] > 0


MISTAKES = {
    "weights": (
        "",
        r"^error: runtime is openvino, which runs exported files, and \S+ is none; export it, or leave runtime out\n$",
    ),
    "another format": (
        "TORCH",
        r"^error: runtime is openvino, which runs no file of TORCH: backend_torch does; leave runtime out\n$",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_it_does_not_run(case, exported, weights, folder, tmp_path, capsys):
    name, message = MISTAKES[case]
    path = exported(name) if name else weights
    capsys.readouterr()
    keys = {"data_path": folder, "eval_ckpt_path": path, "eval_output_path": tmp_path, "runtime": "openvino"}
    assert main("evaluate", connected("torch"), flags(SMALL | keys)) == USERS_MISTAKE
    assert re.search(message, capsys.readouterr().err)
    import backend_torch

    with pytest.raises(ConfigError, match="^runtime is openvino, which runs "):
        backend_torch.load(path, runtime="openvino", device_target="CPU")


@pytest.mark.parametrize("name", ["MINDIR", "AIR", "TORCH"])
def test_formats_that_have_no_choice(name):
    assert packages_to_run(name, "auto") == ()
    with pytest.raises(
        ConfigError, match=f"^runtime is onnxruntime, which runs no file of {name}: backend_{FORMATS[name].backend} "
    ):
        packages_to_run(name, "onnxruntime")


def test_it_is_missed_in_one_sentence(exported, folder, tmp_path, capsys, monkeypatch):
    path = exported("ONNX")
    monkeypatch.setitem(sys.modules, "openvino", None)
    capsys.readouterr()
    keys = {"data_path": folder, "eval_ckpt_path": path, "eval_output_path": tmp_path, "runtime": "openvino"}
    assert main("evaluate", connected("torch"), flags(SMALL | keys)) == USERS_MISTAKE
    assert capsys.readouterr().err == f"error: ONNX needs openvino, which is not installed: {install('openvino')}\n"
