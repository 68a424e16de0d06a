"""Rung 1: each leaf and kernel against numpy in float64, with a probe chosen to expose its constant."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from parity_tests.frameworks import Framework
from parity_tests.leaf_definitions import attention, convolution, convolution_gradients, interpolation, layer_norm
from parity_tests.support import FORMS, assert_close, check_control, check_difference, difference, output_size
from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Linear

pytestmark = pytest.mark.compares("{framework}", "numpy in float64")
BACKENDS = ("torch", *(f"mindspore, {form}" for form in FORMS))
rng = np.random.default_rng(0)


def values(*shape: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return (rng.standard_normal(shape) * scale + shift).astype(np.float32)


@pytest.fixture(params=BACKENDS)
def framework(request) -> Iterator[Framework]:
    request.getfixturevalue(f"need_{request.param.partition(', ')[0]}")
    found = Framework(request.param)
    with found.as_in_a_learner():
        yield found


def leaf_arrays(leaf) -> dict[str, np.ndarray]:
    arrays = {name: values(*shape) for name, shape in leaf.shapes().items()}
    if isinstance(leaf, Conv2d):
        arrays["weight"] *= np.float32(leaf.fan_in**-0.5)
    if "running_var" in arrays:
        arrays["running_var"] = np.abs(arrays["running_var"]) + 0.5
    return arrays


def test_linear(framework):
    leaf = Linear(24, 40)
    arrays, x = leaf_arrays(leaf), values(2, 9, 24)
    got = framework.numpy(framework.build(leaf, arrays)(framework.tensor(x)))
    assert_close("Linear", got, x.astype(np.float64) @ arrays["weight"].T + arrays["bias"], "leaf")


@pytest.mark.parametrize("eps", [1e-5, 1e-6])
def test_layer_norm_shows_its_eps_on_small_inputs(framework, eps):
    leaf = LayerNorm(64, eps)
    arrays, x = leaf_arrays(leaf), values(2, 9, 64, scale=0.01)
    got = framework.numpy(framework.build(leaf, arrays)(framework.tensor(x)))
    assert_close("LayerNorm", got, layer_norm(x, arrays, eps), "leaf")
    other = layer_norm(x, arrays, 1.1e-5 - eps)
    check_control("LayerNorm with the other profile's eps", difference(got, other), "leaf", times=100)


def check_gradients(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    """Raise unless all are there and each differs by little of its largest entry."""
    assert got.keys() == want.keys()
    for name, value in want.items():
        check_difference(name, difference(got[name], value) / np.abs(value).max(), "gradients")


@pytest.mark.parametrize("eps", [1e-5, 1e-6])
def test_the_gradient_of_layer_norm(framework, eps):
    leaf = LayerNorm(64, eps)
    arrays, x, weights = leaf_arrays(leaf), values(2, 300, 64, scale=0.01, shift=0.02), values(2, 300, 64)
    got = framework.gradients(framework.build(leaf, arrays), leaf, x, weights)

    def want(eps: float) -> dict[str, np.ndarray]:
        centred = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        unit, g = centred / deviation, weights.astype(np.float64) * arrays["weight"]
        by_x = (g - g.mean(-1, keepdims=True) - unit * (g * unit).mean(-1, keepdims=True)) / deviation
        return {"x": by_x, "weight": (weights * unit).sum((0, 1)), "bias": weights.sum((0, 1), dtype=np.float64)}

    check_gradients(got, want(eps))
    found = difference(got["x"], want(1.1e-5 - eps)["x"]) / np.abs(got["x"]).max()
    check_control("the gradient of LayerNorm with the other profile's eps", found, "gradients", times=100)


@pytest.mark.parametrize(
    "leaf",
    [
        Conv2d(3, 16, kernel=7, stride=4, padding=3),
        Conv2d(8, 16, kernel=3, stride=2, padding=1),
        Conv2d(16, 16, kernel=3, padding=1, groups=16),
        Conv2d(8, 8, kernel=8, stride=8),
    ],
    ids=["patch", "merge", "depthwise", "sr"],
)
def test_convolution_at_the_border_of_odd_sizes(framework, leaf):
    arrays, x = leaf_arrays(leaf), values(2, leaf.in_channels, 29, 35)
    got = framework.numpy(framework.build(leaf, arrays)(framework.tensor(x)))
    assert got.shape[2:] == (output_size(leaf, 29), output_size(leaf, 35))
    want = convolution(x, arrays, leaf)
    assert_close("Conv2d", got, want, "convolution")
    turned = convolution(x, arrays | {"weight": arrays["weight"][..., ::-1, ::-1]}, leaf)
    check_control("a kernel turned round", difference(got, turned), "convolution", times=1e4)


@pytest.mark.parametrize("form", ["operator", "products", "kernel"])
@pytest.mark.parametrize(
    ("leaf", "size"),
    [
        (Conv2d(3, 8, kernel=7, stride=4, padding=3), (29, 35)),
        (Conv2d(4, 6, kernel=3, stride=2, padding=1), (16, 24)),
        (Conv2d(4, 4, kernel=3, padding=1, groups=4), (29, 35)),
        (Conv2d(4, 4, kernel=3, padding=1, groups=4), (32, 20)),
        (Conv2d(4, 4, kernel=3, padding=1, groups=4), (5, 2)),
    ],
    ids=["patch", "merge", "depthwise, part of a block", "depthwise, whole blocks", "depthwise, smaller than a block"],
)
def test_the_gradient_of_convolutions(framework, leaf, size, form):
    """In all forms that MindSpore has on a CPU: which one it takes depends on the processor, and on whether kernels are made."""
    arrays, x = leaf_arrays(leaf), values(2, leaf.in_channels, *size)
    weights = values(2, leaf.out_channels, *(output_size(leaf, side) for side in size))
    layer = framework.build(leaf, arrays)
    if framework.name != "torch":
        layer.products = framework.kernels.products_of(leaf) if form == "products" else None
        layer.native = layer.native if form == "kernel" else None
    assert_close("Conv2d", framework.numpy(layer(framework.tensor(x))), convolution(x, arrays, leaf), "convolution")
    got = framework.gradients(layer, leaf, x, weights)
    want = convolution_gradients(x, weights, arrays, leaf)
    check_gradients(got, want)
    turned = convolution_gradients(x, weights, arrays | {"weight": arrays["weight"][..., ::-1, ::-1]}, leaf)
    found = difference(got["x"], turned["x"]) / np.abs(want["x"]).max()
    check_control("the gradient with the kernel turned round", found, "gradients", times=1000)


@pytest.mark.parametrize("size", [(16, 24), (19, 27)], ids=["divisible", "odd"])
def test_reduced_tokens_are_the_sr_convolution(framework, size):
    leaf = Conv2d(6, 6, kernel=4, stride=4)
    arrays, x = leaf_arrays(leaf), values(2, 6, *size)
    tokens = np.ascontiguousarray(x.reshape(2, 6, -1).transpose(0, 2, 1))
    layer = framework.build(leaf, arrays)
    got = framework.numpy(framework.layers.reduce_tokens(layer, framework.tensor(tokens), size))
    want = convolution(x, arrays, leaf).reshape(2, 6, -1).transpose(0, 2, 1)
    assert_close("reduce_tokens", got, want, "convolution")


def test_products_that_change_layout(framework):
    layers, tensor = framework.layers, framework.tensor
    tokens, weight, bias = values(2, 12, 5), values(7, 5), values(7)
    want = tokens.astype(np.float64) @ weight.T + bias
    as_map = want.transpose(0, 2, 1).reshape(2, 7, 3, 4)
    x = np.ascontiguousarray(tokens.transpose(0, 2, 1).reshape(2, 5, 3, 4))
    arguments = (tensor(weight), tensor(bias))
    assert_close("linear", framework.numpy(layers.linear(tensor(tokens), *arguments)), want, "leaf")
    assert_close("to map", framework.numpy(layers.linear_to_map(tensor(tokens), *arguments, (3, 4))), as_map, "leaf")
    assert_close("from map", framework.numpy(layers.linear_from_map(tensor(x), *arguments)), want, "leaf")
    assert_close("pointwise", framework.numpy(layers.pointwise(tensor(x), *arguments)), as_map, "leaf")


def test_batch_norm_and_its_running_statistics(framework):
    leaf = BatchNorm2d(6)
    arrays, x = leaf_arrays(leaf), values(3, 6, 5, 7, scale=2.0, shift=1.0)
    layer = framework.build(leaf, arrays)
    framework.train(layer, True)
    got = framework.numpy(layer(framework.tensor(x)))
    x64, column = x.astype(np.float64), (slice(None), None, None)
    mean, var = x64.mean((0, 2, 3)), x64.var((0, 2, 3))
    want = (x64 - mean[column]) / np.sqrt(var[column] + 1e-5) * arrays["weight"][column] + arrays["bias"][column]
    assert_close("BatchNorm2d", got, want, "leaf")
    unbiased = x64.var((0, 2, 3), ddof=1)
    running_mean = 0.9 * arrays["running_mean"] + 0.1 * mean
    assert_close("running mean", framework.array(layer, leaf, "running_mean"), running_mean, "leaf")
    running_var = 0.9 * arrays["running_var"] + 0.1 * unbiased
    got_var = framework.array(layer, leaf, "running_var")
    assert_close("running variance", got_var, running_var, "leaf")
    biased = 0.9 * arrays["running_var"] + 0.1 * var
    check_control("the batch's variance without Bessel's correction", difference(got_var, biased), "leaf", times=100)
    framework.train(layer, False)
    got = framework.numpy(layer(framework.tensor(x)))
    scaled = (x64 - running_mean[column]) / np.sqrt(running_var[column] + 1e-5)
    assert_close("inference", got, scaled * arrays["weight"][column] + arrays["bias"][column], "leaf")


def test_gelu_flavours(framework):
    x = np.linspace(-6, 6, 20001, dtype=np.float32)
    erf = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.astype(np.float64)])
    x64 = x.astype(np.float64)
    tanh = 0.5 * x64 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x64 + 0.044715 * x64**3)))
    exact = framework.numpy(framework.kernels.Gelu("erf")(framework.tensor(x)))
    assert_close("erf", exact, erf, "leaf")
    assert_close("tanh", framework.numpy(framework.kernels.Gelu("tanh")(framework.tensor(x))), tanh, "leaf")
    check_control("GELU by tanh", difference(exact, tanh), "leaf", times=50)


@pytest.mark.parametrize("form", ["Attend", "PlainAttend"])
def test_attention_in_both_forms(framework, form):
    if form == "Attend" and framework.name == "mindspore":
        kernel = framework.attention.Attend(heads=2)
    else:
        kernel = getattr(framework.attention, form)()
    q, k, v = values(2, 2, 33, 8, scale=2), values(2, 2, 9, 8), values(2, 2, 9, 8)
    got = framework.numpy(kernel(*map(framework.tensor, (q, k, v))))
    assert_close(form, got, attention(q, k, v), "attention")
    check_control("keys and values swapped", difference(got, attention(q, v, k)), "attention", times=1e4)


def test_attention_in_each_head(framework):
    q, keys, values_ = values(2, 33, 16, scale=2), values(2, 9, 16), values(2, 9, 16)
    kernel, tensor = framework.attention.MultiHead(16, 2), framework.tensor

    def split(x):
        return x.reshape(2, -1, 2, 8).transpose(0, 2, 1, 3)

    def joined(x):
        return x.transpose(0, 2, 1, 3).reshape(q.shape)

    got = framework.numpy(kernel(tensor(q), tensor(np.concatenate([keys, values_], 2))))
    assert_close("MultiHead", got, joined(attention(*map(split, (q, keys, values_)))), "attention")
    swapped = joined(attention(*map(split, (q, values_, keys))))
    check_control("keys and values swapped", difference(got, swapped), "attention", times=1e4)


@pytest.mark.parametrize("size", [((5, 9), (20, 36)), ((5, 9), (17, 31)), ((8, 8), (8, 8)), ((1, 1), (4, 4)), ((16, 12), (7, 5))])
def test_upsampling_has_half_pixel_centres(framework, size):
    small, large = size
    x = values(2, 3, *small)
    got = framework.numpy(framework.kernels.Upsample()(framework.tensor(x), large))
    want = interpolation(small[0], large[0]) @ x.astype(np.float64) @ interpolation(small[1], large[1]).T
    assert_close("Upsample", got, want, "leaf")


@pytest.mark.parametrize("size", [((5, 9), (17, 31)), ((128, 144), (256, 720)), ((128, 72), (256, 72)), ((130, 128), (260, 128))])
def test_the_gradient_of_upsampling(framework, size):
    """In MindSpore on a CPU that of the second of these sizes is computed in blocks."""
    small, large = size
    x, weights = values(2, 3, *small), values(2, 3, *large)
    got = framework.upsampling_gradient(x, weights)
    matrices = interpolation(small[0], large[0]), interpolation(small[1], large[1])
    want = matrices[0].T @ weights.astype(np.float64) @ matrices[1]
    check_difference("Upsample", difference(got, want) / np.abs(want).max(), "gradients")
    edges = matrices[0][1:].T @ weights[..., 1:, :].astype(np.float64) @ matrices[1]
    check_control("the gradient without the first row", difference(got, edges) / np.abs(want).max(), "gradients", times=100)


def test_sums_of_large_maps(framework):
    x, y = values(2, 3, 5, 4), values(2, 3, 5, 4)
    kernels, tensor = framework.kernels, framework.tensor
    assert np.array_equal(framework.numpy(kernels.add(tensor(x.copy()), tensor(y))), x + y)
    assert np.array_equal(framework.numpy(kernels.relu(tensor(x.copy()))), np.maximum(x, 0))


def test_the_first_of_equal_scores_wins(framework):
    from importlib import import_module

    scores = np.zeros((1, 5, 2, 3), np.float32)
    scores[0, 2, 0], scores[0, 3], scores[0, 4, 1] = 1, 1, 1
    most_likely = import_module(f"backend_{framework.name}.prediction").most_likely
    labels = framework.numpy(most_likely(framework.tensor(scores)))
    assert labels.dtype == np.uint8 and np.array_equal(labels[0], [[2] * 3, [3] * 3])
