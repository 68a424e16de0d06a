"""The network for an exported file: inference only, decode head folded; `backend_mindspore/deployment.py` is its twin.

Linear layers on feature maps are 1×1 convolutions here. A runtime that keeps feature maps channels-first then moves C channels
between the two layouts; with linear layers on tokens it would move 4 C.

An ONNX file in fp32 is one for processors. There attention and decode head are computed in groups, of queries and of channels,
so that what one operator hands to the next stays in the cache. In int8 the head's maps are small enough.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from backend_torch.kernels import Upsample
from backend_torch.layers import DTYPES, Arithmetic, Convolution, reduce_tokens, to_map, to_tokens
from backend_torch.model import Attention, MixFFN, SegFormer, Size
from segformer_core.export.folding import FoldedHead, fold_head
from segformer_core.protocol.form import INT8, Form
from segformer_core.spec import model as spec
from segformer_core.spec.model import SMALLEST_INPUT

MOST_SCORES = 2**21
"""Of attention, in one group of queries: 8 MB."""
MOST_GROUPS = 16
"""Of queries: each is three operators more."""
HEAD_CHANNELS = 64
"""Of the decode head, in one group. With 32 ONNX Runtime gains 1 or 2 %, and OpenVINO loses more."""


class Deployed(nn.Module):
    """Maps the input of `form` to its output: images, or normalised images, to logits or labels."""

    def __init__(self, spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form):
        super().__init__()
        dtype = DTYPES[form.arithmetic]
        network = SegFormer(spec, Arithmetic(dtype, dtype, fused_attention=False))
        for name, array in network.state_dict().items():
            array.copy_(torch.from_numpy(np.array(arrays[name])))
        grouped, stride = form.format == "ONNX" and form.arithmetic == "fp32", 1
        for stage, described in zip(network.stages, spec.stages, strict=True):
            stride *= described.patch_embed.proj.stride
            groups = query_groups(described.blocks[0].attn, form.size, stride) if grouped else 1
            for block in stage.blocks:
                block.attn = FoldedAttention(block.attn, groups)
                block.mlp = PointwiseFFN(block.mlp, one_gelu=form.precision == INT8)
        self.normalise = Normalise(form) if form.preprocess else None
        self.stages = network.stages
        channels = HEAD_CHANNELS if grouped and form.precision != INT8 else spec.decoder_width
        self.decode_head = FoldedDecodeHead(fold_head(spec, arrays), dtype, channels)
        self.upsample = Upsample() if form.labels else None
        for layer in self.modules():
            if isinstance(layer, nn.Linear | Convolution):
                layer.to(dtype)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float32, normalised, or (B, H, W, C) uint8 -> (B, K, H/4, W/4) float32 or (B, H, W) uint8."""
        x = images if self.normalise is None else self.normalise(images)
        size = (x.shape[2], x.shape[3])
        features, sizes = [], []
        for stage in self.stages:
            tokens, level = stage.patch_embed(x)
            for block in stage.blocks:
                tokens = block(tokens, level, None)
            B, _, C = tokens.shape  # normalised as a map: of tokens ONNX Runtime makes a slower operator, with the sum before it
            x = stage.norm(tokens.reshape(B, *level, C)).permute(0, 3, 1, 2)
            features.append(x)
            sizes.append(level)
        logits = self.decode_head(features, sizes)
        return logits if self.upsample is None else self.upsample(logits, size).argmax(1).to(torch.uint8)


