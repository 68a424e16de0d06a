"""The checks of one process, on PyTorch's CPU and with stand-ins for a device that is wrong in one way."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segformer_core.commands.opening import connector
from segformer_core.device_check import trial as module
from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED, Doubt, attempt
from segformer_core.device_check.trial import CHECKS, Trial
from segformer_core.protocol.learner import Step


def tried(trial: Trial, name: str) -> dict[str, Any]:
    outcome = attempt(getattr(trial, name))
    assert outcome.pop("seconds") >= 0
    return outcome


@pytest.fixture
def trial(need_torch) -> Trial:
    """A device that computes as PyTorch on a CPU does and has another name."""
    trial = Trial(connector, "torch", "CPU")
    assert [tried(trial, name)["result"] for name in ("device", "forward", "training_step")] == [PASSED] * 3
    trial.found = "another device"
    return trial


@pytest.mark.parametrize("name", CHECKS)
def test_any_check_may_be_the_first(name, need_torch):
    """The process before may have died."""
    outcome = tried(Trial(connector, "torch", "CPU"), name)
    assert outcome["result"] == (NOT_RUN if name in ("training_step_auto", "reference") else PASSED), outcome


@pytest.mark.parametrize(("what", "amount", "result"), [("logits", 0, PASSED), ("logits", 1e-2, FAILED), ("loss", 1e-2, FAILED)])
def test_a_difference_from_the_reference_is_found(what, amount, result, trial):
    setattr(trial, what, getattr(trial, what) + amount)
    found = tried(trial, "reference")
    assert found["result"] == result
    assert not amount or "expected at most 0.001" in found["why"]


def test_without_a_result_there_is_nothing_to_compare(trial):
    del trial.loss
    assert tried(trial, "reference") == {"result": NOT_RUN, "why": "there is no result to compare"}


STEP = {"loss": 1.0, "overflowed": 0.0}


@pytest.mark.parametrize(
    ("logits", "step", "change", "why"),
    [
        (np.nan, STEP, 0, "logits are not finite"),
        (0, STEP | {"loss": np.nan}, 1, "the loss is nan"),
        (0, STEP | {"overflowed": 1.0}, 1, "the gradient is not finite"),
        (0, STEP, np.nan, "weights are not finite after the step"),
        (0, STEP, 0, "the step changed no weight"),
    ],
)
def test_what_is_wrong_is_named(logits, step, change, why, trial):
    arrays = trial.learner.arrays()
    after = {name: array + np.float32(1 if "running" in name else change) for name, array in arrays.items()}
    states = iter([arrays, after])
    trial.learner = SimpleNamespace(
        forward=lambda _: trial.logits + logits, step=lambda *_: SimpleNamespace(**step), arrays=lambda: next(states)
    )
    name = "forward" if "logits" in why else "training_step"
    assert tried(trial, name) == {"result": FAILED, "why": why}


def test_an_error_of_the_framework_is_a_result(trial):
    trial.learner = SimpleNamespace(forward=lambda _: (_ for _ in ()).throw(RuntimeError("EZ9999: Inner Error!\n[task]")))
    found = tried(trial, "forward")
    assert "in forward" in found.pop("output")
    assert found == {"result": FAILED, "why": "RuntimeError: EZ9999: Inner Error!\\n[task]"}


def test_a_warning_keeps_its_figures():
    def check() -> dict[str, Any]:
        raise Doubt("does not fit", {"found": 1})

    outcome = attempt(check)
    assert outcome.pop("seconds") >= 0 and outcome == {"result": "warning", "why": "does not fit", "found": 1}


def test_an_overflow_is_provoked_and_the_next_step_is_clean(trial):
    found = tried(trial, "overflow")
    assert found["result"] == PASSED and found["told_by"] == "the norm of the gradients"
    assert (found["scale"], found["scale_after"], found["clean_scale"]) == (2.0**24, 2.0**23, 2.0**14)


class Blind:
    """A learner of a device on which something about overflows is wrong."""

    def __init__(self, learner: Any, fault: str):
        self.learner, self.fault, self.steps = learner, fault, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    def step(self, *batch: Any) -> Step:
        step = self.learner.step(*batch)
        self.steps += 1
        return Step(step.loss, 0.0) if self.fault == "not seen" else step

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = self.learner.arrays()
        if self.fault == "weights" and self.steps:
            arrays["decode_head.linear_pred.bias"] += 1
        return arrays

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        arrays = self.learner.optimizer_arrays()
        return arrays | ({"loss_scale": np.array(2.0**24)} if self.fault == "scale" and self.steps else {})


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("not seen", "must overflow, and none was seen, by the status of the device, which saturates"),
        ("weights", "a step that overflowed changed 1 arrays, decode_head.linear_pred.bias among them"),
        ("scale", "after an overflow the loss scale is 1.67772e+07; expected 8.38861e+06"),
    ],
)
def test_an_overflow_that_is_handled_wrongly_is_found(fault, why, trial, monkeypatch):
    make = trial.trained
    monkeypatch.setattr(trial, "trained", lambda backend: Blind(make(backend), fault))
    trial.lines.append("a step that overflows is told by the status of the device, which saturates")
    found = tried(trial, "overflow")
    assert found["result"] == FAILED and why in found["why"]


def test_both_forms_of_attention_are_timed(trial, monkeypatch):
    monkeypatch.setattr(module, "LARGE", (1, 3, 64, 64))
    found = tried(trial, "attention")
    assert found["result"] == PASSED and found["image"] == [1, 3, 64, 64] and 0 < found["largest_difference"] < 0.02
    assert all(found[f"{form}{kind}_seconds"] > 0 for form in ("fused", "written_out") for kind in ("_first", ""))


def test_a_fused_attention_that_computes_something_else_is_found(trial, monkeypatch):
    """Without the division by √d."""
    from torch import nn

    plain = nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(module, "LARGE", (1, 3, 64, 64))
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", lambda q, k, v, **options: plain(q * 2, k, v, **options))
    found = tried(trial, "attention")
    assert found["result"] == FAILED and "expected at most 0.02" in found["why"]


def test_mindspore_has_no_fused_attention_on_a_cpu(need_mindspore):
    found = tried(Trial(connector, "mindspore", "CPU"), "attention")
    assert found == {"result": NOT_RUN, "why": "MindSpore has a fused attention for an Ascend alone"}
