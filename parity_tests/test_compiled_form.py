"""The key `compile` of backend_torch: when the network that labels images is compiled, and that it then computes the same."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, assert_close, check_control, difference, hot_arrays, perturbed, random_images, runtime_of
from segformer_core.config.keys import Config
from segformer_core.protocol.plan import Plan, View
from segformer_core.spec.model import segformer

pytestmark = [pytest.mark.compares("torch, compiled", "torch"), pytest.mark.usefixtures("need_torch")]
SPEC = small_network()
SMALL = (48, 64)
FOLDER = "TORCHINDUCTOR_CACHE_DIR"
COMPILES = "compiling the inference graph of mit_"


def configured(**runtime: object) -> Config:
    return replace(CONFIG, runtime=replace(runtime_of("torch"), precision="fp32", **runtime))


def learner_of(config: Config, log, spec=SPEC, training=None):
    from backend_torch.device import connect

    learner = connect(config.runtime).learner(spec, config, log, training)
    learner.load_arrays(hot_arrays(spec))
    return learner


def predicted(learner, image: np.ndarray) -> np.ndarray:
    size = image.shape[2], image.shape[3]
    return learner.predict([image], Plan((100, 130), (View(size, size),)))


@pytest.fixture
def stand_in(monkeypatch):
    """torch.compile that compiles nothing, and notes the folder of its cache and the shapes that it is called with."""
    import torch

    calls: list[tuple[str, tuple[int, ...]]] = []

    def compile_(model, dynamic, fullgraph, options):
        assert not dynamic and fullgraph, "one graph for each shape, whole"

        def graph(images):
            calls.append((os.environ.get(FOLDER, ""), tuple(images.shape)))
            return model(images)

        return graph

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr("backend_torch.compiling.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("backend_torch.compiling.USERS_FOLDER", None)
    return calls


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """(learner, what it logged, the folder that keeps what is compiled): a network that is compiled with its first image."""
    import shutil

    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("there is no C++ compiler")
    lines: list[str] = []
    folder = tmp_path_factory.mktemp("kept")
    return learner_of(configured(compile="True", compile_cache=str(folder)), lines.append), lines, folder


def test_the_compiled_network_computes_the_same(compiled):
    learner, lines, folder = compiled
    plain, image = learner_of(configured(compile="False"), print), random_images(1, *SMALL)
    want = plain.forward(image)
    assert_close("compiled", learner.forward(image), want, "logits")
    assert lines[0].startswith(f"{COMPILES}{SPEC.variant} for 1×3×48×64 (")
    assert lines[1].startswith("compiled and run once in ") and len(lines) == 2
    assert any((folder / "torch").rglob("*.so")), "and is kept"
    assert (predicted(learner, image) != predicted(plain, image)).mean() < 1e-3
    name = "decode_head.linear_fuse.bn.running_mean"
    learner.load_arrays(perturbed(hot_arrays(SPEC), name, 1e-2))
    check_control("a running mean that is loaded later", difference(learner.forward(image), want), "logits")
    learner.load_arrays(hot_arrays(SPEC))
    assert_close("compiled, its own weights again", learner.forward(image), want, "logits")
    assert len(lines) == 2


def test_another_shape_runs_as_it_is(compiled):
    learner, lines, _ = compiled
    learner.forward(random_images(1, *SMALL))
    before, image = len(lines), random_images(2, 64, 96)
    want = learner_of(configured(compile="False"), print).forward(image)
    assert np.array_equal(learner.forward(image), want) and len(lines) == before


def test_auto_compiles_a_shape_after_enough_pixels(stand_in, monkeypatch):
    monkeypatch.setattr("backend_torch.compiling.PAYS_AFTER", 5 * 48 * 64)
    lines: list[str] = []
    learner = learner_of(configured(), lines.append)
    for image in [random_images(1, *SMALL), random_images(1, 64, 48)] * 5:
        learner.forward(image)
    assert not stand_in and not lines
    for _ in range(3):
        learner.forward(random_images(1, *SMALL))
    assert [shape for _, shape in stand_in] == [(1, 3, *SMALL)] * 3 and len(lines) == 2
    learner.forward(random_images(1, 64, 48))
    assert len(stand_in) == 3, "one scale has one shape"
    pairs = learner_of(configured(), lines.append)
    for calls in (3, 3, 4):
        pairs.forward(random_images(2, *SMALL))
        assert len(stand_in) == calls, "of a batch all images count"


def test_auto_leaves_lower_precision_as_it_is(stand_in, monkeypatch):
    monkeypatch.setattr("backend_torch.compiling.PAYS_AFTER", 0)
    for precision, calls in (("bf16", 0), ("fp32", 1), ("auto", 2)):
        config = configured()
        learner_of(replace(config, runtime=replace(config.runtime, precision=precision)), print).forward(random_images(1, *SMALL))
        assert len(stand_in) == calls


@pytest.mark.parametrize(("wanted", "compiles"), [("auto", False), ("True", True)])
def test_elsewhere_auto_never_compiles_and_no_compiler_is_missed(wanted, compiles, stand_in, monkeypatch):
    import torch

    from backend_torch.compiling import Compiling

    monkeypatch.setattr("backend_torch.compiling.PAYS_AFTER", 0)
    monkeypatch.setattr("backend_torch.compiling.shutil.which", lambda name: None)
    Compiling(SPEC, configured(compile=wanted), None, print, lambda images: images)(torch.empty(1, 3, *SMALL, device="meta"))
    assert bool(stand_in) == compiles


@pytest.mark.parametrize(("cache", "enough"), [("", 5000e6), ("kept", 300e6)])
def test_what_pays_is_said_in_the_help(cache, enough, stand_in, tmp_path, monkeypatch):
    from segformer_core.config.keys import KEYS

    monkeypatch.chdir(tmp_path)
    learner = learner_of(configured(compile_cache=cache), print)
    image, shape = random_images(1, *SMALL), (1, 3, *SMALL)
    learner.compiling.pixels[shape] = int(enough) - 48 * 64
    learner.forward(image)
    assert not stand_in
    learner.forward(image)
    assert len(stand_in) == 1
    assert f"{enough / 1e6:.0f} million" in KEYS["compile"].metadata["meaning"]


def test_a_learner_that_trains_and_false_never_compile(stand_in, monkeypatch):
    from segformer_core.protocol.groups import parameter_groups
    from segformer_core.protocol.learner import Training

    monkeypatch.setattr("backend_torch.compiling.PAYS_AFTER", 0)
    training = Training(parameter_groups(SPEC, CONFIG.optimizer))
    for learner in (
        learner_of(configured(compile="True"), print, training=training),
        learner_of(configured(compile="False"), print),
    ):
        learner.forward(random_images(1, *SMALL))
    assert not stand_in
    learner_of(configured(), print).forward(random_images(1, *SMALL))
    assert stand_in


@pytest.mark.parametrize(
    ("evaluation", "shapes"),
    [
        ({"eval_scales": (0.5, 1.0)}, 2),
        ({"eval_mode": "slide"}, 2),
        ({"eval_mode": "slide", "eval_scales": (1.0,) * 5}, 8),
        ({}, 1),
    ],
)
def test_as_many_shapes_are_compiled_as_one_image_has(evaluation, shapes, stand_in):
    config = configured(compile="True")
    learner = learner_of(replace(config, evaluation=replace(config.evaluation, **evaluation)), print)
    widths = list(range(32, 192, 16))
    for width in widths:
        learner.forward(random_images(1, 32, width))
    assert [shape[3] for _, shape in stand_in] == widths[:shapes]


def test_what_is_compiled_lies_where_nobody_else_writes(stand_in, tmp_path, monkeypatch):
    image = random_images(1, *SMALL)
    monkeypatch.delenv(FOLDER, raising=False)
    learner_of(configured(compile="True"), print).forward(image)
    assert FOLDER not in os.environ
    monkeypatch.setenv(FOLDER, "pytorchs")
    monkeypatch.setattr("backend_torch.compiling.USERS_FOLDER", "the users")
    learner_of(configured(compile="True"), print).forward(image)
    learner_of(configured(compile="True", compile_cache=str(tmp_path)), print).forward(image)
    (own, _), *others = stand_in
    assert Path(own).name.startswith("segformer_") and not Path(own).exists(), "a folder of this run alone"
    assert [folder for folder, _ in others] == ["the users", str(tmp_path / "torch")]
    assert os.environ[FOLDER] == "pytorchs"


@pytest.mark.parametrize(("named", "compiler"), [("no-such-compiler", "no-such-compiler"), (None, "g++")])
def test_without_a_compiler_one_line_says_so(named, compiler, monkeypatch):
    monkeypatch.setattr("backend_torch.compiling.shutil.which", lambda name: None)
    monkeypatch.setenv("CXX", named) if named else monkeypatch.delenv("CXX", raising=False)
    lines: list[str] = []
    learner, image = learner_of(configured(compile="True"), lines.append), random_images(1, *SMALL)
    want = learner_of(configured(compile="False"), print).forward(image)
    assert all(np.array_equal(learner.forward(image), want) for _ in range(2))
    assert lines == [
        f"the network runs as it is, not compiled: there is no C++ compiler {compiler}; install it, or set compile False"
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError("disk full\nmore"), "disk full"), (ImportError("no triton"), "no triton"), (RuntimeError(), "RuntimeError")],
)
def test_what_the_compiler_raises_is_one_line(error, said, stand_in, monkeypatch):
    import torch

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch, "compile", fail)
    lines: list[str] = []
    learner, image = learner_of(configured(compile="True"), lines.append), random_images(1, *SMALL)
    assert learner.forward(image).shape == learner.forward(image).shape
    assert lines[1:] == [f"the network runs as it is, not compiled: PyTorch does not compile it ({said})"]


def test_a_compiler_that_fails_is_one_line(monkeypatch, tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(compiler)))
    lines: list[str] = []
    learner, image = learner_of(configured(compile="True"), lines.append, spec=segformer("b0", 3)), random_images(1, 32, 40)
    assert learner.forward(image).shape == (1, 3, 8, 10)
    assert len(lines) == 2
    assert lines[1].startswith("the network runs as it is, not compiled: PyTorch does not compile it (No working C++ compiler")


def test_load_compiles_only_if_it_is_asked(stand_in, tmp_path, monkeypatch):
    from backend_torch import load
    from segformer_core.weights.store import save_weights

    monkeypatch.setattr("backend_torch.compiling.PAYS_AFTER", 0)
    spec, path = segformer("b0", 3), tmp_path / "w.safetensors"
    save_weights(path, spec, hot_arrays(spec))
    pixels = np.zeros((32, 64, 3), np.uint8)
    load(path, base_size=(32, 64), device_target="CPU").segment(pixels)
    assert not stand_in
    for asked in (True, "auto"):
        load(path, base_size=(32, 64), device_target="CPU", compile=asked).segment(pixels)
    assert len(stand_in) == 2