class Normalise(nn.Module):
    scale: Tensor
    mean: Tensor

    def __init__(self, form: Form):
        super().__init__()
        self.register_buffer("scale", torch.tensor(form.std, dtype=torch.float64).reciprocal().float()[:, None, None])
        self.register_buffer("mean", torch.tensor(form.mean, dtype=torch.float32)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """(B, H, W, C) uint8 -> (B, C, H, W) float32."""
        return (images.permute(0, 3, 1, 2).to(torch.float32) - self.mean) * self.scale


class FoldedAttention(nn.Module):
    """`Attention` with 1/√d in the weights of the queries and, with one head, the output's projection in those of the values.

    Queries are answered in `groups`.
    """

    def __init__(self, attn: Attention, groups: int):
        super().__init__()
        self.low, self.heads, self.sr, self.norm, self.groups = attn.low, attn.attend.heads, attn.sr, attn.norm, groups
        scale = (attn.q.weight.shape[0] // self.heads) ** -0.5
        (k, v), (k_bias, v_bias) = attn.kv.weight.chunk(2), attn.kv.bias.chunk(2)
        if self.heads == 1:  # the probabilities of a query sum to 1, so the projection's bias can be the values'
            v, v_bias = attn.proj.weight @ v, attn.proj.weight @ v_bias + attn.proj.bias
        self.q, self.k, self.v = linear(attn.q.weight * scale, attn.q.bias * scale), linear(k, k_bias), linear(v, v_bias)
        self.proj = attn.proj if self.heads > 1 else None

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(B, N, C) tokens of a map of `size` -> (B, N, C)."""
        x, shape = self.low(x), x.shape
        q = self.divided(self.q(x)).permute(0, 2, 1, 3)
        if self.sr is not None:
            x = self.low(self.norm(reduce_tokens(self.sr, x, size).to(torch.float32)))
        k = self.divided(self.k(x)).permute(0, 2, 3, 1)  # (B, heads, d, M)
        v = self.divided(self.v(x)).permute(0, 2, 1, 3)
        answers = [torch.softmax((part @ k).to(torch.float32), dim=-1).to(v.dtype) @ v for part in self.parts(q)]
        x = answers[0] if self.groups == 1 else torch.cat(answers, 2)
        x = x.permute(0, 2, 1, 3).reshape(shape)
        return x if self.proj is None else self.proj(x)

    def divided(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, heads, d)."""
        B, N, C = tokens.shape
        return tokens.reshape(B, N, self.heads, C // self.heads)

    def parts(self, q: Tensor) -> tuple[Tensor, ...]:
        """(B, heads, N, d) -> `groups` of about N / groups queries."""
        N = q.shape[2]
        most = N // self.groups
        return (q,) if self.groups == 1 else q.split([most] * (self.groups - 1) + [N - most * (self.groups - 1)], 2)


def query_groups(attn: spec.Attention, size: Size, stride: int) -> int:
    """Into how many groups to divide the queries of an image of `size`, with a token for `stride`×`stride` pixels.

    No more than the smallest image has queries.
    """
    queries, fewest = (math.prod(-(-side // stride) for side in sides) for sides in (size, (SMALLEST_INPUT, SMALLEST_INPUT)))
    keys = queries // attn.sr.stride**2 if attn.sr else queries
    return min(-(-attn.heads * queries * keys // MOST_SCORES), fewest, MOST_GROUPS)


class PointwiseFFN(nn.Module):
    """`MixFFN` of 1×1 convolutions. `one_gelu`: GELU is one operator in the file, which opset 20 has."""

    def __init__(self, mlp: MixFFN, one_gelu: bool = False):
        super().__init__()
        self.low = mlp.low
        self.fc1, self.fc2 = pointwise(mlp.fc1.weight, mlp.fc1.bias), pointwise(mlp.fc2.weight, mlp.fc2.bias)
        self.dwconv = mlp.dwconv
        self.gelu = ErfGelu() if mlp.gelu.approximate == "none" and not one_gelu else mlp.gelu

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(B, N, C) tokens of a map of `size` -> (B, N, C)."""
        x = self.fc1(to_map(self.low(x), size))
        return to_tokens(self.fc2(self.gelu(self.dwconv(x))))


class ErfGelu(nn.Module):
    """The exact GELU in the order of operators that ONNX Runtime fuses; PyTorch's own export has another order."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.erf(x / math.sqrt(2.0)) + 1.0) * 0.5


class FoldedDecodeHead(nn.Module):
    """`channels` of the hidden ones are computed at once."""

    def __init__(self, head: FoldedHead, dtype: torch.dtype, channels: int):
        super().__init__()
        self.dtype = dtype
        starts = range(0, len(head.bias), channels)
        self.groups = nn.ModuleList(HeadGroup(head, dtype, slice(start, start + channels)) for start in starts)

    def forward(self, features: list[Tensor], sizes: list[Size]) -> Tensor:
        """Maps c1..c4 and their sizes -> (B, K, H/4, W/4) float32 logits."""
        features = [feature.to(self.dtype) for feature in features]
        logits = self.groups[0](features, sizes)
        for group in self.groups[1:]:
            logits = logits + group(features, sizes)
        return logits


class HeadGroup(nn.Module):
    """What some of the decode head's hidden channels add to the logits; the first group has the classifier's bias."""

    def __init__(self, head: FoldedHead, dtype: torch.dtype, channels: slice):
        super().__init__()
        self.dtype = dtype
        self.mixes = nn.ModuleList(pointwise(mix[channels], None) for mix in head.mixes)
        self.bias = nn.Parameter(torch.from_numpy(head.bias[channels])[:, None, None])
        self.classifier = pointwise(head.classifier[:, channels], None if channels.start else head.classifier_bias)
        self.upsample = Upsample()

    def forward(self, features: list[Tensor], sizes: list[Size]) -> Tensor:
        """Maps c1..c4 and their sizes -> (B, K, H/4, W/4) float32. The sum of the levels, with BatchNorm in it, is float32."""
        enlarged = [
            self.upsample(mix(feature), sizes[0]).to(torch.float32)
            for mix, feature in zip(self.mixes[1:], features[1:], strict=True)
        ]
        x = self.mixes[0](features[0]).to(torch.float32) + self.bias
        x = x + sum(enlarged[1:], enlarged[0])  # in this order a runtime adds the sum in the convolution
        return self.classifier(torch.relu(x).to(self.dtype)).to(torch.float32)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """`weight` is (O, C)."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def pointwise(weight: Tensor | np.ndarray, bias: Tensor | np.ndarray | None) -> Convolution:
    """A 1×1 convolution; `weight` is (O, C)."""
    outputs, inputs = weight.shape
    layer = Convolution(inputs, outputs, 1, bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight)[:, :, None, None])
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(torch.as_tensor(bias))
    return layer
