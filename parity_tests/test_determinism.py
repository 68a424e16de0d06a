"""Which operators of PyTorch's training step have no fixed order on CUDA. No card is needed: the step runs without numbers."""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.support import CONFIG, random_batch, random_masks
from segformer_core.config.keys import LossConfig
from segformer_core.spec.model import segformer

pytestmark = pytest.mark.usefixtures("need_torch")
IN_ANY_ORDER = {
    *("upsample_bilinear2d_backward", "nll_loss2d_forward", "index_put", "_index_put_impl_", "index_add", "index_copy", "put"),
    *("scatter_add", "scatter_reduce", "bincount", "histc", "median", "adaptive_avg_pool2d_backward", "grid_sampler_2d_backward"),
    *("max_pool2d_with_indices_backward", "reflection_pad2d_backward", "replication_pad2d_backward", "embedding_dense_backward"),
}
"""From the documentation and source of torch.use_deterministic_algorithms; and cumsum of floats, and gather with a gradient.

`scatter` is not among them: the losses give it each place once.
"""
OBJECTIVES = {
    "ce": LossConfig(),
    "all": LossConfig(loss="ce, focal, dice, lovasz", ohem_threshold=0.7, ohem_min_kept=100),
}


def operators(config: LossConfig, weights: tuple[float, ...] | None) -> dict[str, set[str]]:
    """Those of a step's loss and gradients in bf16, and the types of their first tensors."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from backend_torch.layers import Arithmetic
    from backend_torch.model import SegFormer
    from backend_torch.training_step import Loss

    found: dict[str, set[str]] = {}

    class Noted(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            kinds = found.setdefault(function.overloadpacket.__name__, set())
            kinds.update(str(value.dtype) for value in args[:1] if isinstance(value, torch.Tensor))
            return function(*args, **(kwargs or {}))

    spec = segformer("b0", class_count=5)
    arithmetic = Arithmetic(torch.bfloat16, torch.bfloat16)
    loss = Loss(SegFormer(spec, arithmetic), replace(CONFIG, loss=config), weights).to("meta").train()
    masks = random_masks(spec, 2)
    inputs = (*random_batch(spec, 2, 64, 96), masks.paths, masks.channels)
    with Noted():
        total, _ = loss(*(torch.from_numpy(np.ascontiguousarray(array)).to("meta") for array in inputs))
        total.backward()
    return found


@pytest.fixture(params=[False, True])
def deterministic(request):
    """Whether the program has asked PyTorch for deterministic algorithms."""
    import torch

    torch.use_deterministic_algorithms(request.param)
    yield request.param
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0, 1.0, 1.0)])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_only_convolutions_and_attention_have_no_fixed_order(objective, weights, deterministic):
    found = operators(OBJECTIVES[objective], weights)
    assert {"upsample_bilinear2d", "nll_loss_forward", "nll_loss_backward", "convolution_backward"} <= set(found)
    assert not IN_ANY_ORDER & set(found)
    assert "_unsafe_index" not in found, "upsampling is one operator in either case"
    assert "gather" not in found or found["gather"] == {"torch.bool"}, "its gradient would be a scatter_add"
    assert not any("float" in kind for kind in found.get("cumsum", ()))
