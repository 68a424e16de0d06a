"""What the benchmarks keep in a file: every single time, and where, when and with what it was measured."""

import datetime
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from segformer_core.cli import DONE, program
from segformer_core.commands import benchmark_pipeline
from segformer_core.commands.benchmark import race, table
from segformer_core.commands.benchmark_pipeline import FORMATS, made_images
from segformer_core.commands.circumstances import installed, processor
from segformer_core.commands.contestants import (
    CLASS_COUNT,
    CONTESTANTS,
    EXPORT,
    FORWARD,
    INFERENCE,
    OTHERS,
    TRAINING,
    TWINS,
    Setting,
    enter,
    largest_child,
    takes_part,
)
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import read_pair
from segformer_core.data.unpacking import Written
from segformer_core.spec.flops import matrix_flops
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_weights

TINY = Setting("b0", (64, 64), 1, "fp32", "CPU")
PAIR = Setting("b0", (64, 96), 2, "fp32", "CPU")
SMALL = ["--variant", "b0", "--size", "32", "64", "--rounds", "3"]


@pytest.fixture
def days() -> list[str]:
    """Today's date, and tomorrow's: midnight may pass."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return [(today + datetime.timedelta(days=later)).isoformat() for later in (0, 1)]


def test_a_race_is_kept_whole(tmp_path, days, capsys, need_torch):
    arguments = [*SMALL, "--contestants", "torch", "--tasks", INFERENCE, TRAINING, "--json", str(tmp_path / "race.json")]
    assert program(["benchmark", *arguments]) == DONE
    printed, kept = capsys.readouterr().out, json.loads((tmp_path / "race.json").read_text())
    assert kept["command"] == " ".join(["python tools/benchmark.py", *arguments])
    assert kept["date"] in days and kept["cores"] == os.cpu_count() and kept["processor"] and kept["load"] >= 0
    assert kept["versions"]["torch"] == version("torch")
    assert kept["setting"] == {"variant": "b0", "size": [32, 64], "batch": 1, "precision": "fp32", "device_target": "CPU"}
    assert [(row["task"], row["contestant"]) for row in kept["results"]] == [(INFERENCE, "torch"), (TRAINING, "torch")]
    for row in kept["results"]:
        assert len(row["seconds"]) == 3 and row["median"] == statistics.median(row["seconds"]) > 0 and row["peak_gb"] > 0.1
        assert f" {row['median']:.3f} " in printed


@pytest.mark.parametrize("backend", TWINS)
def test_an_export_is_timed_as_a_whole_command(backend, monkeypatch):
    """Its flags parse, and its weights are there when it runs."""
    configs = []

    def started(command, cwd, check):
        assert command[1:3] == ["-m", f"backend_{backend}.export"] and (cwd / f"backend_{backend}/export.py").is_file() and check
        configs.append(load_config(command[3:], READS["export"]))
        assert load_weights(configs[0].export.export_ckpt_path, segformer("b2", CLASS_COUNT), configs[0].data, "")

    monkeypatch.setattr("subprocess.run", started)
    run, _ = enter(backend, EXPORT, Setting("b2", (32, 64), 1, "fp16", "CPU"))
    run()
    [config] = configs
    assert (config.export.export_height, config.export.export_width, config.export.export_precision) == (32, 64, "fp16")
    assert config.model.backbone == "mit_b2" and config.runtime.device_target == "CPU"


def test_the_memory_of_a_command_is_that_of_its_process():
    subprocess.run([sys.executable, "-c", "bytes(100_000_000)"], check=True)
    assert 1e8 < largest_child() < 1e11


def test_the_pipeline_is_kept_whole(tmp_path, days, capsys, need_torch):
    keys = {"--images": 1, "--rounds": 3, "--workers": 0, "--json": tmp_path / "pipeline.json"}
    arguments = ["--size", "64", "64", *(str(word) for key in keys.items() for word in key)]
    assert program(["benchmark_pipeline", *arguments]) == DONE
    kept = json.loads((tmp_path / "pipeline.json").read_text())
    assert (
        kept["setting"] == {"variant": "b0", "size": [64, 64], "backend": "torch", "images": 1, "format": "png"}
        and kept["date"] in days
    )
    assert {"network", "evaluate", "infer"} < kept["seconds"].keys() == kept["medians"].keys()
    assert all(statistics.median(times) == kept["medians"][name] for name, times in kept["seconds"].items())
    assert {len(times) for times in kept["training_input"].values()} == {3}


@pytest.mark.parametrize("ending", FORMATS)
def test_both_formats_give_the_same_pixels(tmp_path, ending):
    [item] = made_images(tmp_path / ending, 1, (64, 128), ending).items
    data = item.image.read_bytes()
    assert data.startswith({"png": b"\x89PNG", "bmp": b"BM", "unpacked": b"\x89PNG"}[ending])
    assert (len(data) > 64 * 128 * 3) == (ending != "png"), "the others are not compressed"
    usual = made_images(tmp_path / "usual", 1, (64, 128))
    for mine, plain in zip(read_pair(item, CLASSES), read_pair(usual.items[0], CLASSES), strict=True):
        assert np.array_equal(mine, plain)


def test_images_that_were_not_unpacked_are_not_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_pipeline, "unpack", lambda source, copy: Written(error=f"cannot read {source}"))
    with pytest.raises(AssertionError, match="cannot read "):
        made_images(tmp_path / "unpacked", 1, (64, 128), "unpacked")


def test_the_input_of_training_is_timed_alone_and_by_stage(tmp_path, capsys):
    file = tmp_path / "input.json"
    arguments = ["--tasks", "training", "--size", "64", "128", "--images", "2", "--rounds", "2", "--json", str(file)]
    threads = cv2.getNumThreads()
    assert program(["benchmark_pipeline", *arguments]) == DONE
    assert cv2.getNumThreads() == threads, "what is timed in one thread leaves the process as it was"
    label, image, whole = json.loads(file.read_text())["training_input"].values()
    assert len(whole) == 2 and min(label + image) > 0 and statistics.median(whole) > max(*label, *image)
    assert "network" not in json.loads(file.read_text()).get("medians", {}), "no network is made"
    assert "CPU-ms an image, in one thread" in capsys.readouterr().out


def test_who_takes_part():
    everybody = (*CONTESTANTS, *OTHERS)
    training = [name for name in everybody if takes_part(name, TRAINING)]
    assert training == ["torch", "mindspore", "transformers", "transformers-compiled", "products"]
    assert [name for name in everybody if takes_part(name, EXPORT)] == ["torch", "mindspore"]
    assert all(takes_part(name, task) for name in everybody for task in (INFERENCE, FORWARD))


def test_who_is_compiled(monkeypatch, need_torch):
    """`torch-compiled` by the key `compile`, transformers by its model's own method; without the suffix neither."""
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model, **options: compiled.append("ours") or model)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda model, **options: compiled.append("theirs"))
    for name, expected in [
        ("torch", []),
        ("torch-compiled", ["ours"]),
        ("transformers", []),
        ("transformers-compiled", ["theirs"]),
    ]:
        compiled.clear()
        run, _ = enter(name, INFERENCE, TINY)
        run()
        assert compiled == expected, name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("task", "images"), [(INFERENCE, 1), (TRAINING, 2)])
