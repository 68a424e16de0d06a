"""Overflows on a device that saturates: its status tells of them, its gradients do not. The device is emulated on a CPU."""

import numpy as np
import pytest

from segformer_core.protocol import loss_scale

pytestmark = pytest.mark.usefixtures("need_mindspore")
HIGH = loss_scale.LARGEST / 4
"""A scale at which gradients of the emulated training overflow."""


@pytest.fixture
def graph_mode_again():
    """The emulation runs in pynative mode, which is MindSpore's global state."""
    import mindspore

    yield
    mindspore.set_context(mode=mindspore.GRAPH_MODE)


@pytest.mark.parametrize("detected", [True, False])
def test_the_scale_falls_by_the_status_alone(detected, graph_mode_again):
    """By the gradients' norm, which is finite, it only grows, and the weights take the saturated gradients."""
    from parity_tests.ascend.saturation import saturated_steps

    steps, before, after = saturated_steps(detected, 2, 1, HIGH)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    if detected:
        assert steps == [(HIGH, True), (HIGH / 2, True)]
        assert changed == {"loss_scale", "skipped_steps"}
        assert after["loss_scale"] == HIGH / 4 and after["skipped_steps"] == 2 and after["steps"] == 0
    else:
        assert steps == [(HIGH, False), (HIGH * 2, False)]
        assert after["steps"] == 2 and len(changed) > 100, "spoilt without a word"


def test_an_overflow_before_the_step_is_not_the_steps(graph_mode_again):
    """An evaluation may leave the status set. The step clears it; its own products are sound at this scale."""
    from parity_tests.ascend.saturation import saturated_steps

    steps, *_ = saturated_steps(True, 1, 1, loss_scale.START, overflowed_before=True)
    assert steps == [(loss_scale.START, False)]


def test_an_overflow_of_an_earlier_part_counts(graph_mode_again, monkeypatch):
    import mindspore as ms

    from backend_mindspore.overflow import DeviceStatus
    from parity_tests.ascend.saturation import Device

    ms.set_context(mode=ms.PYNATIVE_MODE)
    device = Device()
    monkeypatch.setattr("mindspore.amp.all_finite", device.all_finite)
    status, x = DeviceStatus(), ms.Tensor(np.ones(3, np.float32))

    def step(*parts: bool) -> bool:
        for overflows in parts[:-1]:
            status.cleared(x)
            device.overflowed = overflows
            status.note((x,))
        status.cleared(x)
        device.overflowed = parts[-1]
        return bool(status.finite((x,)))

    parts = [(True, False), (False, False), (False, True), (True, True), (False, False), (False,), (True,), (False,)]
    assert [step(*each) for each in parts] == [not any(each) for each in parts]


@pytest.mark.parametrize(
    ("target", "generation", "mode", "wanted"),
    [
        ("Ascend", "ascend910", "", True),
        ("Ascend", "ascend910b", "", False),
        ("Ascend", "ascend910_93", "INFNAN_MODE", False),
        ("Ascend", "ascend910b", "SATURATION_MODE", True),
        ("CPU", "ascend910", "SATURATION_MODE", False),
    ],
)
def test_which_devices_saturate(target, generation, mode, wanted, monkeypatch):
    from backend_mindspore import kernels, overflow

    asked_of(monkeypatch, get_ascend_soc_version=lambda: generation)
    monkeypatch.setattr(kernels, "on", lambda device: device == target)
    monkeypatch.setattr(overflow, "on", lambda device: device == target)
    monkeypatch.setenv("MS_ASCEND_CHECK_OVERFLOW_MODE", mode)
    assert overflow.saturates() is wanted
    assert ("status" in overflow.detection()) is wanted and ("norm" in overflow.detection()) is not wanted


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ({"get_ascend_soc_version": lambda: "ascend910"}, True),
        ({"ascend_soc_supports_feature": {"amp_loss_scale_train_classic_target": True}.get}, True),
        ({"ascend_soc_supports_feature": {"amp_loss_scale_train_classic_target": False}.get}, False),
        ({}, False),
    ],
)
def test_whichever_question_mindspore_answers(answers, wanted, monkeypatch):
    """2.7 answers the first, 2.10 both; one that answers none knows no first generation any more."""
    from backend_mindspore import kernels

    asked_of(monkeypatch, **answers)
    monkeypatch.setattr(kernels, "on", lambda device: device == "Ascend")
    assert kernels.first_ascend() is wanted


def asked_of(monkeypatch, **answers) -> None:
    """A MindSpore that answers these questions alone."""
    known = type("Known", (), {name: staticmethod(answer) for name, answer in answers.items()})()
    context = type("Context", (), {"get_instance": staticmethod(lambda: known)})
    monkeypatch.setattr("mindspore._c_expression.MSContext", context)


@pytest.mark.parametrize(
    ("precision", "said"), [("fp16", ["a step that overflows is told by the norm of the gradients"]), ("fp32", [])]
)
def test_the_log_says_how_an_overflow_is_told(precision, said):
    from dataclasses import replace

    from parity_tests.ascend.ascend_graphs import small_network
    from parity_tests.support import CONFIG, hot_arrays, mindspore_learner

    spec, lines = small_network(), []
    config = replace(CONFIG, runtime=replace(CONFIG.runtime, precision=precision))
    mindspore_learner(spec, hot_arrays(spec), config, log=lines.append).optimizer_arrays()
    assert lines == said
