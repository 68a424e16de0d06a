"""The parts of an export: the folded head, the comparison, the command lines for other tools."""

import configparser
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests.export.export_files import ARRAYS, SPEC, form
from parity_tests.unfolded_head import unfolded_logits
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError, WeightsError
from segformer_core.export.choice import choose_size
from segformer_core.export.converters import converter_lines
from segformer_core.export.exported import ExportedPredictor, run, stated_in
from segformer_core.export.folding import fold_head
from segformer_core.export.verification import TOLERANCES, Unproven, compare
from segformer_core.protocol.plan import make_plan


def test_the_head_is_folded_exactly():
    rng = np.random.default_rng(0)
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2)]
    features = [
        rng.standard_normal((1, h * w, linear.in_features))
        for (h, w), linear in zip(sizes, SPEC.decode_head.linear_c, strict=True)
    ]
    head = fold_head(SPEC, ARRAYS)
    zero = [features[0], *[np.zeros_like(feature) for feature in features[1:]]]  # upsampling a constant is that constant
    mixed = zero[0] @ head.mixes[0].T + head.bias
    logits = np.maximum(mixed, 0) @ head.classifier.T + head.classifier_bias
    expected = unfolded_logits(SPEC, ARRAYS, zero, (32, 48))
    assert np.abs(logits[0].T.reshape(expected.shape[1:]) - expected[0]).max() < 1e-6
    assert [mix.shape for mix in head.mixes] == [(256, width) for width in (32, 64, 160, 256)]
    for level in range(1, 4):  # constant maps check each level's weight alone
        ones = [np.zeros_like(feature) for feature in features]
        ones[level] = np.repeat(features[level][:, :1], features[level].shape[1], axis=1)
        mixed = ones[level][0, 0] @ head.mixes[level].T + head.bias
        logits = np.maximum(mixed, 0) @ head.classifier.T + head.classifier_bias
        assert np.abs(logits - unfolded_logits(SPEC, ARRAYS, ones, (32, 48))[0, :, 0, 0]).max() < 1e-6, level


def test_which_differences_a_comparison_allows():
    rng = np.random.default_rng(0)
    logits, batch = [3.0 * rng.standard_normal((1, 3, 16, 24)).astype(np.float32)], [np.zeros((1, 64, 96, 3), np.uint8)]
    full, half = TOLERANCES["fp32", True], TOLERANCES["fp16", True]

    def judged(change: float, tolerance, share: float = 1.0, **form_keys) -> bool:
        changed = logits[0].copy()
        changed[:, 0][rng.random(changed[:, 0].shape) < share] += change
        return compare([changed], logits, batch, form(**form_keys)).within(tolerance)

    assert judged(1e-6, full) and not judged(3e-4, full) and not judged(float("nan"), full) and not judged(float("inf"), full)
    assert judged(3e-3, half) and not judged(1.0, half) and not judged(float("nan"), half)
    assert judged(9.0, half, share=0.003) and not judged(9.0, half, share=0.05)
    spoilt = np.where(logits[0] == logits[0].max(1, keepdims=True), np.nan, logits[0]).astype(np.float32)
    assert not compare([spoilt], logits, batch, form()).within(half), "NaN is refused even if every label is right"
    with pytest.raises(Unproven, match=r"gives logits of shape \(1, 3, 16, 23\); expected \(1, 3, 16, 24\)"):
        compare([logits[0][..., 1:]], logits, batch, form())
    with pytest.raises(Unproven, match=r"gives labels of shape \(1, 16, 24\); expected \(1, 64, 96\)"):
        compare([logits[0].argmax(1)], logits, batch, form(labels=True))


def test_the_lines_for_other_tools():
    """Each keeps the types that the proof was made with."""
    lines = converter_lines(Path("a/net.b0.onnx"), form(dynamic=True, precision="fp16"))
    assert lines["trtexec"] == (
        "trtexec --onnx=net.b0.onnx --saveEngine=net.b0.engine --stronglyTyped --minShapes=images:1x3x32x32 "
        "--optShapes=images:1x3x64x96 --maxShapes=images:4x3x128x192"
    )
    assert lines["atc"] == (
        "atc --framework=5 --model=net.b0.onnx --output=net.b0 --input_format=NCHW "
        '--input_shape="images:1,3,64,96" --soc_version=<soc_version> --precision_mode_v2=origin'
    )
    pixels = converter_lines(Path("n.onnx"), form(preprocess=True, dynamic=True))
    assert '--input_format=ND --input_shape="images:1,64,96,3"' in pixels["atc"]
    assert pixels["trtexec"].endswith(
        " --noTF32 --minShapes=images:1x32x32x3 --optShapes=images:1x64x96x3 --maxShapes=images:4x128x192x3"
    )
    assert "--onnx='my net.onnx' --saveEngine='my net'.engine " in converter_lines(Path("my net.onnx"), form())["trtexec"]
    assert converter_lines(Path("n.onnx"), form())["trtexec"] == "trtexec --onnx=n.onnx --saveEngine=n.engine --noTF32"
    air = converter_lines(Path("n.air"), form("AIR"))
    assert set(air) == {"atc"} and air["atc"].endswith(" --precision_mode_v2=origin")
    assert not converter_lines(Path("n.pt2"), form("TORCH"))


