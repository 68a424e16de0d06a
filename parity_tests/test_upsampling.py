"""PyTorch's gradient of upsampling as matrix products, which CUDA takes: here on a CPU, against PyTorch's own."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("need_torch")
SIZES = [((5, 3), (20, 12)), ((5, 9), (17, 31)), ((1, 1), (4, 4)), ((4, 6), (4, 12)), ((16, 12), (7, 5)), ((6, 1), (3, 8))]
"""Whole factors and others, one pixel, a side that stays, and smaller maps."""
UNIT = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The largest relative error of one rounding."""


def drawn(shape, layout: str, dtype: str):
    import torch

    values = torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape)).to(getattr(torch, dtype))
    return values.contiguous(memory_format=getattr(torch, layout))


def gradients(size, layout: str, dtype: str):
    """Ours, PyTorch's own in float64, and PyTorch's own in float64 of absolute values."""
    import torch

    from backend_torch.upsampling import UpsampleByOperator

    small, large = size
    x, weights = drawn((2, 3, *small), layout, dtype).requires_grad_(), drawn((2, 3, *large), layout, dtype)
    (found,) = torch.autograd.grad(UpsampleByOperator.apply(x, large), x, weights)
    exact = x.detach().double().requires_grad_()
    own = torch.nn.functional.interpolate(exact, large, mode="bilinear", align_corners=False)
    return found, *(
        torch.autograd.grad(own, exact, given, retain_graph=True)[0] for given in (weights.double(), weights.double().abs())
    )


@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_gradient(size, layout):
    import torch

    from backend_torch.upsampling import UpsampleByOperator

    x = drawn((2, 3, *size[0]), layout, "float64").requires_grad_()
    assert torch.autograd.gradcheck(lambda x: UpsampleByOperator.apply(x, size[1]), x)
    assert torch.equal(UpsampleByOperator.apply(x, size[1]), torch.nn.functional.interpolate(x, size[1], mode="bilinear"))


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_as_exact_as_its_type(size, layout, dtype):
    """Each product is rounded once; where fp16 or bf16 does not hold the weights, only the end is, after float32."""
    import torch

    from backend_torch.upsampling import matrices

    found, exact, absolute = gradients(size, layout, dtype)
    assert found.dtype == getattr(torch, dtype)
    assert found.is_contiguous(memory_format=getattr(torch, layout)), "the layout of what came, without a copy"
    low = matrices(*size, found.dtype, found.device)[0].dtype == found.dtype
    allowed = 2.01 * UNIT[dtype] * absolute if low else 1.01 * UNIT[dtype] * exact.abs()
    assert ((found.double() - exact).abs() <= allowed + 1e-6 * absolute + 1e-7).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("large", "held"), [((40, 72), True), ((20, 36), True), ((10, 18), True), ((17, 31), False)])
def test_a_low_precision_computes_only_with_weights_that_it_holds(large, held, dtype):
    import torch

    from backend_torch.upsampling import interpolation_matrix, matrices

    found = matrices((5, 9), large, getattr(torch, dtype), torch.device("cpu"))
    for matrix, inputs, outputs in zip(found, (5, 9), large, strict=True):
        assert matrix.dtype == (getattr(torch, dtype) if held else torch.float32)
        exact = interpolation_matrix(inputs, outputs).T
        assert torch.equal(matrix.double(), exact) if held else torch.equal(matrix, exact.float())


def test_where_it_is_taken():
    """On a CPU PyTorch's own gradient is faster; without a gradient there is nothing to choose."""
    import torch

    from backend_torch.kernels import Upsample

    def name(device: str, gradient: bool) -> str:
        return type(Upsample()(torch.ones(1, 1, 2, 2, device=device, requires_grad=gradient), (4, 4)).grad_fn).__name__

    assert name("meta", True) == "UpsampleByOperatorBackward"
    assert name("cpu", True).startswith("UpsampleBilinear2D") and name("meta", False) == "NoneType"


@pytest.mark.usefixtures("need_mindspore")
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 4), (5, 17), (9, 36), (16, 7)])
def test_both_frameworks_have_the_same_matrix(inputs, outputs):
    from backend_mindspore.upsampling import interpolation_matrix as mindspores
    from backend_torch.upsampling import interpolation_matrix

    assert np.array_equal(interpolation_matrix(inputs, outputs).float().numpy(), mindspores(inputs, outputs).asnumpy())
