"""The floating-point operations of a network's matrix products: about the least that an implementation has to compute."""

from segformer_core.spec.layers import Conv2d, Linear
from segformer_core.spec.model import Attention, Block, SegFormer

BACKWARD = 2
"""For each product of the forward pass the backward pass has two: for the gradients of both its factors."""


def matrix_flops(spec: SegFormer, size: tuple[int, int], training: bool = False) -> int:
    """Of one image of `size` (height, width): linear layers, dense convolutions and attention. The decode head counts folded.

    Norms, depthwise convolutions, GELU, softmax and upsampling are no matrix products, and do not count. Both sides of `size` are
    multiples of 32; for others it is a little too low.
    """
    height, width = size
    total, tokens = 0, []
    for stage in spec.stages:
        proj = stage.patch_embed.proj
        height, width = height // proj.stride, width // proj.stride
        tokens.append(height * width)
        total += _convolution(proj, tokens[-1]) + sum(_block(block, tokens[-1]) for block in stage.blocks)
    head = spec.decode_head
    total += sum(2 * count * linear.in_features * spec.decoder_width for count, linear in zip(tokens, head.linear_c, strict=True))
    total += _convolution(head.linear_pred, tokens[0])
    return total * (1 + BACKWARD if training else 1)


def _block(block: Block, tokens: int) -> int:
    mlp = _linear(block.mlp.fc1, tokens) + _linear(block.mlp.fc2, tokens)
    return mlp + _attention(block.attn, tokens)


def _attention(attention: Attention, tokens: int) -> int:
    keys, reduction = tokens, 0
    if attention.sr is not None:
        keys = tokens // attention.sr.stride**2
        reduction = _convolution(attention.sr, keys)
    scores_and_sum = 2 * (2 * tokens * keys * attention.q.out_features)
    linear = _linear(attention.q, tokens) + _linear(attention.kv, keys) + _linear(attention.proj, tokens)
    return reduction + linear + scores_and_sum


def _linear(linear: Linear, tokens: int) -> int:
    return 2 * tokens * linear.in_features * linear.out_features


def _convolution(conv: Conv2d, outputs: int) -> int:
    """Of a dense one, with `outputs` places."""
    return 2 * outputs * conv.fan_in * conv.out_channels
