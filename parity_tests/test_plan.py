"""How label maps are computed: the geometry, and both frameworks against the paper's formula written out in numpy."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from parity_tests.ascend import ascend_graphs
from parity_tests.papers_formula import bilinear, by_the_papers_formula, small_network
from parity_tests.support import (
    CONFIG,
    LEARNERS,
    assert_close,
    hot_arrays,
    logits,
    mindspore_learner,
    random_images,
    torch_learner,
    undecided_arrays,
)
from parity_tests.tolerances import tolerance
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.evaluation.metrics import NEAR_TIE
from segformer_core.inference.segmenter import Segmenter, network_image
from segformer_core.protocol.plan import Plan, View, make_plan
from segformer_core.spec.model import segformer

SPEC = segformer("b0", class_count=7)
ARRAYS = undecided_arrays(SPEC)
FEW_BLOCKS = ascend_graphs.small_network()
"""Compiled in a fraction of the time."""
CITY = DataConfig(base_size=(1024, 2048))
SLIDE = EvaluationConfig(eval_mode="slide")


def windows(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    slide = replace(SLIDE, eval_crop_size=crop, eval_stride=stride)
    return make_plan(size, DataConfig(base_size=size), slide).views[0].windows


def test_the_papers_windows_on_a_cityscapes_image():
    (view,) = make_plan((1024, 2048), CITY, SLIDE).views
    assert view == View((1024, 2048), (1024, 1024), ((0, 0), (0, 768), (0, 1024)))
    counts = view.counts(0, 1024, 0, 2048)
    assert counts[0, [0, 767, 768, 1023, 1024, 1791, 1792, 2047]].tolist() == [1, 1, 2, 2, 2, 2, 1, 1]


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
    counts = view.counts(0, size[0], 0, size[1])
    assert counts.min() >= 1 and counts.shape == view.size


def test_scales_are_of_base_size_and_keep_the_ratio():
    plan = make_plan((1024, 2048), CITY, EvaluationConfig(eval_scales=(0.5, 0.75, 1.0, 1.75), eval_flip=True))
    assert [view.size for view in plan.views] == [(512, 1024), (768, 1536), (1024, 2048), (1792, 3584)]
    assert plan.averages and plan.mirrorings == (False, True)
    portrait = make_plan((400, 300), DataConfig(base_size=(512, 1024)), EvaluationConfig())
    assert portrait == Plan((400, 300), (View((683, 512), (683, 512)),)) and not portrait.averages


@pytest.mark.parametrize(
    ("divisor", "scale", "size"),
    [(1, 1.0, (360, 480)), (32, 1.0, (384, 480)), (32, 0.5, (192, 256)), (64, 1.0, (384, 512)), (360, 1.0, (360, 720))],
)
def test_sizes_are_rounded_up_to_multiples(divisor, scale, size):
    """The paper's code for ADE20K, AlignedResize: ceil(side / 32) · 32. Labels keep the image's own size."""
    evaluation = EvaluationConfig(eval_size_divisor=divisor, eval_scales=(scale,))
    plan = make_plan((720, 960), DataConfig(base_size=(360, 480)), evaluation)
    assert (plan.size, plan.views) == ((720, 960), (View(size, size),))
    windows = replace(evaluation, eval_mode="slide", eval_crop_size=(192, 192), eval_stride=(96, 96))
    assert make_plan((720, 960), DataConfig(base_size=(360, 480)), windows).views[0].size == size


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


@pytest.mark.parametrize(
    ("scale", "size", "window", "count"),
    [(0.5, (512, 1024), (512, 1024), 1), (0.75, (768, 1536), (768, 1024), 2), (1.0, (1024, 2048), (1024, 1024), 3)],
)
def test_a_window_larger_than_the_image_is_cut_to_it(scale, size, window, count):
    (view,) = make_plan((1024, 2048), CITY, replace(SLIDE, eval_scales=(scale,))).views
    assert (view.size, view.crop, len(view.windows)) == (size, window, count)
    image = network_image(np.full((1024, 2048, 3), 255, np.uint8), view, CITY)
    assert image.shape == (3, *size) and (image > 2).all(), "nothing is filled up"


def slide(crop: tuple[int, int], stride: tuple[int, int], **keys: object) -> dict[str, object]:
    return {"eval_mode": "slide", "eval_crop_size": crop, "eval_stride": stride, **keys}


FORMS = {
    "whole": ({}, (90, 130)),
    "slide": (slide((64, 64), (48, 40)), (90, 130)),
    "slide, image lower than the window": (slide((96, 64), (96, 64)), (50, 90)),
    "slide, image narrower than the window": (slide((48, 96), (40, 96)), (90, 50)),
    "slide, image smaller than the window": (slide((128, 192), (96, 144)), (50, 90)),
    "scales and flip": ({"eval_scales": (0.5, 1.0, 1.75), "eval_flip": True}, (75, 100)),
    "slide, scales and flip": (slide((64, 64), (40, 48), eval_scales=(0.5, 0.75, 1.25), eval_flip=True), (66, 101)),
}
"""Keys of the evaluation, and base_size."""


def planned(form: str) -> tuple[Plan, list[np.ndarray]]:
    """Two images together, at labels larger than what the network sees, none of it a multiple of 32."""
    keys, size = FORMS[form]
    plan = make_plan((size[0] * 3 // 2, size[1] * 3 // 2), DataConfig(base_size=size), EvaluationConfig(**keys))
    return plan, [random_images(2, *view.size, seed=1) for view in plan.views]


def through_torch(images, plan: Plan) -> np.ndarray:
    import torch

    from backend_torch.prediction import Prediction

    network = Prediction(lambda x: torch.from_numpy(small_network(x.numpy())), torch.device("cpu"))
    return network.scores(images, plan).numpy()


def through_mindspore(images, plan: Plan) -> np.ndarray:
    from mindspore import Tensor

    from backend_mindspore.prediction import Prediction

    return Prediction(lambda x: Tensor(small_network(x.asnumpy()))).scores(images, plan).asnumpy()


THROUGH = {"torch": through_torch, "mindspore": through_mindspore}


@pytest.mark.parametrize("backend", THROUGH)
@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_the_papers_formula(backend, form, request):
    request.getfixturevalue(f"need_{backend}")
    plan, images = planned(form)
    got, maps = THROUGH[backend](images, plan), len(plan.views) * len(plan.mirrorings)
    want = maps * by_the_papers_formula(small_network, images, plan.size, FORMS[form][0])
    assert got.shape == want.shape and np.abs(got - want).max() <= tolerance("scores of noise")


@pytest.mark.parametrize("backend", THROUGH)
def test_one_window_of_the_whole_image_resizes_its_scores_twice(backend, request):
    """As the paper's code does with whole images: to the network's image, then to the labels."""
    request.getfixturevalue(f"need_{backend}")
    plan, images = planned("slide, image smaller than the window")
    want = bilinear(bilinear(small_network(images[0]), (50, 90)), (75, 135))
    assert np.abs(THROUGH[backend](images, plan) - want).max() <= tolerance("scores of noise")
    (view,) = plan.views
    once = THROUGH[backend](images, replace(plan, views=(replace(view, windows=()),)))
    assert np.abs(once - bilinear(small_network(images[0]), (75, 135))).max() <= tolerance("scores of noise")
    assert np.abs(once - want).max() > 0.01


@pytest.fixture(scope="module")
def learners():
    """backend -> a learner; MindSpore's compiles a graph for the first size and one for all others."""
    return cache(lambda backend: LEARNERS[backend](SPEC, ARRAYS))


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("form", FORMS)
def test_predictions_follow_the_definition(backend, form, learners, need_torch, request):
    request.getfixturevalue(f"need_{backend}")
    plan, images = planned(form)
    got = learners(backend).predict(images, plan)
    want = by_the_papers_formula(lambda x: logits(learners("torch"), x), images, plan.size, FORMS[form][0])
    best, second = np.sort(want, 1)[:, ::-1][:, :2].swapaxes(0, 1)
    sure = best - second > NEAR_TIE
    assert got.shape == (2, *plan.size) and got.dtype == np.uint8
    assert sure.mean() > 0.99 and (np.bincount(got.ravel()) > 100).sum() >= 4, "several classes are there"
    assert (got == want.argmax(1))[sure].all(), f"{(got != want.argmax(1))[sure].mean():.2%} of the labels differ"
    plain = learners(backend).predict(
        images[:1], replace(plan, views=(View(plan.views[0].size, plan.views[0].size),), flip=False)
    )
    assert form == "whole" or (plain != got).any(), "the form makes no difference here: the test shows nothing"


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

    learner = mindspore_learner(FEW_BLOCKS, hot_arrays(FEW_BLOCKS))
    learner.model.set_train(False)
    for size in [(64, 96), (75, 101)]:
        images = Tensor(random_images(2, *size))
        got, want = learner.logits_of_any_shape(images).asnumpy(), learner.logits(images).asnumpy()
        assert_close(f"a graph for any size at {size}", got, want, "logits")