def test_the_floor_is_a_product_of_as_many_operations(task, images, precision, monkeypatch, need_torch):
    """By oneDNN where the network's are."""
    import torch

    from backend_torch import floor

    products = []

    def of(library):
        return lambda x, weight, bias=None: products.append((library, x.dtype, *x.shape, *weight.shape)) or x

    monkeypatch.setattr(floor.onednn, "takes", lambda x: x.dtype == torch.float32)
    monkeypatch.setattr(floor.onednn, "linear", of("oneDNN"))
    monkeypatch.setattr("torch.nn.functional.linear", of("PyTorch"))
    run, _ = enter("products", task, replace(PAIR, precision=precision))
    run()
    [(library, dtype, rows, *sides, outputs)] = products
    assert (library, dtype) == {"fp32": ("oneDNN", torch.float32), "bf16": ("PyTorch", torch.bfloat16)}[precision]
    assert sides == [2048, 2048] and outputs == 2048, "a weight that is large enough for the machine's full speed"
    flops = images * matrix_flops(segformer("b0", CLASS_COUNT), PAIR.size, task == TRAINING)
    assert 2 * rows * 2048**2 == pytest.approx(flops, rel=0.1)


def test_labelling_is_of_one_image_and_a_step_of_the_batch(monkeypatch, need_torch):
    steps = []

    def step(learner, batch, masks, rates):
        steps.append((*(array.shape for array in batch), masks.paths.shape[2]))
        return SimpleNamespace(loss=0.0)

    monkeypatch.setattr("backend_torch.learner.Learner.step", step)
    found = {task: enter("torch", task, PAIR)[0]() for task in (INFERENCE, FORWARD, TRAINING)}
    assert found[INFERENCE].shape == (1, 64, 96) and found[FORWARD].shape == (1, CLASS_COUNT, 16, 24)
    assert steps == [((2, 3, 64, 96), (2, 64, 96), 2)]
    assert replace(PAIR, precision="bf16").config.runtime.precision == "bf16" and PAIR.config.data.base_size == (64, 96)


@pytest.mark.parametrize(
    ("name", "task", "shape"), [("onnx", FORWARD, (1, CLASS_COUNT, 16, 24)), ("openvino", INFERENCE, (1, 64, 96))]
)
def test_a_file_is_run_by_the_runtime_of_its_name(name, task, shape, monkeypatch, need_torch):
    from backend_torch import exported

    opened = []

    def noted(runtime, open_):
        return lambda path: opened.append(runtime) or open_(path)

    monkeypatch.setitem(exported.OPENED, ".onnx", noted("onnx", exported.open_onnx))
    monkeypatch.setattr(exported, "open_openvino", noted("openvino", exported.open_openvino))
    run, _ = enter(name, task, PAIR)
    assert run().shape == shape and opened == [name]


def test_energy_is_kept_where_the_machine_tells(monkeypatch, need_torch):
    joules = iter((1.0, 1.5, 1.5, 4.0))
    monkeypatch.setattr("segformer_core.commands.benchmark.energy_meter", lambda target: lambda: next(joules))
    [row] = race(INFERENCE, ["torch"], TINY, 2)
    assert row["joules"] == [0.5, 2.5] and table([row])[1].endswith(" 1.5")


def test_the_name_of_the_processor(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU: 2.0 GHz\nmodel name\t: Another\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU: 2.0 GHz"
    assert processor(tmp_path / "none"), "an architecture at least"


def test_a_package_that_is_not_there_has_no_version():
    assert installed("no-such-package") == "" and installed("numpy") == version("numpy")
