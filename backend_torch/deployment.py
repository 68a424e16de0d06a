"""The network for an exported file: inference only, decode head folded; `backend_mindspore/deployment.py` is its twin.

Linear layers on feature maps are 1×1 convolutions here. A runtime that keeps feature maps channels-first then moves C channels
between the two layouts; with linear layers on tokens it would move 4 C.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from backend_torch.kernels import Upsample
from backend_torch.layers import DTYPES, Arithmetic, Convolution, to_map, to_tokens
from backend_torch.model import MixFFN, SegFormer, Size
from segformer_core.export.folding import FoldedHead, fold_head
from segformer_core.protocol.form import Form
from segformer_core.spec import model as spec


class Deployed(nn.Module):
    """Maps the input of `form` to its output: images, or normalised images, to logits or labels."""

    def __init__(self, spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form):
        super().__init__()
        dtype = DTYPES[form.precision]
        network = SegFormer(spec, Arithmetic(dtype, dtype, fused_attention=False))
        for name, array in network.state_dict().items():
            array.copy_(torch.from_numpy(np.array(arrays[name])))
        for stage in network.stages:
            for block in stage.blocks:
                block.mlp = PointwiseFFN(block.mlp)
        self.normalise = Normalise(form) if form.preprocess else None
        self.stages = network.stages
        self.decode_head = FoldedDecodeHead(fold_head(spec, arrays), dtype)
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
            tokens, level = stage(x, None)
            x = to_map(tokens, level)
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


class PointwiseFFN(nn.Module):
    """`MixFFN` of 1×1 convolutions."""

    def __init__(self, mlp: MixFFN):
        super().__init__()
        self.low = mlp.low
        self.fc1, self.fc2 = pointwise(mlp.fc1.weight, mlp.fc1.bias), pointwise(mlp.fc2.weight, mlp.fc2.bias)
        self.dwconv = mlp.dwconv
        self.gelu = ErfGelu() if mlp.gelu.approximate == "none" else mlp.gelu

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(B, N, C) tokens of a map of `size` -> (B, N, C)."""
        x = self.fc1(to_map(self.low(x), size))
        return to_tokens(self.fc2(self.gelu(self.dwconv(x))))


class ErfGelu(nn.Module):
    """The exact GELU in the order of operators that ONNX Runtime fuses; PyTorch's own export has another order."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.erf(x / math.sqrt(2.0)) + 1.0) * 0.5


class FoldedDecodeHead(nn.Module):
    def __init__(self, head: FoldedHead, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype
        self.mixes = nn.ModuleList(pointwise(mix, None) for mix in head.mixes)
        self.bias = nn.Parameter(torch.from_numpy(head.bias)[:, None, None])
        self.classifier = pointwise(head.classifier, head.classifier_bias)
        self.upsample = Upsample()

    def forward(self, features: list[Tensor], sizes: list[Size]) -> Tensor:
        """Maps c1..c4 and their sizes -> (B, K, H/4, W/4) float32 logits. Their sum, with BatchNorm in it, is float32."""
        x = self.mixes[0](features[0].to(self.dtype)).to(torch.float32) + self.bias
        for mix, feature in zip(self.mixes[1:], features[1:], strict=True):
            x = x + self.upsample(mix(feature.to(self.dtype)), sizes[0]).to(torch.float32)
        return self.classifier(torch.relu(x).to(self.dtype)).to(torch.float32)


def pointwise(weight: Tensor | np.ndarray, bias: Tensor | np.ndarray | None) -> Convolution:
    """A 1×1 convolution; `weight` is (O, C)."""
    outputs, inputs = weight.shape
    layer = Convolution(inputs, outputs, 1, bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight)[:, :, None, None])
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(torch.as_tensor(bias))
    return layer
