"""The floor's operations, beside PyTorch's own count of what backend_torch computes."""

import pytest

from segformer_core.spec.flops import matrix_flops
from segformer_core.spec.model import segformer


@pytest.mark.parametrize("variant", ["b0", "b2"])
def test_operations_are_those_that_pytorch_counts(variant, need_torch):
    """PyTorch also counts depthwise convolutions, and the products of the head's weights that fold it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from backend_torch.model import SegFormer

    spec, size = segformer(variant, 19), (64, 96)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        SegFormer(spec).eval()(torch.empty(1, 3, *size))
    tokens = [size[0] * size[1] // (4 << level) ** 2 for level in range(4)]
    depthwise = sum(
        2 * 9 * block.mlp.dwconv.out_channels * count
        for stage, count in zip(spec.stages, tokens, strict=True)
        for block in stage.blocks
    )
    folding = sum(2 * spec.decoder_width**2 * linear.in_features for linear in spec.decode_head.linear_c)
    assert counter.get_total_flops() == matrix_flops(spec, size) + depthwise + folding


def test_a_training_step_has_three_times_as_many():
    spec = segformer("b0", 19)
    assert matrix_flops(spec, (64, 64), training=True) == 3 * matrix_flops(spec, (64, 64))
