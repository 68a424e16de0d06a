"""Inference makes no optimizer: what AdamW needs of a framework, a network that only labels does not."""

from importlib import import_module

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.support import hot_arrays
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.inference.segmenter import Segmenter
from segformer_core.spec.model import segformer


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_network_labels_where_no_optimizer_can_be_made(backend, monkeypatch):
    need(backend)

    def refuse(*_, **__):
        raise AssertionError("an optimizer is made")

    monkeypatch.setattr(import_module(f"backend_{backend}.learner"), "AdamW", refuse)
    config = load_config(["--device_target", "CPU", "--base_size", "[64, 64]", "--execution_mode", "pynative"])
    spec = segformer("b0", 3)
    learner = connector(backend)(config.runtime).learner(spec, config, lambda _: None)
    learner.load_arrays(hot_arrays(spec))
    labels = Segmenter(learner, spec, config.data, config.evaluation).segment(np.zeros((32, 40, 3), np.uint8))
    assert labels.shape == (32, 40)
    with pytest.raises(AssertionError, match="only predicts"):
        _ = learner.training_step
