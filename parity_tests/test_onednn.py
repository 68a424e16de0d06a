"""Products and attention by oneDNN are PyTorch's own, with their gradients, and are taken where they are meant to be."""

from contextlib import nullcontext

import numpy as np
import pytest

from parity_tests.support import random_images
from segformer_core.spec.model import segformer

pytestmark = pytest.mark.usefixtures("need_torch", "need_onednn")
TOLERANCE = 5e-6
"""Relative to the largest entry; sums have up to 18,000 products. The reference is in float64."""


@pytest.fixture
def need_onednn():
    from backend_torch import onednn

    if not onednn.AVAILABLE:
        pytest.skip("this PyTorch has no MKL: its products are not MKL's")


@pytest.fixture
def products(monkeypatch):
    """The shapes of all products that oneDNN is given."""
    from backend_torch import onednn

    shapes, given = [], onednn.ONEDNN_LINEAR

    def noted(x, weight, *rest):
        assert weight.is_contiguous() or weight.T.is_contiguous(), "a hundred times slower"
        shapes.append((tuple(x.shape), tuple(weight.shape)))
        return given(x, weight, *rest)

    monkeypatch.setattr(onednn, "ONEDNN_LINEAR", noted)
    return shapes


def random_tensor(*shape: int):
    import torch

    return torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32))


def assert_same(ours, reference, inputs) -> None:
    """Both functions' values, and the gradients of all inputs; the reference computes in float64."""
    import torch

    doubles = [x.detach().double().requires_grad_() for x in inputs]
    expected = reference(*doubles)
    inputs = [x.requires_grad_() for x in inputs]
    found = ours(*inputs)
    gradient = random_tensor(*expected.shape)
    pairs = zip(
        torch.autograd.grad(found, inputs, gradient), torch.autograd.grad(expected, doubles, gradient.double()), strict=True
    )
    for ours_, theirs in [(found, expected), *pairs]:
        assert ours_.shape == theirs.shape
        assert (ours_ - theirs).abs().max() <= TOLERANCE * theirs.abs().max()
    with torch.no_grad():
        assert torch.equal(ours(*inputs), found), "with and without a gradient the same"


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(60, 32, 48), (60, 48, 32), (9000, 8, 16), (1, 5, 3)])
def test_a_linear_layer(rows, inputs, outputs, products):
    """More rows than LONGEST_SUM too; and tokens whose channels are not together in memory, as a map's are."""
    import torch

    from backend_torch import onednn

    assert (rows > onednn.LONGEST_SUM) == (rows == 9000)
    tokens = random_tensor(2, inputs, rows).transpose(1, 2)
    assert_same(onednn.linear, torch.nn.functional.linear, [tokens, random_tensor(outputs, inputs), random_tensor(outputs)])
    assert ((2, rows, inputs), (outputs, inputs)) in products
    of_the_weight = [(len_x, len_y) for (len_x, *x), (len_y, *_) in products if x == [2 * rows]]
    assert of_the_weight == ([] if rows == 9000 else [(min(inputs, outputs), max(inputs, outputs))]), "the first one is copied"
    with torch.no_grad():
        left = random_tensor(outputs, 2 * inputs)[:, :inputs]
        assert torch.equal(onednn.linear(tokens, left, None), onednn.linear(tokens, left.contiguous(), None))


@pytest.mark.parametrize(
    ("rows", "keys", "heads", "cores", "at_a_time"),
    [(1500, 512, 2, 1, 1024), (1024, 512, 1, 1, 1024), (700, 1700, 1, 2, 616), (300, 4096, 1, 1, 256), (40, 60, 5, 1, 40)],
)
def test_attention(rows, keys, heads, cores, at_a_time, products, monkeypatch):
    """Queries, keys and values are views of what two linear layers gave, as in the network."""
    import torch

    from backend_torch import onednn

    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    q = random_tensor(2, rows, heads, 32).transpose(1, 2)
    kv = random_tensor(2, keys, 2, heads, 32).permute(2, 0, 3, 1, 4)
    assert_same(onednn.attend, torch.nn.functional.scaled_dot_product_attention, [q, kv[0], kv[1]])
    assert max(x[0] for x, _ in products) == at_a_time
    assert onednn.attend(q, kv[0], kv[1]).transpose(1, 2).is_contiguous(), "as the next layer takes it"


def test_a_gradient_that_nobody_asks_for_is_not_computed(products):
    """As of a frozen encoder's map, or of a bias that is not there."""
    from backend_torch import onednn

    weight = random_tensor(48, 32).requires_grad_()
    onednn.linear(random_tensor(60, 32), weight, None).sum().backward()
    assert weight.grad.shape == weight.shape and len(products) == 2, "the layer's, and that of the weight's gradient"


def test_what_it_does_not_take():
    import torch

    from backend_torch.onednn import takes

    x = random_tensor(4, 8)
    assert takes(x) and not takes(x.double()) and not takes(x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not takes(x)


@pytest.mark.parametrize(
    ("precision", "amx", "linear", "attention"),
    [("fp32", False, True, True), ("fp32", True, True, True), ("bf16", False, False, True), ("bf16", True, False, False)],
)
@pytest.mark.parametrize("gradient", [False, True])
def test_where_it_is_taken(precision, amx, linear, attention, gradient, products, monkeypatch):
    """In float32 by every linear layer, also where a gradient is asked for; those of other types have oneDNN already."""
    import torch

    from backend_torch import onednn
    from backend_torch.layers import DTYPES, Arithmetic
    from backend_torch.model import SegFormer

    monkeypatch.setattr(onednn, "HAS_AMX", amx)
    spec = segformer("b0", 19)
    model = SegFormer(spec, Arithmetic(DTYPES[precision], DTYPES[precision])).eval()
    with nullcontext() if gradient else torch.no_grad():
        model(torch.from_numpy(random_images(1, 32, 64)))
    layers = (4 - 1) * len(spec.blocks) + 2 * len(spec.blocks) + 4 + 1
    heads = sum(2 * block.attn.heads for block in spec.blocks)
    assert len(products) == layers * linear + heads * attention


def test_attention_of_bfloat16_is_computed_in_float32(products):
    """So only its inputs and its result are rounded: within half a unit in the last place."""
    import torch

    from backend_torch.attention import Attend

    q, k, v = (random_tensor(1, rows, 2, 32).transpose(1, 2).bfloat16() for rows in (300, 64, 64))
    with torch.no_grad():
        found = Attend()(3 * q, k, v)
    exact = torch.nn.functional.scaled_dot_product_attention(*(x.double() for x in (3 * q, k, v)))
    assert found.dtype == torch.bfloat16 and products
    assert ((found - exact).abs() <= 2**-8 * exact.abs() + 1e-6).all()


def test_an_exported_graph_has_plain_operators(products):
    import torch

    from backend_torch.layers import linear

    class Layer(torch.nn.Module):
        def forward(self, x):
            return linear(x, x[0, :4], None)

    program = torch.export.export(Layer(), (random_tensor(1, 8, 16),))
    assert not products
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert targets and all(target.startswith("aten.") for target in targets)


def test_a_graph_that_is_compiled_with_a_gradient_has_plain_operators(products):
    """The operators for torch.compile have no gradient."""
    import torch

    from backend_torch.layers import linear

    targets: list[str] = []

    def backend(graph, inputs):
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    for grad in (True, False):
        targets.clear()
        torch.compiler.reset()
        with torch.set_grad_enabled(grad):
            torch.compile(linear, backend=backend, fullgraph=True)(random_tensor(1, 8, 16), random_tensor(4, 16), None)
        assert any("segformer" in target for target in targets) != grad
