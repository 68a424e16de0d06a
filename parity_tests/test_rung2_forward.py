"""Rung 2: features of each stage and logits, on hot weights, against each other and against transformers."""

import functools

import numpy as np
import pytest

from parity_tests.support import (
    FORMS,
    MODES,
    assert_close,
    check_control,
    difference,
    features,
    hot_arrays,
    logits,
    mindspore_learner,
    perturbed,
    predict,
    random_images,
    torch_learner,
)
from parity_tests.unfolded_head import unfolded_logits
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import SegFormer, segformer

SIZES = [(2, 64, 96), (1, 75, 131), (1, 32, 32)]
"""Batch, height, width: non-square, not divisible by 32, and the smallest."""


@functools.cache
def b0() -> SegFormer:
    return segformer("b0", class_count=7)


@pytest.mark.compares("mindspore, {mode}", "torch")
@pytest.mark.parametrize("mode", FORMS)
def test_twins_agree_stage_by_stage(mode, need_torch, need_mindspore):
    arrays = hot_arrays(b0())
    torch_twin, mindspore_twin = torch_learner(b0(), arrays), mindspore_learner(b0(), arrays, mode=mode)
    for batch, height, width in SIZES[1:2] if mode == "operators" else SIZES:
        images = random_images(batch, height, width)
        want, got = features(torch_twin, images), features(mindspore_twin, images)
        for stage in range(4):
            assert_close(f"features of stage {stage} at {height}×{width}", got[stage], want[stage], "features")
        assert_close(f"logits at {height}×{width}", logits(mindspore_twin, images), logits(torch_twin, images), "logits")


@pytest.mark.compares("mindspore, graph", "torch")
@pytest.mark.parametrize(
    "options", [{"variant": "b1", "numerics": "zoo"}, {"variant": "b2", "in_channels": 5}], ids=["b1 zoo", "b2"]
)
def test_other_variants_agree(options, need_torch, need_mindspore):
    spec = segformer(class_count=4, **options)
    arrays, images = hot_arrays(spec), random_images(1, 64, 80, channels=spec.in_channels)
    want = logits(torch_learner(spec, arrays), images)
    got = logits(mindspore_learner(spec, arrays), images)
    assert_close("logits", got, want, "logits")


@pytest.mark.compares("torch", "transformers")
@pytest.mark.parametrize("variant", ["b0", "b2"])
@pytest.mark.parametrize("size", SIZES[:2], ids=["64x96", "75x131"])
def test_torch_agrees_with_transformers(variant, size, need_torch):
    import torch

    from parity_tests.transformers_peer import peer_model

    spec = segformer(variant, class_count=7, numerics="hf")
    arrays, images = hot_arrays(spec), random_images(*size)
    peer = peer_model(spec, arrays)
    with torch.no_grad():
        hidden = peer.segformer(torch.from_numpy(images), output_hidden_states=True).hidden_states
        want = peer(torch.from_numpy(images)).logits.numpy()
    learner = torch_learner(spec, arrays)
    for stage, (got, feature) in enumerate(zip(features(learner, images), hidden, strict=True)):
        feature = feature.numpy()
        assert_close(f"stage {stage}", got, feature.reshape(*feature.shape[:2], -1).transpose(0, 2, 1), "features")
    assert_close("logits", logits(learner, images), want, "logits")


@pytest.mark.compares("mindspore, {mode}", "transformers")
@pytest.mark.parametrize("mode", MODES)
def test_mindspore_agrees_with_transformers(mode, need_torch, need_mindspore):
    import torch

    from parity_tests.transformers_peer import peer_model

    spec = segformer("b0", class_count=7, numerics="hf")
    arrays, images = hot_arrays(spec), random_images(2, 64, 96)
    with torch.no_grad():
        want = peer_model(spec, arrays)(torch.from_numpy(images)).logits.numpy()
    assert_close("logits", logits(mindspore_learner(spec, arrays, mode=mode), images), want, "logits")


