"""SegFormer's wiring in PyTorch; `backend_mindspore/model.py` is its twin, line by line."""

from typing import Any

import torch
from torch import Tensor, nn

from backend_torch.attention import MultiHead
from backend_torch.kernels import Gelu, Upsample, add, relu
from backend_torch.layers import (
    FULL_PRECISION,
    Arithmetic,
    Mixed,
    build,
    linear,
    linear_from_map,
    linear_to_map,
    pointwise,
    reduce_tokens,
    to_map,
    to_tokens,
)
from segformer_core.spec import model as spec

Size = tuple[int, int]


class PatchEmbed(Mixed):
    def __init__(self, spec: spec.PatchEmbed, arithmetic: Arithmetic):
        super().__init__(arithmetic)
        self.proj = build(spec.proj)
        self.norm = build(spec.norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        """(B, C', H', W') map -> (B, H·W, C) float32 tokens and (H, W)."""
        x = self.proj(self.low(x))
        return self.norm(to_tokens(x).to(torch.float32)), (x.shape[2], x.shape[3])


class Attention(Mixed):
    def __init__(self, spec: spec.Attention, arithmetic: Arithmetic):
        super().__init__(arithmetic)
        self.q = build(spec.q)
        self.kv = build(spec.kv)
        self.sr = build(spec.sr) if spec.sr else None
        self.norm: Any = build(spec.norm) if spec.norm else None
        self.proj = build(spec.proj)
        self.attend = MultiHead(spec.q.out_features, spec.heads, arithmetic.fused_attention)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(B, N, C) tokens of a map of `size` -> (B, N, C)."""
        x = self.low(x)
        q = linear(x, self.q.weight, self.q.bias)
        if self.sr is not None:
            x = self.low(self.norm(reduce_tokens(self.sr, x, size).to(torch.float32)))
        kv = linear(x, self.kv.weight, self.kv.bias)
        return linear(self.attend(q, kv), self.proj.weight, self.proj.bias)


class MixFFN(Mixed):
    def __init__(self, spec: spec.MixFFN, arithmetic: Arithmetic):
        super().__init__(arithmetic)
        self.fc1 = build(spec.fc1)
        self.dwconv = build(spec.dwconv)
        self.fc2 = build(spec.fc2)
        self.gelu = Gelu(spec.gelu)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(B, N, C) tokens of a map of `size` -> (B, N, C)."""
        x = linear_to_map(self.low(x), self.fc1.weight, self.fc1.bias, size)
        x = self.gelu(self.dwconv(x))
        return linear_from_map(x, self.fc2.weight, self.fc2.bias)


class Block(nn.Module):
    def __init__(self, spec: spec.Block, arithmetic: Arithmetic):
        super().__init__()
        self.norm1 = build(spec.norm1)
        self.attn = Attention(spec.attn, arithmetic)
        self.norm2 = build(spec.norm2)
        self.mlp = MixFFN(spec.mlp, arithmetic)
        self.drops = spec.drop_path > 0

    def forward(self, x: Tensor, size: Size, keep: Tensor | None) -> Tensor:
        """(B, N, C) tokens; `keep` is (2, B, 1, 1), what each residual branch of each sample is scaled by in training."""
        attn = self.attn(self.norm1(x), size)
        x = x + (attn * keep[0] if keep is not None and self.drops else attn)
        mlp = self.mlp(self.norm2(x), size)
        return add(x, mlp * keep[1] if keep is not None and self.drops else mlp)


class Stage(nn.Module):
    def __init__(self, spec: spec.Stage, arithmetic: Arithmetic):
        super().__init__()
        self.patch_embed = PatchEmbed(spec.patch_embed, arithmetic)
        self.blocks = nn.ModuleList(Block(block, arithmetic) for block in spec.blocks)
        self.norm = build(spec.norm)

    def forward(self, x: Tensor, keep: Tensor | None) -> tuple[Tensor, Size]:
        """(B, C', H', W') map -> (B, H·W, C) tokens and (H, W); `keep` is (blocks, 2, B, 1, 1)."""
        x, size = self.patch_embed(x)
        for i, block in enumerate(self.blocks):
            x = block(x, size, keep[i] if keep is not None else None)
        return self.norm(x), size


class Fuse(nn.Module):
    def __init__(self, spec: spec.Fuse):
        super().__init__()
        self.conv = build(spec.conv)
        self.bn = build(spec.bn)


class DecodeHead(Mixed):
    """The paper's head, folded: 1×1 convolutions and bilinear upsampling commute, so each level is mixed at its own size.

    fuse(concat(up(L4 c4), …, up(L1 c1))) = Σ_i up((F_i L_i) c_i + F_i b_i), where F = [F4 F3 F2 F1] is the fusion's weight.
    """

    def __init__(self, spec: spec.DecodeHead, arithmetic: Arithmetic):
        super().__init__(arithmetic)
        self.linear_c = nn.ModuleList(build(linear) for linear in spec.linear_c)
        self.linear_fuse = Fuse(spec.linear_fuse)
        self.linear_pred = build(spec.linear_pred)
        self.upsample = Upsample()
        self.eps = spec.linear_fuse.bn.eps

    def forward(self, features: list[Tensor], sizes: list[Size], keep: Tensor | None) -> Tensor:
        """Tokens and sizes of c1..c4 -> (B, K, H/4, W/4) logits; `keep` is (B, E, 1, 1), the dropout of whole channels."""
        bn = self.linear_fuse.bn
        E = bn.weight.shape[0]
        mixes = self.linear_fuse.conv.weight.reshape(E, -1).split(E, dim=1)[::-1]  # F1..F4, each (E, E)
        bias: Any = 0.0
        for i, linear_c in enumerate(self.linear_c):
            bias = bias + mixes[i] @ linear_c.bias
        scale = None
        if self.training:  # BatchNorm takes any shift away: its gradient is 0, not the rounding noise that Adam would follow
            bias = bias.detach() + 0.0 * bias
        else:  # BatchNorm is one more factor and shift per channel
            scale = bn.weight * torch.rsqrt(bn.running_var + self.eps)
            bias = (bias - bn.running_mean) * scale + bn.bias
        x: Any = None
        for i, linear_c in enumerate(self.linear_c):
            weight = mixes[i] @ linear_c.weight
            if scale is not None:
                weight = weight * scale[:, None]
            feature = self.low(features[i])
            if x is None:
                x = linear_to_map(feature, weight, bias, sizes[i])
            else:
                x = add(x, self.upsample(linear_to_map(feature, weight, None, sizes[i]), sizes[0]))
        x = x.to(torch.float32)
        x = relu(bn(x) if self.training else x)
        if keep is not None:
            x = x * keep
        weight = self.linear_pred.weight
        return pointwise(self.low(x), weight.reshape(weight.shape[:2]), self.linear_pred.bias)


class SegFormer(nn.Module):
    def __init__(self, spec: spec.SegFormer, arithmetic: Arithmetic = FULL_PRECISION):
        super().__init__()
        self.stages: Any = nn.ModuleList(Stage(stage, arithmetic) for stage in spec.stages)
        self.decode_head = DecodeHead(spec.decode_head, arithmetic)

    def features(self, images: Tensor, keep_paths: Tensor | None = None) -> tuple[list[Tensor], list[Size]]:
        """(B, 3, H, W) float32 -> the tokens of c1..c4, each (B, H_i·W_i, C_i), and their sizes (H_i, W_i)."""
        features, sizes = [], []
        # faster on a CPU and on CUDA; torch_npu refuses it
        layout = torch.contiguous_format if images.device.type == "npu" else torch.channels_last
        x, block = images.contiguous(memory_format=layout), 0
        for stage in self.stages:
            keep = None
            if keep_paths is not None:
                keep = keep_paths[block : block + len(stage.blocks)]
            tokens, size = stage(x, keep)
            x, block = to_map(tokens, size), block + len(stage.blocks)
            features.append(tokens)
            sizes.append(size)
        return features, sizes

    def forward(self, images: Tensor, keep_paths: Tensor | None = None, keep_channels: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) float32 RGB, normalised -> (B, K, H/4, W/4) logits.

        The keep masks of training (core's `draw_keep_masks`): paths (blocks, 2, B, 1, 1), channels (B, E, 1, 1).
        """
        features, sizes = self.features(images, keep_paths)
        return self.decode_head(features, sizes, keep_channels)
