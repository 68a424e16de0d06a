"""Each kernel and its gradient beside PyTorch's own operator in float64, at sizes that no vector and no block divides."""

import math

import numpy as np
import pytest

from parity_tests.native.calls import axis, call, numbers, path
from parity_tests.support import assert_close, check_control, difference

pytestmark = [
    pytest.mark.compares("mindspore, kernels", "torch in float64"),
    pytest.mark.usefixtures("need_torch", "need_mindspore"),
]
EPS = 1e-6


def gelu(x):
    from torch.nn.functional import gelu

    return gelu(x)


def depthwise(x, weight, bias):
    from torch.nn.functional import conv2d

    return conv2d(x, weight, bias, padding=1, groups=x.shape[1])


def layer_norm(x, gamma, beta):
    from torch.nn.functional import layer_norm

    return layer_norm(x, x.shape[-1:], gamma, beta, EPS)


def batch_norm(x, gamma, beta):
    from torch.nn.functional import batch_norm

    return batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)


def attention(heads):
    def attend(q, kv):
        B, N, C = q.shape
        q = q.reshape(B, N, heads, -1).transpose(1, 2)
        k, v = (x.reshape(B, -1, heads, C // heads).transpose(1, 2) for x in kv.split(C, -1))
        return ((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v).transpose(1, 2).reshape(B, N, C)

    return attend


def cross_entropy(labels):
    def losses(logits):
        import torch

        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels).long(), ignore_index=255, reduction="none")

    return losses


def upsampled(size):
    def upsample(x):
        from torch.nn.functional import interpolate

        return interpolate(x, size, mode="bilinear", align_corners=False)

    return upsample


def reference(function, inputs, dy) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a function of float64 tensors gives, and the gradients of Σ dy · function by its inputs."""
    import torch

    tensors = [torch.from_numpy(array.astype(np.float64)).requires_grad_() for array in inputs]
    y = function(*tensors)
    y.backward(torch.from_numpy(dy.astype(np.float64)))
    return y.detach().numpy(), [tensor.grad.numpy() for tensor in tensors]


def check(name: str, function, inputs, got, gradients, dy, quantity: str) -> None:
    want, slopes = reference(function, inputs, dy)
    assert_close(name, got, want, quantity)
    for i, (found, slope) in enumerate(zip(gradients, slopes, strict=True)):
        scale = np.abs(slope).max()
        assert_close(f"{name}'s gradient by its input {i}", found / scale, slope / scale, "leaf")
    wrong = reference(function, [array * np.float32(1.001) for array in inputs], dy)[0]
    check_control("inputs that are a thousandth larger", difference(got, wrong), quantity, times=10)


@pytest.mark.parametrize("shape", [(1,), (3, 5, 7, 11), (70001,)])
def test_gelu(shape):
    x, dy = numbers(*shape, scale=3), numbers(*shape, seed=1)
    check("GELU", gelu, [x], *call("Gelu", [x], [shape]), call("GeluGrad", [x, dy], [shape]), dy, "leaf")


def test_gelu_is_as_good_in_its_tail():
    """Relatively: where Φ(x) is small a difference of 1e-7 would be all of it."""
    x = np.linspace(-9, -1, 4001, dtype=np.float32)
    want = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.astype(np.float64)])
    assert np.abs(call("Gelu", [x], [x.shape])[0] / want - 1).max() < 5e-6


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 2), (2, 4, 29, 35), (3, 2, 16, 64)])
def test_depthwise(shape):
    C = shape[1]
    inputs, dy = [numbers(*shape), numbers(C, 1, 3, 3, scale=0.5), numbers(C)], numbers(*shape, seed=1)
    got, *gradients = *call("Depthwise", inputs, [shape]), *call("DepthwiseGrad", [*inputs[:2], dy], [shape, (C, 1, 3, 3), (C,)])
    check("the depthwise convolution", depthwise, inputs, got, gradients, dy, "convolution")


@pytest.mark.parametrize(("N", "C"), [(1, 3), (5, 32), (1100, 37), (700, 160)])
def test_layer_norm(N, C):
    inputs, dy = [numbers(N, C) * 2 + 1, numbers(C), numbers(C)], numbers(N, C, seed=1)
    eps = np.array([EPS], np.float32)
    got, *gradients = (
        *call("Normalise", [*inputs, eps], [(N, C)]),
        *call("NormaliseGrad", [*inputs[:2], dy, eps], [(N, C), (C,), (C,)]),
    )
    check("LayerNorm", layer_norm, inputs, got, gradients, dy, "leaf")


@pytest.mark.parametrize(
    ("B", "heads", "N", "M", "d"),
    [(1, 1, 1, 1, 1), (1, 1, 1100, 9, 8), (2, 3, 5, 7, 3), (1, 2, 301, 77, 32), (1, 1, 97, 1025, 64), (2, 8, 70, 33, 40)],
)
def test_attention(B, heads, N, M, d):
    C = heads * d
    q, kv, dy = numbers(B, N, C), numbers(B, M, 2 * C, seed=1), numbers(B, N, C, seed=2)
    (got,) = call("Attend", [q, kv, np.zeros(heads)], [q.shape])
    gradients = call("AttendGrad", [q, kv, np.zeros(heads), got, dy], [q.shape, kv.shape])
    if M == 1:  # nothing depends on queries and keys
        assert np.array_equal(got, kv[..., C:]) and np.abs(gradients[0]).max() < 1e-6
        assert np.abs(gradients[1][..., :C]).max() < 1e-6 and np.allclose(gradients[1][..., C:], dy)
        return
    check("attention", attention(heads), [q, kv], got, gradients, dy, "attention")


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 19, 33, 37), (1, 150, 5, 9)])
def test_cross_entropy(shape):
    B, K, H, W = shape
    logits, slopes = numbers(*shape, scale=4), numbers(B, H, W, seed=1)
    labels = np.random.default_rng(0).integers(0, K, (B, H, W)).astype(np.int32)
    if H > 1:
        labels[:, 2:4], slopes[:, 2:4] = 255, 0
    (got,) = call("CrossEntropy", [logits, labels], [labels.shape])
    gradients = call("CrossEntropyGrad", [logits, labels, slopes], [shape])
    check("cross-entropy", cross_entropy(labels), [logits], got, gradients, slopes, "leaf")


@pytest.mark.parametrize("size", [((1, 1), (3, 2)), ((5, 9), (17, 31)), ((8, 10), (32, 40)), ((16, 12), (7, 5))])
def test_upsampling(size):
    (h, w), (H, W) = size
    x, dy = numbers(2, 3, h, w), numbers(2, 3, H, W, seed=1)
    rows, columns = axis(h, H), axis(w, W)
    (got,) = call("Upsample", [x, rows, columns], [dy.shape])
    gradients = call("UpsampleGrad", [dy, rows, columns, np.zeros(h), np.zeros(w)], [x.shape])
    check("upsampling", upsampled((H, W)), [x], got, gradients, dy, "leaf")


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 5, 7, 9), (3, 2, 64, 33)])
def test_batch_norm(shape):
    C, eps = shape[1], np.array([EPS], np.float32)
    inputs, dy = [numbers(*shape) * 2 + 3, numbers(C), numbers(C)], numbers(*shape, seed=1)
    got, mean, variance = call("BatchNorm", [*inputs, eps], [shape, (C,), (C,)])
    gradients = call("BatchNormGrad", [*inputs[:2], mean, variance, eps, dy], [shape, (C,), (C,)])
    x = inputs[0].astype(np.float64)
    assert_close("mean", mean, x.mean((0, 2, 3)), "leaf")
    assert_close("variance", variance, x.var((0, 2, 3)), "leaf")
    if x.size > 2:  # of two numbers the gradient is 0 but for eps
        check("BatchNorm", batch_norm, inputs, got, gradients, dy, "leaf")


@pytest.mark.parametrize(
    "size", [((1, 1), (3, 2)), ((5, 9), (17, 31)), ((9, 10), (36, 40)), ((33, 12), (7, 5)), ((6, 7), (6, 7))]
)
def test_labels(size):
    """Of random scores, where no two are nearly equal."""
    (h, w), (H, W) = size
    scores = numbers(2, 21, h, w, scale=4)
    (got,) = call("Labels", [scores, axis(h, H), axis(w, W)], [(2, H, W)], np.uint8)
    want = reference(upsampled((H, W)), [scores], np.zeros((2, 21, H, W)))[0]
    best = np.sort(want, 1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert np.array_equal(got[clear], want.argmax(1)[clear]) and clear.mean() > 0.99


def test_of_equal_scores_the_first_class_wins():
    scores = np.zeros((1, 4, 3, 3), np.float32)
    scores[0, 2, :, 1], scores[0, 3, :, 1] = 1, 1
    (got,) = call("Labels", [scores, axis(3, 3), axis(3, 3)], [(1, 3, 3)], np.uint8)
    assert got.tolist() == [[[0, 2, 0]] * 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen(bad):
    """A NaN in any lane, and of any bits, is one in the result; a training step is told from it that something is wrong."""
    for place in range(37):
        x = numbers(1, 37)
        x[0, place] = bad
        ones, zeros = np.ones(37, np.float32), np.zeros(37, np.float32)
        assert not np.isfinite(call("Gelu", [x], [x.shape])[0][0, place])
        assert not np.isfinite(call("Normalise", [x, ones, zeros, np.array([EPS])], [x.shape])[0]).any()
        q, good = x.reshape(1, 37, 1), numbers(1, 37, 1)
        for keys, values, bad_rows in ((good, good, place), (q, good, slice(None)), (good, q, slice(None))):
            if keys is q and np.isinf(bad):
                continue  # a key with the score -inf has no weight
            inputs = [q if keys is values else good, np.concatenate([keys, values], 2), np.zeros(1)]
            assert not np.isfinite(call("Attend", inputs, [q.shape])[0][0, bad_rows]).any()
        pixels = [x.reshape(1, 37, 1, 1), np.zeros((1, 1, 1), np.int32)]
        assert not np.isfinite(call("CrossEntropy", pixels, [(1, 1, 1)])[0]).any()
    strange = np.array([0x7FC00001, 0xFFC12345, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(call("Gelu", [strange], [strange.shape])[0]).all()
    q = strange.reshape(1, 3, 1)
    assert np.isnan(call("Attend", [q, np.ones((1, 2, 2)), np.zeros(1)], [q.shape])[0]).all()


def test_a_label_that_is_no_class_is_refused():
    from mindspore import Tensor

    from backend_mindspore.native import cells, library

    with library.calls_to(path()):
        losses = cells.CrossEntropy()
    labels = np.zeros((1, 40, 40), np.int32)
    for label, refused in ((255, False), (3, True), (-1, True), (2, False)):
        labels[0, 20, 21] = label
        try:
            losses(Tensor(numbers(1, 3, 40, 40)), Tensor(labels)).asnumpy()
        except RuntimeError as error:
            assert refused and "a label is neither a class nor the ignored one" in str(error)
        else:
            assert not refused