@pytest.mark.compares("torch", "the paper's head in numpy, float64")
@pytest.mark.parametrize("size", SIZES[:2], ids=["64x96", "75x131"])
def test_folded_head_is_the_papers_head(size, need_torch):
    arrays, images = hot_arrays(b0()), random_images(*size)
    learner = torch_learner(b0(), arrays)
    want = unfolded_logits(b0(), arrays, features(learner, images), images.shape[2:])
    assert_close("logits", logits(learner, images), want, "logits")


CONTROLS = {
    "a swapped key and value": lambda a: {
        **a,
        "stages.1.blocks.0.attn.kv.weight": np.concatenate(np.split(a["stages.1.blocks.0.attn.kv.weight"], 2)[::-1]),
    },
    "a transposed projection": lambda a: {
        **a,
        "stages.2.blocks.1.attn.proj.weight": a["stages.2.blocks.1.attn.proj.weight"].T,
    },
    "a shifted bias": lambda a: perturbed(a, "stages.3.blocks.1.mlp.fc2.bias", 1e-3),
    "a shifted running mean": lambda a: perturbed(a, "decode_head.linear_fuse.bn.running_mean", 1e-3),
    "the head's levels in the other order": lambda a: {
        **a,
        "decode_head.linear_fuse.conv.weight": np.concatenate(
            np.split(a["decode_head.linear_fuse.conv.weight"], 4, axis=1)[::-1], axis=1
        ),
    },
}

IN_THE_HEAD = ("a shifted running mean", "the head's levels in the other order")


@pytest.mark.parametrize("control", CONTROLS)
def test_the_comparison_sees(control, need_torch):
    arrays, images = hot_arrays(b0()), random_images(1, 64, 96)
    sound, broken = torch_learner(b0(), arrays), torch_learner(b0(), CONTROLS[control](arrays))
    check_control(control, difference(logits(broken, images), logits(sound, images)), "logits")
    if control not in IN_THE_HEAD:
        check_control(control, difference(features(broken, images)[3], features(sound, images)[3]), "features")


def test_the_comparison_sees_another_profile(need_torch):
    """An eps shows where tokens are nearly constant: freshly initialised weights, and half of the image exactly 0."""
    images, arrays = random_images(1, 64, 96), init_arrays(b0(), 0)
    images[..., 48:] = 0
    specs = [segformer("b0", class_count=7, numerics=numerics) for numerics in ("nvlabs", "hf")]
    got = [logits(torch_learner(spec, arrays), images) for spec in specs]
    check_control("another profile's eps", difference(*got), "logits", times=1000)


@pytest.mark.compares("torch, attention in its plain form", "torch, fused attention")
def test_both_attention_forms_give_the_same_logits(need_torch):
    arrays, images = hot_arrays(b0()), random_images(1, 64, 96)
    learner = torch_learner(b0(), arrays)
    fused = logits(learner, images)
    for stage in learner.model.stages:
        for block in stage.blocks:
            block.attn.attend.attend.fused = False
    plain = logits(learner, images)
    assert not np.array_equal(plain, fused), "the switch changed nothing"
    assert_close("plain attention", plain, fused, "logits")


def test_predictions_are_equal_and_resized_before_the_arg_max(need_torch, need_mindspore):
    arrays, image = hot_arrays(b0()), random_images(1, 64, 96)[0]
    maps = [predict(learner, image, 100, 130) for learner in (torch_learner(b0(), arrays), mindspore_learner(b0(), arrays))]
    assert maps[0].shape == (100, 130) and maps[0].dtype == maps[1].dtype == np.uint8
    assert len(np.unique(maps[0])) > 1
    assert (maps[0] != maps[1]).mean() < 1e-3
    low = logits(torch_learner(b0(), arrays), image[None])[0].argmax(0)
    blocky = low[np.arange(100) * 16 // 100][:, np.arange(130) * 24 // 130]
    assert (maps[0] != blocky).any()