@pytest.mark.parametrize(("name", "suffix"), [("MINDIR", ".mindir"), ("ONNX", ".onnx")])
def test_converter_lite_gets_its_settings_from_a_file_that_the_line_writes(name, suffix, tmp_path):
    line = converter_lines(Path(f"n{suffix}"), form(name))["converter_lite"]
    (tmp_path / "converter_lite").write_text('#!/bin/sh\necho "$@" > got\n')
    (tmp_path / "converter_lite").chmod(0o755)
    subprocess.run(line, shell=True, check=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    settings = configparser.ConfigParser()
    settings.read(tmp_path / "n_lite.cfg")
    assert dict(settings["ascend_context"]) == {"precision_mode": "enforce_origin"}
    assert (tmp_path / "got").read_text().split() == [
        f"--fmk={name}",
        f"--modelFile=n{suffix}",
        "--outputFile=n_lite",
        "--saveType=MINDIR",
        "--optimize=ascend_oriented",
        "--configFile=n_lite.cfg",
    ]


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("preprocess", [False, True])
def test_a_file_of_one_size_gets_smaller_images_padded_and_one_by_one(labels, preprocess):
    seen = []

    def session(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        shown = images.transpose(0, 3, 1, 2) if preprocess else images
        return shown[:, 0].astype(np.uint8) if labels else shown[:, :, ::4, ::4].astype(np.float32)

    images = np.random.default_rng(0).integers(1, 200, (2, 3, 45, 90)).astype(np.float32)
    outputs = run(session, form(labels=labels, preprocess=preprocess), images)
    assert (outputs == (images[:, 0] if labels else images[:, :, ::4, ::4])).all(), "the padding is cut off"
    assert [array.shape for array in seen] == [(1, 64, 96, 3) if preprocess else (1, 3, 64, 96)] * 2
    assert all(array.dtype == (np.uint8 if preprocess else np.float32) for array in seen)
    corner = seen[0][0, -1, -1] if preprocess else seen[0][0, :, -1, -1]
    assert corner.tolist() == ([124, 116, 104] if preprocess else [0, 0, 0])


@pytest.mark.parametrize("verb", ["labels_and_confidences", "probabilities"])
def test_a_file_of_labels_says_that_it_has_no_probabilities(verb):
    plan = make_plan((64, 96), DataConfig(base_size=(64, 96)), EvaluationConfig())
    predictor = ExportedPredictor(form(labels=True), lambda x: x, SimpleNamespace())
    with pytest.raises(WeightsError, match=r"^the file gives labels, .*; export with --export_output logits$"):
        getattr(predictor, verb)([], plan)


@pytest.mark.parametrize(("divisor", "height", "size"), [(1, 0, (360, 480)), (32, 0, (384, 480)), (32, 100, (100, 480))])
def test_a_file_takes_the_size_at_which_the_recipe_sees_an_image(divisor, height, size):
    words = ["--base_size=[360,480]", f"--eval_size_divisor={divisor}", f"--export_height={height}"]
    assert choose_size(load_config(words)) == size


@pytest.mark.parametrize(("divisor", "rounded"), [(1, ""), (32, ", which eval_size_divisor 32 rounds up to [384, 480]")])
def test_a_size_that_is_too_small_is_refused_with_the_recipes(divisor, rounded):
    words = ["--base_size=[360,480]", f"--eval_size_divisor={divisor}", "--export_height=16"]
    sentence = f"expected at least 32 each, or 0 for the recipe's base_size [360, 480]{rounded}"
    with pytest.raises(ConfigError, match=f"^export_height and export_width are 16 and 480; {re.escape(sentence)}$"):
        choose_size(load_config(words))


def test_a_file_of_labels_keeps_what_the_recipe_says_of_sizes():
    """Windows, scales and mirror images it cannot have."""
    recipe = {"base_size": [50, 90], "eval_size_divisor": 32, "eval_scales": [0.5, 1.0], "eval_flip": True}
    stated = stated_in({"recipe": recipe}, form(labels=True)).recipe
    assert stated["base_size"] == [50, 90] and stated["eval_size_divisor"] == 32
    assert not {"eval_scales", "eval_flip"} & stated.keys()
