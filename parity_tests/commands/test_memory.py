"""Sizes that no machine holds: one sentence that names what to lower, and in `infer` one image, not the run."""

import errno
import os

import cv2
import numpy as np
import pytest

from parity_tests.support import hot_arrays
from segformer_core.cli import DONE, INCOMPLETE, USERS_MISTAKE, exit_code, main
from segformer_core.commands import opening
from segformer_core.config.load import load_config
from segformer_core.data.dataset import Classes, Dataset, Item
from segformer_core.data.pipeline import GuardedStream, TrainingStream, raise_message
from segformer_core.errors import ConfigError, DataError, UserError
from segformer_core.memory import OutOfMemory, check_fits, is_out_of_memory, memory_for
from segformer_core.pictures import write_png
from segformer_core.protocol.learner import ALONE, Backend, Precision
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights


class OutOfMemoryError(RuntimeError):
    """PyTorch's, by its name."""


HERE = np.zeros((8, 8, 3), np.uint8)
RAISED = {
    "numpy": lambda: np.empty((10**6, 10**6, 10)),
    "numpy, bytes beyond 64 bits": lambda: np.empty((10**12, 10**12)),
    "numpy, a length beyond 64 bits": lambda: np.empty((2**70,)),
    "OpenCV": lambda: cv2.resize(HERE, (10**6, 10**6)),
    "OpenCV's border": lambda: cv2.copyMakeBorder(HERE, 0, 10**6, 0, 10**6, cv2.BORDER_REPLICATE),
}
SAID = {
    "PyTorch, CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."
    ),
    "PyTorch, too many bytes to count": RuntimeError(
        "Storage size calculation overflowed with sizes=[100000000000, 100000000000]"
    ),
    "PyTorch, CUDA": OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CUDA": RuntimeError("CUDA error: out of memory"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "a loader's worker": RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    "a loader's worker, numpy": MemoryError("Caught MemoryError in DataLoader worker process 0."),
    "MindSpore, one operator": RuntimeError("Allocate output memory failed, alloc node:Default/Resize-op0 alloc size:4B"),
    "MindSpore": RuntimeError("Allocate device memory failed!\n\n---\n- C++ Call Stack: (For framework developers)"),
    "MindSpore, a graph": RuntimeError(
        "#umsg#Memory not enough:#umsg#Malloc for kernel output failed, Memory isn't enough, node:x"
    ),
    "MindSpore, Ascend": RuntimeError("Device(id:0) memory isn't enough and alloc failed, kernel name: x, alloc size: 4B."),
    "ONNX Runtime": RuntimeError("bfc_arena.cc:342 Failed to allocate memory for requested buffer of size 4"),
    "OpenVINO": RuntimeError(
        "Exception from src/inference/src/cpp/infer_request.cpp:246:\nCheck 'ptr' failed at src/plugins/intel_cpu/src/"
        "cpu_memory.cpp:257:\nFailed to allocate 67108864 bytes of memory\n\n"
    ),
    "OpenVINO's assembler": RuntimeError("[CPU] Subgraph node with name 'node_matmul_1' can't alloc\n\n\n"),
    "OpenVINO's executor": RuntimeError("Could not allocate memory"),
    "C++": RuntimeError("std::bad_alloc"),
    "Python": MemoryError(),
}
OTHERS = {
    "a user's mistake": UserError("cannot write x: out of memory"),
    "a shape": ValueError("operands could not be broadcast together with shapes (3,) (4,)"),
    "OpenCV, an empty image": cv2.error("OpenCV(4.11.0) (-215:Assertion failed) !ssize.empty() in function 'resize'"),
    "CUDA": RuntimeError("CUDA error: an illegal memory access was encountered"),
    "OpenVINO, registers": RuntimeError("Can't allocate registers for a snippet: not enough registers"),
    "a full disk": OSError(28, "No space left on device"),
    "Ctrl-C": KeyboardInterrupt(),
}


@pytest.mark.parametrize("name", [*RAISED, *SAID])
def test_what_says_that_memory_is_too_small(name, capsys):
    def run() -> None:
        if name in SAID:
            raise SAID[name]
        RAISED[name]()

    with pytest.raises(OutOfMemory, match=r"^there is not enough memory for this picture \(.+\); make it smaller$") as raised:
        with memory_for("this picture", "make it smaller"):
            run()
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 250
    assert exit_code(run) == USERS_MISTAKE, "where nobody names what to lower, too"
    assert capsys.readouterr().err.startswith("error: there is not enough memory for this (")


@pytest.mark.parametrize("name", OTHERS)
def test_what_says_something_else(name):
    assert not is_out_of_memory(OTHERS[name])
    with pytest.raises(type(OTHERS[name])), memory_for("x", "y"):
        raise OTHERS[name]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("base_size", "[1000000, 1000000]", "32 to 65536"),
        ("crop_size", "[512, 1000000]", "32 to 65536"),
        ("eval_crop_size", "[1000000, 512]", "32 to 65536"),
        ("export_height", "1000000", "0 to 65536"),
        ("export_width", "1000000", "0 to 65536"),
        ("decoder_width", "1000000000", "0 to 65536"),
        ("eval_scales", "[1.0, 1e300]", "0.01 to 100"),
        ("scale_range", "[0.5, 1e300]", "0.01 to 100"),
        ("batch_size", "1000000000", "1 to 65536"),
        ("eval_batch_size", "1000000000", "1 to 65536"),
        ("dataset_num_parallel_workers", "1000000000", "0 to 1024"),
    ],
)
def test_no_machine_holds_them(key, value, expected):
    with pytest.raises(ConfigError, match=f"^{key} in the command line is .*; expected {expected}$"):
        load_config([f"--{key}", value])


