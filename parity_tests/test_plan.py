"""How label maps are computed: the geometry, and both frameworks against the definition written out in numpy."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from parity_tests.support import LEARNERS, assert_close, logits, mindspore_learner, random_images, torch_learner, undecided_arrays
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.evaluation.metrics import NEAR_TIE
from segformer_core.inference.segmenter import Segmenter, network_image
from segformer_core.protocol.plan import Plan, View, make_plan
from segformer_core.spec.model import segformer

SPEC = segformer("b0", class_count=7)
ARRAYS = undecided_arrays(SPEC)
CITY = DataConfig(base_size=(1024, 2048))
SLIDE = EvaluationConfig(eval_mode="slide")


def windows(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    slide = replace(SLIDE, eval_crop_size=crop, eval_stride=stride)
    return make_plan(size, DataConfig(base_size=size), slide).views[0].windows


def test_the_papers_windows_on_a_cityscapes_image():
    (view,) = make_plan((1024, 2048), CITY, SLIDE).views
    assert view == View((1024, 2048), (1024, 1024), ((0, 0), (0, 768), (0, 1024)))
    assert view.counts[0, [0, 767, 768, 1023, 1024, 1791, 1792, 2047]].tolist() == [1, 1, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("length", "crop", "stride", "starts"),
    [(100, 40, 30, [0, 30, 60]), (101, 40, 30, [0, 30, 60, 61]), (40, 40, 30, [0]), (41, 40, 40, [0, 1]), (30, 40, 20, [0])],
)
def test_windows_reach_the_end_and_no_further(length, crop, stride, starts):
    tops = sorted({top for top, _ in windows((length, 64), (crop, 64), (stride, 64))})
    lefts = sorted({left for _, left in windows((64, length), (64, crop), (64, stride))})
    assert tops == lefts == starts


@pytest.mark.parametrize("size", [(64, 97), (333, 64), (200, 211)])
def test_every_pixel_is_in_a_window(size):
    slide = replace(SLIDE, eval_crop_size=(64, 96), eval_stride=(48, 70))
    (view,) = make_plan(size, DataConfig(base_size=size), slide).views
    assert view.counts.min() >= 1 and view.counts.shape == view.canvas


def test_scales_are_of_base_size_and_keep_the_ratio():
    plan = make_plan((1024, 2048), CITY, EvaluationConfig(eval_scales=(0.5, 0.75, 1.0, 1.75), eval_flip=True))
    assert [view.size for view in plan.views] == [(512, 1024), (768, 1536), (1024, 2048), (1792, 3584)]
    assert plan.averages and plan.mirrorings == (False, True)
    portrait = make_plan((400, 300), DataConfig(base_size=(512, 1024)), EvaluationConfig())
    assert portrait == Plan((400, 300), (View((683, 512), (683, 512)),)) and not portrait.averages


@pytest.mark.parametrize(("size", "network"), [((20, 4000), (32, 96)), ((4000, 20), (96, 32)), ((1, 1), (64, 64))])
def test_the_network_never_gets_less_than_it_can_take(size, network):
    data = DataConfig(base_size=(64, 96))
    (view,) = make_plan(size, data, EvaluationConfig()).views
    assert view.size == network
    assert network_image(np.zeros((*size, 3), np.uint8), view, data).shape == (3, *network)


def test_the_network_sees_the_fitted_normalised_image():
    data = DataConfig(base_size=(64, 96))
    image = np.full((100, 200, 3), (10, 20, 30), np.uint8)
    inputs = network_image(image, make_plan((100, 200), data, EvaluationConfig()).views[0], data)
    assert inputs.shape == (3, 48, 96) and inputs.dtype == np.float32
    assert inputs[:, 5, 5] == pytest.approx([(10 - 123.675) / 58.395, (20 - 116.28) / 57.12, (30 - 103.53) / 57.375])


def test_an_image_smaller_than_the_window_is_filled_up_with_zeros():
    data = DataConfig(base_size=(40, 60))
    (view,) = make_plan((40, 60), data, replace(SLIDE, eval_crop_size=(64, 48), eval_stride=(64, 48))).views
    assert view.canvas == (64, 60) and view.windows == ((0, 0), (0, 12))
    image = network_image(np.full((40, 60, 3), 255, np.uint8), view, data)
    assert (image[:, 40:] == 0).all() and (image[:, :40] > 2).all()


FORMS = {
    "whole": ({}, (90, 130)),
    "slide": ({"eval_mode": "slide", "eval_crop_size": (64, 64), "eval_stride": (48, 40)}, (90, 130)),
    "slide, image smaller than the window": (
        {"eval_mode": "slide", "eval_crop_size": (96, 64), "eval_stride": (96, 64)},
        (50, 90),
    ),
    "scales and flip": ({"eval_scales": (0.5, 1.0, 1.75), "eval_flip": True}, (75, 100)),
    "slide, scales and flip": (
        {
            "eval_mode": "slide",
            "eval_crop_size": (64, 64),
            "eval_stride": (40, 48),
            "eval_scales": (0.75, 1.25),
            "eval_flip": True,
        },
        (66, 101),
    ),
}


@pytest.fixture(scope="module")
def learners():
    """backend -> a learner; MindSpore's compiles a graph for the first size and one for all others."""
    return cache(lambda backend: LEARNERS[backend](SPEC, ARRAYS))


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("form", FORMS)
def test_predictions_follow_the_definition(backend, form, learners, need_torch, request):
    """Two images together, at labels larger than what the network sees, none of it a multiple of 32."""
    request.getfixturevalue(f"need_{backend}")
    keys, size = FORMS[form]
    plan = make_plan((size[0] * 3 // 2, size[1] * 3 // 2), DataConfig(base_size=size), EvaluationConfig(**keys))
    images = [random_images(2, *view.canvas, seed=1) for view in plan.views]
    got = learners(backend).predict(images, plan)
    want = by_definition(learners("torch"), images, plan)
    best, second = np.sort(want, 1)[:, ::-1][:, :2].swapaxes(0, 1)
    sure = best - second > NEAR_TIE
    assert got.shape == (2, *plan.size) and got.dtype == np.uint8
    assert sure.mean() > 0.99 and (np.bincount(got.ravel()) > 100).sum() >= 4, "several classes are there"
    assert (got == want.argmax(1))[sure].all(), f"{(got != want.argmax(1))[sure].mean():.2%} of the labels differ"
    plain = learners(backend).predict(
        images[:1], replace(plan, views=(View(plan.views[0].canvas, plan.views[0].canvas),), flip=False)
    )
    assert form == "whole" or (plain != got).mean() > 0.01, "the form makes no difference here: the test shows nothing"


def by_definition(learner, images, plan: Plan) -> np.ndarray:
    """(B, K, *size) float64: logits, or mean probabilities if there are several maps."""
    maps = []
    for image, view in zip(images, plan.views, strict=True):
        for mirror in (False, True) if plan.flip else (False,):
            x = image[..., ::-1] if mirror else image
            if view.windows:
                total, count = np.zeros((len(x), 7, *view.canvas)), np.zeros(view.canvas)
                for top, left in view.windows:
                    window = np.s_[..., top : top + view.crop[0], left : left + view.crop[1]]
                    total[window] += bilinear(logits(learner, np.ascontiguousarray(x[window])), view.crop)
                    count[window] += 1
                found = total / count
            else:
                found = logits(learner, np.ascontiguousarray(x))
            found = found[..., ::-1] if mirror else found
            if view.windows:
                found = found[..., : view.size[0], : view.size[1]]
            maps.append(bilinear(found, plan.size))
    if len(maps) == 1:
        return maps[0]
    powers = [np.exp(scores - scores.max(1, keepdims=True)) for scores in maps]
    return np.mean([power / power.sum(1, keepdims=True) for power in powers], 0)


def bilinear(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(…, h, w) -> (…, *size) float64, half-pixel centres."""
    for axis, outputs in ((-2, size[0]), (-1, size[1])):
        inputs = x.shape[axis]
        centres = np.clip((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, inputs - 1)
        share = (centres - low).reshape((-1, 1) if axis == -2 else (-1,))
        x = np.take(x, low, axis).astype(np.float64) * (1 - share) + np.take(x, high, axis) * share
    return x


def test_mixed_sizes_cost_two_compilations_and_change_nothing(need_mindspore, need_torch):
    said: list[str] = []
    learner = mindspore_learner(SPEC, ARRAYS, log=said.append)
    other = torch_learner(SPEC, ARRAYS)
    rng = np.random.default_rng(0)
    for size in [(64, 96), (65, 99), (96, 64), (33, 40), (101, 57), (64, 96)]:
        pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        data = DataConfig(base_size=size)
        maps = [Segmenter(one, SPEC, data, EvaluationConfig()).segment(pixels) for one in (learner, other)]
        assert (maps[0] != maps[1]).mean() < 1e-3, size
    assert [line.split(" for ")[1].split(" (")[0] for line in said if line.startswith("compiling")] == ["1×3×64×96", "any size"]
    compiled = [len(cell.compile_cache) for cell in (learner.logits, learner.logits_of_any_shape)]
    assert compiled == [1, 1], "what is said is what MindSpore did"


@pytest.mark.compares("mindspore, a graph for any size", "mindspore, a graph of its own")
def test_a_graph_for_any_size_gives_what_a_graph_of_its_own_gives(need_mindspore):
    from mindspore import Tensor

    learner = mindspore_learner(SPEC, ARRAYS)
    learner.model.set_train(False)
    for size in [(64, 96), (75, 101)]:
        images = Tensor(random_images(2, *size))
        got, want = learner.logits_of_any_shape(images).asnumpy(), learner.logits(images).asnumpy()
        assert_close(f"a graph for any size at {size}", got, want, "logits")
