"""Label maps in bands of rows: bit for bit those of all scores in memory, in both frameworks, and no more is kept than needed."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from parity_tests.papers_formula import bilinear, small_network
from parity_tests.support import random_images
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.protocol import bands
from segformer_core.protocol.plan import Plan, View, make_plan


def torch_tools() -> tuple[Callable, Callable]:
    """A maker of predictions, and a window's (or map's) resizing."""
    import torch

    from backend_torch.prediction import Prediction

    def prediction(network):
        return Prediction(lambda x: torch.from_numpy(network(x.numpy())), torch.device("cpu"))

    def resize(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return prediction(small_network).upsample(torch.from_numpy(x), size).numpy()

    return prediction, resize


def mindspore_tools() -> tuple[Callable, Callable]:
    from mindspore import Tensor

    from backend_mindspore.prediction import Prediction, resize

    def prediction(network):
        return Prediction(lambda x: Tensor(network(x.asnumpy())))

    return prediction, lambda x, size: resize(Tensor(x), size).asnumpy()


TOOLS = {"torch": torch_tools, "mindspore": mindspore_tools}

SIZES = {
    "many rows": ((333, 190), (64, 48), (48, 40)),
    "no multiple": ((201, 167), (64, 64), (33, 21)),
    "a window beside the end": ((64 + 2 * 48 + 1, 97), (64, 64), (48, 48)),
    "three windows over a pixel": ((150, 150), (60, 60), (20, 20)),
    "windows side by side": ((128, 96), (32, 32), (32, 32)),
    "one row of windows": ((40, 333), (64, 64), (48, 48)),
    "one column of windows": ((333, 40), (64, 64), (48, 48)),
    "smaller than the window": ((50, 41), (64, 64), (48, 48)),
}
"""Image, crop, stride."""


def native(size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int], **keys: object) -> Plan:
    return make_plan(size, DataConfig(), EvaluationConfig(eval_mode="native", eval_crop_size=crop, eval_stride=stride, **keys))


def mean_in_memory(view: View, x: np.ndarray, resize: Callable) -> np.ndarray:
    """(B, 3, H, W) -> (B, K, H, W) float32: the paper code's sum over windows, one by one, divided by their numbers."""
    total, counts = np.zeros((1, 1), np.float32), np.zeros(view.size, np.float32)
    for top, left in view.windows:
        place = np.s_[..., top : top + view.crop[0], left : left + view.crop[1]]
        logits = resize(small_network(np.ascontiguousarray(x[place])), view.crop)
        total = np.zeros((*logits.shape[:2], *view.size), np.float32) if total.ndim == 2 else total
        total[place] += logits
        counts[place] += 1
    return total / counts


@pytest.mark.parametrize("backend", TOOLS)
@pytest.mark.parametrize("form", SIZES)
def test_labels_in_bands_are_those_of_all_scores_in_memory(backend, form, request):
    request.getfixturevalue(f"need_{backend}")
    prediction, resize = TOOLS[backend]()
    plan = native(*SIZES[form])
    (view,) = plan.views
    x = random_images(2, *view.size, seed=3)
    want = mean_in_memory(view, x, resize)
    assert np.array_equal(prediction(small_network).predict([x], plan), want.argmax(1).astype(np.uint8))
    got = prediction(small_network).scores([x], plan)
    assert np.array_equal(np.asarray(got if backend == "torch" else got.asnumpy()), want), "the scores are, too"
    assert len(np.unique(want.argmax(1))) == 6


@pytest.mark.parametrize("backend", TOOLS)
def test_bands_come_from_the_top_and_ask_for_each_window_once(backend, request):
    request.getfixturevalue(f"need_{backend}")
    prediction, _ = TOOLS[backend]()
    plan = native(*SIZES["many rows"])
    x, asked = random_images(1, *plan.size), []
    read = bands.reader([x], plan)

    def noted(index: int, top: int, left: int) -> np.ndarray:
        asked.append((top, left))
        return read(index, top, left)

    found, tops = [], []
    for top, (labels,) in prediction(small_network).bands(noted, plan):
        assert labels.shape == (1, labels.shape[1], 190) and labels.dtype == np.uint8
        tops.append(top)
        found.append(labels)
        assert max(asked)[0] < top + labels.shape[1], "no window is asked for that begins below the band"
    assert tops == [0, 48, 96, 144, 192, 240, 269] and sorted(asked) == sorted(plan.views[0].windows)
    assert np.array_equal(np.concatenate(found, 1), prediction(small_network).predict([x], plan))


@pytest.mark.parametrize("backend", TOOLS)
@pytest.mark.parametrize("keys", [{"eval_flip": True}, {"eval_flip": True, "eval_blend": "feather"}])
def test_mirror_images_are_averaged_in_bands(backend, keys, request):
    request.getfixturevalue(f"need_{backend}")
    prediction, _ = TOOLS[backend]()
    plan = native(*SIZES["no multiple"], **keys)
    x = random_images(1, *plan.size)
    scores = prediction(small_network).scores([x], plan)
    want = np.asarray(scores if backend == "torch" else scores.asnumpy()).argmax(1)
    assert np.array_equal(prediction(small_network).predict([x], plan), want)
    assert (prediction(small_network).predict([x], replace(plan, flip=False)) != want).any()