def own_graphs(learner, keys: EvaluationConfig, images: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The sizes that have a graph of their own while images of these sizes are segmented, each once, in their order."""
    sizes: list[tuple[int, int]] = []
    network = learner.logits

    def noted(x):
        sizes.append(x.shape[2:])
        return network(x)

    learner.logits = noted
    for size in images:
        Segmenter(learner, FEW_BLOCKS, DataConfig(base_size=size), keys).segment(np.zeros((*size, 3), np.uint8))
    return list(dict.fromkeys(sizes))


def test_the_windows_of_each_scale_have_a_graph_of_their_own(need_mindspore):
    keys = EvaluationConfig(**slide((64, 64), (48, 48), eval_scales=(0.5, 1.0)))
    learner = mindspore_learner(FEW_BLOCKS, hot_arrays(FEW_BLOCKS), replace(CONFIG, evaluation=keys), mode="pynative")
    learner.logits_of_any_shape = None
    assert own_graphs(learner, keys, [(64, 128)]) == [(32, 64), (64, 64)]


def test_whole_windows_have_a_graph_of_their_own_whatever_came_before(need_mindspore):
    """The first image is lower than the window, and takes the graph of the one scale; a third shape has none."""
    keys = EvaluationConfig(**slide((64, 64), (48, 48)))
    learner = mindspore_learner(FEW_BLOCKS, hot_arrays(FEW_BLOCKS), replace(CONFIG, evaluation=keys), mode="pynative")
    assert own_graphs(learner, keys, [(48, 128), (64, 128), (32, 128), (64, 96)]) == [(48, 64), (64, 64)]
