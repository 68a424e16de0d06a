"""What an Ascend is told before the first operator runs, and what a network does on one. A stand-in records the calls."""

import numpy as np
import pytest

from parity_tests import training_runs
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.protocol.learner import Precision
from segformer_core.spec.model import segformer

pytestmark = pytest.mark.usefixtures("need_mindspore")
FULL = {"conv_allow_hf32": False, "matmul_allow_hf32": False}
NO_LOWER = {"precision_mode": "allow_fp32_to_fp16"}
KERNEL_BY_KERNEL = {"jit_config": {"jit_level": "O0"}}
"""The graph engine, which MindSpore 2.7 would take on the first Ascend, lacks operators of the graph (docs/ascend_kernels.md)."""


class Ascend:
    """Records what it is told; it takes each mode once, as MindSpore does."""

    def __init__(self, **told):
        self.told = told

    def tell(self, name: str):
        def setter(value: object) -> None:
            if name in self.told:
                raise RuntimeError(f"The '{name}' can not be set repeatedly.")
            self.told[name] = value

        return setter


def connected(monkeypatch, precision: str, first: bool, **told) -> Ascend:
    import mindspore as ms

    from backend_mindspore import device, kernels, overflow

    assert overflow.first_ascend is kernels.first_ascend, "it is imported before the stand-in takes its place"

    ascend = Ascend(**told)
    monkeypatch.setattr(device.glob, "glob", lambda _: ["/dev/davinci0"])
    monkeypatch.setattr(ms, "set_device", lambda *chosen: ascend.told.update(device=chosen))
    monkeypatch.setattr(ms, "set_context", lambda mode=None, **context: ascend.told.update(context))
    monkeypatch.setattr(kernels, "first_ascend", lambda: first)
    for name in (*FULL, *NO_LOWER):
        monkeypatch.setattr(ms.device_context.ascend.op_precision, name, ascend.tell(name))  # fails where MindSpore lacks it
    backend = device.connect(RuntimeConfig(device_target="Ascend", precision=precision, device_id=3))
    assert (backend.device, ascend.told.pop("device")) == ("Ascend", ("Ascend", 3))
    return ascend


@pytest.mark.parametrize(
    ("precision", "first", "wanted"),
    [
        ("fp32", False, FULL),
        ("auto", False, FULL),  # it evaluates in fp32
        ("fp16", False, {}),
        ("bf16", False, {}),
        ("fp32", True, NO_LOWER | KERNEL_BY_KERNEL),
        ("auto", True, NO_LOWER | KERNEL_BY_KERNEL),
        ("fp16", True, NO_LOWER | KERNEL_BY_KERNEL),
    ],
)
def test_fp32_is_fp32(precision, first, wanted, monkeypatch):
    assert connected(monkeypatch, precision, first).told == wanted


def test_what_a_program_has_set_stays(monkeypatch):
    told = connected(monkeypatch, "fp32", False, conv_allow_hf32=True).told
    assert told == {"conv_allow_hf32": True, "matmul_allow_hf32": False}


@pytest.mark.parametrize(
    ("device", "first", "why"),
    [
        ("Ascend", False, ""),
        ("Ascend", True, "MindSpore has no fused attention for the first Ascend 910"),
        ("CPU", False, "MindSpore has a fused attention for an Ascend alone"),
    ],
)
def test_attention_is_fused_where_there_is_a_kernel_and_nobody_says_otherwise(device, first, why, monkeypatch):
    from backend_mindspore import attention, kernels
    from backend_mindspore.learner import Learner

    monkeypatch.setattr(kernels, "on", lambda name: name == device)
    monkeypatch.setattr(kernels, "first_ascend", lambda: first)
    assert kernels.no_fused_attention() == why
    for fused in (True, False):
        learner = Learner(segformer("b0", 3), Config(), None, Precision("fp16", "fp16"), lambda _: None, fused)
        flags = {cell.fused for _, cell in learner.model.cells_and_names() if isinstance(cell, attention.Attend)}
        assert flags == {fused and not why}


BY_FIVE = 5 * 7 * 2 * 3
BLOCKS = (1, BY_FIVE, 33 * 7 * 2 * 3 - 1, 33 * 7 * 2 * 3)


@pytest.mark.parametrize(
    ("most", "mode"),
    [*((most, "pynative") for most in BLOCKS), *((most, "graph") for most in (BLOCKS if training_runs.FULL else [BY_FIVE]))],
)
def test_attention_by_blocks_is_the_whole_attention(most, mode, monkeypatch):
    """33 queries of 7 keys in 6 heads: by one, by five, all but one, all at once."""
    import mindspore as ms

    from backend_mindspore import attention

    ms.set_context(mode=ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE)
    rng = np.random.default_rng(0)
    q, k, v = (ms.Tensor(rng.standard_normal((2, 3, count, 8)).astype(np.float32)) for count in (33, 7, 7))
    want = attention.Attend(3).set_train(False)(q, k, v).asnumpy()
    monkeypatch.setattr(attention, "MOST_SCORES", most)
    got = attention.Attend(3).set_train(False)(q, k, v).asnumpy()
    ms.set_context(mode=ms.GRAPH_MODE)
    assert np.abs(got - want).max() < 1e-6 < 0.5 < np.abs(want).max(), "a product of fewer rows rounds otherwise"


def test_how_many_scores_are_held(monkeypatch):
    """Never more than MOST_SCORES where no gradient is asked for; in training, and below it, all at once."""
    import mindspore as ms

    from backend_mindspore import attention

    ms.set_context(mode=ms.PYNATIVE_MODE)
    held = []
    plain = attention.PlainAttend.construct
    monkeypatch.setattr(
        attention.PlainAttend, "construct", lambda cell, q, k, v: held.append(q.shape[2] * k.shape[2]) or plain(cell, q, k, v)
    )
    q, k = (ms.Tensor(np.ones((1, 1, count, 16), np.float32)) for count in (40, 10))
    attend = attention.Attend(1)

    def scores(most: int, training: bool) -> list[int]:
        held.clear()
        monkeypatch.setattr(attention, "MOST_SCORES", most)
        attend.set_train(training)(q, k, k)
        return held.copy()

    assert scores(150, False) == [150, 150, 100]
    assert scores(400, False) == scores(150, True) == [400]
    ms.set_context(mode=ms.GRAPH_MODE)
    assert monkeypatch.undo() is None and attention.MOST_SCORES * 4 == 1 << 28


@pytest.mark.parametrize(("tokens", "dtype", "fused"), [(10, "float16", True), (11, "float16", False), (10, "float32", False)])
def test_the_fused_attention_has_no_more_tokens_than_documented(tokens, dtype, fused, monkeypatch):
    import mindspore as ms

    from backend_mindspore import attention

    ms.set_context(mode=ms.PYNATIVE_MODE)
    asked = []
    monkeypatch.setattr(attention, "no_fused_attention", lambda: "")
    monkeypatch.setattr(attention, "MOST_TOKENS", 10)
    monkeypatch.setattr(attention.ops, "flash_attention_score", lambda q, *rest, **named: asked.append(q.shape) or q)
    q = ms.Tensor(np.ones((1, 1, tokens, 16), dtype))
    assert attention.Attend(1).set_train(False)(q, q, q).shape == q.shape and bool(asked) == fused
    ms.set_context(mode=ms.GRAPH_MODE)
