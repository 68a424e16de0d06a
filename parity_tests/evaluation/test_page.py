"""The page of an evaluation: what its markup and pictures say."""

import base64
import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import cv2
import numpy as np
import pytest
from markupsafe import escape

from parity_tests.evaluation.page_samples import CLASSES, HOSTILE, HTML, RESULT, WORST, example, percent, result_of
from segformer_core.evaluation.page import HATCH, HATCH_WIDTH, RIGHT, WRONG, error_overlay, page
from segformer_core.pages.page import LONG_SIDE
from segformer_core.pictures import colourise


def pictures(html: str) -> dict[str, np.ndarray]:
    """The page's pictures by their alt text: (H, W, 3 or 4) uint8 RGB or RGBA."""
    by_name = {}
    for data, alt in re.findall(r'<img [^>]*src="data:image/\w+;base64,([^"]*)"[^>]*alt="([^"]*)"', html):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
        by_name[unescape(alt)] = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return by_name


def test_headline_figures_are_the_results() -> None:
    for name in ("miou", "macc", "aacc", "mf1"):
        assert f'id="{name}">{percent(RESULT[name])}<' in HTML
    assert 'id="images">1,234<' in HTML
    assert "torch on cpu in fp32, finished 2026-11-26 03:00 UTC after 34 s" in HTML


def test_result_is_embedded_whole() -> None:
    embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', HTML, re.DOTALL)
    assert embedded is not None and json.loads(embedded[1]) == RESULT


def test_names_are_escaped() -> None:
    assert "<b>&" not in HTML and HTML.count("<script") == HTML.count("</script>") == 2 and HTML.count("<!") == 1
    assert escape(HOSTILE) in HTML


def test_page_is_complete_in_itself() -> None:
    assert not re.search(r"https?:|<link|@import|url\(|//[a-z]", re.sub(r"base64,[^\"]*", "", HTML.partition("<script>")[0]))
    assert not re.search(r"https?:|fetch|import\b", HTML.partition("<script>")[2])
    assert HTML.count("src=") == HTML.count('src="data:image/') == 4 * 3


def test_absent_classes_are_named_and_left_out() -> None:
    assert "left out of the means: train." in HTML
    assert HTML.count(">train<") == 1  # in the pictures' key
    assert "left out" not in page(result_of(np.eye(19, dtype=np.int64)), CLASSES, [], [])


def test_nothing_to_score() -> None:
    html = page(result_of(np.zeros((19, 19), np.int64), image_scores={"one": None}), CLASSES, [], [])
    assert [re.search(f'id="{name}">(.*?)<', html)[1] for name in ("miou", "macc", "aacc", "mf1")] == ["–"] * 4
    assert "Nothing to score: every pixel of the truth is ignored." in html
    assert html.count("No image has a score.") == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "whole images fitted into 512×1024 at scale 1, not mirrored"),
        (
            {"eval_mode": "slide", "eval_crop_size": [768, 700], "eval_stride": [500, 600]},
            "sliding windows of 768×700, 500×600 apart, over images fitted into 512×1024 at scale 1, not mirrored",
        ),
        (
            {"eval_mode": "native", "eval_crop_size": [96, 64], "eval_stride": [64, 48], "eval_blend": "feather"},
            "64×48 apart, weighted by the distance to their borders, over images of their own size at scale 1, not mirrored",
        ),
        (
            {"eval_scales": [0.5, 1.0, 1.75], "eval_flip": True},
            "whole images fitted into 512×1024 at scales 0.5, 1, 1.75, averaged with their mirror images",
        ),
        (
            {"eval_size_divisor": 32},
            "whole images fitted into 512×1024 at scale 1, rounded up to multiples of 32, not mirrored",
        ),
    ],
)
def test_method_is_described(changes: dict[str, Any], sentence: str) -> None:
    settings = RESULT["settings"] | changes
    assert sentence in page(RESULT | {"settings": settings}, CLASSES, [], [])
    for key, value in changes.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        assert f"<dt>{key}</dt><dd>{shown}</dd>" in page(RESULT | {"settings": settings}, CLASSES, [], [])


def test_error_overlay_marks_wrong_dims_right_hatches_ignored() -> None:
    truth, prediction = np.array([[3, 3, 255]], np.uint8), np.array([[3, 4, 255]], np.uint8)
    assert error_overlay(truth, prediction).tolist() == [[[*RIGHT], [*WRONG], [*HATCH[0]]]]
    ignored = error_overlay(np.full((9, 40), 255, np.uint8), np.zeros((9, 40), np.uint8))
    assert ignored.dtype == np.uint8
    assert {tuple(colour) for colour in ignored[4].tolist()} == {*HATCH}
    assert (ignored[1:, :-1] == ignored[:-1, 1:]).all() and (ignored[0, HATCH_WIDTH:] != ignored[0, :-HATCH_WIDTH]).any(-1).all()


def test_pictures_are_those_of_the_example() -> None:
    by_name, shown = pictures(HTML), WORST[0]
    assert (by_name[f"{HOSTILE}: truth"] == colourise(shown.truth, CLASSES)).all()
    assert (by_name[f"{HOSTILE}: prediction"] == colourise(shown.prediction, CLASSES)).all()
    assert (by_name[f"{HOSTILE}: errors"] == error_overlay(shown.truth, shown.prediction)).all()
    red = replace(shown, image=np.full((60, 100, 3), (200, 30, 60), np.uint8))
    (image, *_) = pictures(page(RESULT, CLASSES, [red], [])).values()
    assert np.abs(image.astype(int) - (200, 30, 60)).max() < 5


def test_large_pictures_are_reduced_and_labels_stay_labels() -> None:
    by_name = pictures(page(RESULT, CLASSES, [example("tall", height=2001, width=500)], []))
    assert [picture.shape[:2] for picture in by_name.values()] == [(LONG_SIDE, 256)] * 4
    for kind, colours in {
        "truth": {CLASSES.colours[0], (0, 0, 0)},
        "prediction": {CLASSES.colours[0], CLASSES.colours[2]},
    }.items():
        assert {tuple(colour) for colour in np.unique(by_name[f"tall: {kind}"].reshape(-1, 3), axis=0).tolist()} == colours