@pytest.mark.parametrize("copies", [1, 3])
def test_weights_beyond_the_memory_are_refused_before_they_are_made(copies, monkeypatch):
    config = load_config(["--decoder_width", "60000", "--class_num", "19"])  # 57.8 GB
    monkeypatch.setattr("segformer_core.memory.memory_limit", lambda: copies * 57 * 10**9)
    with pytest.raises(OutOfMemory, match=r"mit_b0 with decoder_width 60000: it needs at least \d+ GB, .*; lower decoder_width"):
        opening.network(config, copies)
    monkeypatch.setattr("segformer_core.memory.memory_limit", lambda: copies * 58 * 10**9)
    assert opening.network(config, copies).decoder_width == 60000


def test_a_shells_limit_counts(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (10**9, 10**9))
    with pytest.raises(OutOfMemory, match="it needs at least 2 GB, and this machine has 1 GB; lower it"):
        check_fits(2 * 10**9, "it", "lower it")


LARGEST = 64 * 64


class SmallMachine:
    """A predictor that holds no more than 64×64 pixels at once."""

    def __init__(self):
        self.batches = []

    def load_arrays(self, arrays) -> None: ...

    def predict(self, images, plan):
        self.batches.append(len(images[0]))
        if len(images[0]) * plan.size[0] * plan.size[1] > LARGEST:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return np.zeros((len(images[0]), *plan.size), np.uint8)


@pytest.fixture
def network(tmp_path):
    """(the flags that name its weights, a `connect` to a small machine, its predictor)"""
    spec = segformer("b0", class_count=3)
    weights = tmp_path / "w.safetensors"
    save_weights(weights, spec, hot_arrays(spec))
    predictor = SmallMachine()
    backend = Backend("torch", "cpu", Precision(), lambda *_, **__: predictor, None, None, ALONE)
    data = tmp_path / "data"
    (tmp_path / "classes.yaml").write_text("classes:\n" + "".join(f"  - {{name: {name}, colour: [0, 0, 0]}}\n" for name in "abc"))
    flags = ["--infer_ckpt_path", weights, "--data_path", data, "--dataset_file", tmp_path / "classes.yaml", "--class_num", 3]
    flags += ["--infer_output_path", tmp_path / "out", "--device_target", "CPU"]
    return [str(flag) for flag in flags], lambda _: backend, predictor


def images(folder, sizes) -> None:
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes):
        write_png(folder / f"{number}.png", np.zeros((*size, 3), np.uint8))


def test_an_image_that_is_too_large_costs_itself_alone(network, tmp_path, capsys):
    flags, connect, _ = network
    images(tmp_path / "data", [(32, 32), (96, 96), (32, 40)])
    assert main("infer", connect, [*flags, "--base_size", "[64, 64]"]) == INCOMPLETE
    shown = capsys.readouterr()
    large = tmp_path / "data/1.png"
    sentence = f"{large}: there is not enough memory for an image of 96×96 pixels, seen as 64×64 (CUDA out of memory. Tried to"
    assert sentence in shown.out and "; lower base_size, eval_scales or eval_batch_size, or use eval_mode slide" in shown.out
    assert shown.err == f"error: 1 of 3 files could not be read: {large}; everything else is done\n"
    assert sorted(path.name for path in (tmp_path / "out").glob("*_gray.png")) == ["0_gray.png", "2_gray.png"]


def test_of_a_batch_that_is_too_large_each_image_is_tried_alone(network, tmp_path):
    flags, connect, predictor = network
    images(tmp_path / "data", [(64, 64)] * 3)
    assert main("infer", connect, [*flags, "--eval_batch_size", "3"]) == DONE
    assert predictor.batches == [3, 1, 1, 1]
    assert len(list((tmp_path / "out").glob("*_gray.png"))) == 3


@pytest.mark.parametrize("flags_of_size", [["--base_size", "[60000, 60000]"], ["--eval_scales", "[1, 100]"]])
def test_what_no_memory_holds_is_refused_before_it_is_made(flags_of_size, network, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("segformer_core.memory.memory_limit", lambda: 4 * 10**8)
    flags, connect, predictor = network
    images(tmp_path / "data", [(32, 32)])
    assert main("infer", connect, [*flags, *flags_of_size]) == INCOMPLETE
    assert "0.png: there is not enough memory for an image of 32×32 pixels, seen as " in capsys.readouterr().out
    assert not predictor.batches


def test_a_training_image_that_is_too_large_is_a_sentence_of_its_worker(tmp_path, monkeypatch):
    item = Item(tmp_path / "a.png", tmp_path / "l.png", "a")
    write_png(item.image, np.zeros((32, 32, 3), np.uint8))
    write_png(item.label, np.zeros((32, 32), np.uint8))
    dataset = Dataset(tmp_path, "train", Classes(("a",), ((0, 0, 0),)), (item,))
    config = load_config(["--crop_size", "[64, 64]"])
    monkeypatch.setattr("segformer_core.data.pipeline.augment", lambda *_: np.empty((10**6, 10**6, 10)))
    *_, message = GuardedStream(TrainingStream(dataset, config.data, 0, 1, 1))[0]
    with pytest.raises(DataError, match="memory for image a in training .*; lower base_size, scale_range or crop_size"):
        raise_message(message[None])


def test_a_process_for_which_the_system_has_no_memory():
    assert is_out_of_memory(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
    assert is_out_of_memory(RuntimeError("It is possible that dataloader's workers are out of shared memory."))
    assert not is_out_of_memory(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