def test_a_band_is_finished_with_each_row_of_windows():
    (view,) = native((333, 190), (64, 48), (48, 40)).views
    listed = bands.bands(view)
    firsts = (0, 48, 96, 144, 192, 240, 269)
    assert [(band.first, band.end) for band in listed] == list(zip(firsts, (*firsts[1:], 333), strict=True))
    assert [band.windows for band in listed[:3]] == [(0,), (0, 48), (48, 96)] and listed[-1].windows == (240, 269)
    (thirds,) = native((150, 150), (60, 60), (20, 20)).views
    assert bands.columns(thirds)[3] == bands.Span(60, 80, (20, 40, 60))
    assert bands.bands(native((64, 64), (64, 64), (48, 48)).views[0]) == [bands.Span(0, 64, (0,))]


@pytest.mark.parametrize("backend", TOOLS)
@pytest.mark.parametrize("height", [64 + 10 * 48, 64 + 10 * 48 + 1], ids=["a multiple", "the last row overlaps nearly wholly"])
def test_what_is_kept_grows_with_the_width_not_with_the_height(backend, height, request):
    """The logits of one row of windows as the network gives them, which `kept_bytes` says, and some windows besides."""
    request.getfixturevalue(f"need_{backend}")
    prediction, alive, most = TOOLS[backend]()[0](small_network), weakref.WeakSet(), 0
    plan = native((height, 480), (64, 64), (48, 48))
    logits = prediction.logits

    def counted(x):
        nonlocal most
        given = logits(x)
        alive.add(given)
        most = max(most, len(alive))
        return given

    prediction.logits = counted
    prediction.predict([random_images(1, *plan.size)], plan)
    (view,) = plan.views
    rows = 1 + (height > 64 + 10 * 48)
    assert len(view.lefts) == 10 and 10 * rows <= most <= 10 * rows + 2
    kept = 10 * rows * 6 * 16 * 16 * 4
    assert bands.kept_bytes(plan, 6) == kept
    assert bands.kept_bytes(replace(plan, flip=True), 6) == 2 * (kept + 64 * 480 * 6 * 4), "two bands besides"


@pytest.mark.parametrize("backend", TOOLS)
def test_feathered_windows_are_weighted_by_the_distance_to_their_borders(backend, request):
    request.getfixturevalue(f"need_{backend}")
    prediction, resize = TOOLS[backend]()
    plan = native((101, 133), (48, 64), (32, 40), eval_blend="feather")
    (view,) = plan.views
    x = random_images(1, *view.size)
    total, weights = 0.0, np.zeros(view.size)
    rows, columns = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / (side / 2) for side in view.crop)
    for top, left in view.windows:
        place = np.s_[:, :, top : top + 48, left : left + 64]
        weighted = np.zeros((1, 6, *view.size))
        weighted[place] = resize(small_network(np.ascontiguousarray(x[place])), view.crop) * rows[:, None] * columns
        weights[top : top + 48, left : left + 64] += rows[:, None] * columns
        total = total + weighted
    scores = prediction(small_network).scores([x], plan)
    scores = np.asarray(scores if backend == "torch" else scores.asnumpy())
    assert np.abs(scores - total / weights).max() < 1e-5
    plain = prediction(small_network).scores([x], native((101, 133), (48, 64), (32, 40)))
    assert np.abs(np.asarray(plain if backend == "torch" else plain.asnumpy()) - scores).max() > 0.1
    assert np.array_equal(prediction(small_network).predict([x], plan), scores.argmax(1))


STRIPPED = {
    "whole": ((40, 56), {}),
    "whole, scales and flip": ((40, 56), {"eval_scales": (0.75, 1.0), "eval_flip": True}),
    "windows": ((90, 126), {"eval_mode": "slide", "eval_crop_size": (64, 64), "eval_stride": (48, 48), "eval_flip": True}),
}


@pytest.mark.parametrize("backend", TOOLS)
@pytest.mark.parametrize("form", STRIPPED)
def test_scores_that_are_resized_strip_by_strip(backend, form, monkeypatch, request):
    request.getfixturevalue(f"need_{backend}")
    prediction, _ = TOOLS[backend]()
    base, keys = STRIPPED[form]
    plan = make_plan((281, 391), DataConfig(base_size=base), EvaluationConfig(**keys))
    images = [random_images(1, *view.size) for view in plan.views]
    want = prediction(small_network).predict(images, plan)
    monkeypatch.setattr(bands, "STRIP_BYTES", 23 * 4 * 6 * 391)
    tops = [top for top, _ in prediction(small_network).bands(bands.reader(images, plan), plan)]
    assert tops == list(range(0, 281, 23))
    got = prediction(small_network).predict(images, plan)
    assert (got != want).sum() <= 2, "of 109,871: near ties"


def test_rows_are_mixed_as_half_pixel_centres_say():
    x = random_images(1, 37, 5)
    whole = bilinear(x, (211, 5))
    for top, bottom in ((0, 20), (20, 111), (111, 211)):
        mix = bands.row_mix(37, 211, top, bottom)
        part = x[:, :, mix.first : mix.last + 1]
        mixed = part[:, :, mix.low] * (1 - mix.share) + part[:, :, mix.high] * mix.share
        assert np.abs(mixed - whole[:, :, top:bottom]).max() < 1e-5


def test_strips_fill_the_map():
    assert list(bands.strips((100, 10), 3)) == [(0, 100)], "what is small is not divided"
    found = list(bands.strips((9000, 12000), 19))
    assert found[0][0] == 0 and found[-1][1] == 9000 and all(one[1] == other[0] for one, other in pairwise(found))
    assert max(bottom - top for top, bottom in found) * 12000 * 19 * 4 <= bands.STRIP_BYTES
