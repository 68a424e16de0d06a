"""Constants by which code bases differ, and whether the sentences about them state the measured effects."""

import re

import numpy as np
import pytest

from parity_tests.support import difference, features, hot_arrays, logits, random_images, torch_learner
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import NUMERICS, segformer
from segformer_core.weights.dialects import DIALECTS, NVLABS, SMP, TRANSFORMERS_4, ZOO
from segformer_core.weights.numerics import EPS_EFFECT, GELU_EFFECT, MMSEG_EPS_EFFECT, differences

IMAGES = {"random": random_images(1, 128, 192), "half empty": random_images(1, 128, 192)}
IMAGES["half empty"][..., 96:] = 0


def measured(numerics: str, arrays: dict[str, np.ndarray], images: np.ndarray) -> tuple[float, float, float]:
    """Largest difference of features and of logits from the paper's constants, and the share of pixels with another class."""
    width = segformer("b0").decoder_width
    paper = torch_learner(segformer("b0"), arrays)
    other = torch_learner(segformer("b0", numerics=numerics, decoder_width=width), arrays)
    want, got = logits(paper, images), logits(other, images)
    feature = max(difference(a, b) for a, b in zip(features(paper, images), features(other, images), strict=True))
    return feature, difference(got, want), float((got.argmax(1) != want.argmax(1)).mean())


@pytest.mark.parametrize(
    ("numerics", "sentence"), [("hf", EPS_EFFECT), ("mmseg", MMSEG_EPS_EFFECT), ("zoo", GELU_EFFECT)], ids=["hf", "mmseg", "zoo"]
)
def test_a_sentence_says_what_is_measured(numerics, sentence, need_torch):
    """Within a factor of three, which is enough to distinguish an eps, a GELU and a mistake."""
    stated_feature, stated_logit = map(float, re.findall(r"\d+e-\d+", sentence))
    arrays = hot_arrays(segformer("b0"))
    effects = [measured(numerics, arrays, images) for images in IMAGES.values()]
    feature, logit = max(effect[0] for effect in effects), max(effect[1] for effect in effects)
    assert stated_feature / 3 < feature < 3 * stated_feature and stated_logit / 3 < logit < 3 * stated_logit, effects


def test_eps_matters_on_an_untrained_network(need_torch):
    """Tokens of an empty region hardly vary, so LayerNorm divides them by little more than its eps."""
    feature, _, pixels = measured("hf", init_arrays(segformer("b0"), 0), IMAGES["half empty"])
    assert feature > 0.5 and 0.05 < pixels < 0.3


def test_what_differs_is_said_of_the_target():
    assert differences("nvlabs", NVLABS) == [] and differences("hf", TRANSFORMERS_4) == []
    (sentence,) = differences("nvlabs", TRANSFORMERS_4)
    assert "block 1e-05 for 1e-06, stage 1e-05 for 1e-06" in sentence
    gelu, padding = differences("nvlabs", ZOO)
    assert "GELU by tanh, these weights' code by erf" in gelu and "pads the sr convolutions" in padding
    assert any("align_corners" in sentence for sentence in differences("nvlabs", SMP))
    assert all(dialect.numerics in NUMERICS for dialect in DIALECTS)
