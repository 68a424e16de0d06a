"""The network for an exported file: inference only, decode head folded; `backend_torch/deployment.py` is its twin."""

from collections.abc import Mapping

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore.kernels import Upsample
from backend_mindspore.layers import DTYPES, Arithmetic, Convolution, LinearLayer, linear_to_map, pointwise, to_map
from backend_mindspore.learner import canonical_parameters
from backend_mindspore.model import SegFormer, Size
from backend_mindspore.prediction import resize
from segformer_core.export.folding import FoldedHead, fold_head
from segformer_core.protocol.form import Form
from segformer_core.spec import model as spec


class Deployed(nn.Cell):
    """Maps the input of `form` to its output: images, or normalised images, to logits or labels."""

    def __init__(self, spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form):
        super().__init__()
        dtype = DTYPES[form.precision]
        network = SegFormer(spec, Arithmetic(dtype, dtype))
        self.normalise = Normalise(form) if form.preprocess else None
        self.stages = network.stages
        self.decode_head = FoldedDecodeHead(fold_head(spec, arrays), dtype)
        self.upsample = Resize() if form.labels else None
        for name, parameter in canonical_parameters(spec, network).items():
            parameter.set_data(Tensor(arrays[name]))
        for _, layer in self.cells_and_names():
            if isinstance(layer, LinearLayer | Convolution):
                for parameter in layer.get_parameters():
                    parameter.set_dtype(dtype)
            if isinstance(layer, Convolution):  # a file is for other processors and devices
                layer.products = None
        self.set_train(False)

    def construct(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float32, normalised, or (B, H, W, C) uint8 -> (B, K, H/4, W/4) float32 or (B, H, W) uint8."""
        x = images if self.normalise is None else self.normalise(images)
        size = (x.shape[2], x.shape[3])
        features, sizes = [], []
        for stage in self.stages:
            tokens, level = stage(x, None)
            x = to_map(tokens, level)
            features.append(tokens)
            sizes.append(level)
        logits = self.decode_head(features, sizes)
        if self.upsample is None:
            return logits
        return ops.Argmax(axis=1, output_type=ms.int32)(self.upsample(logits, size)).to(ms.uint8)


class Resize(nn.Cell):
    """`Upsample` where no gradient is asked for: MindSpore's operator is then the faster, where it knows the sizes."""

    def __init__(self):
        super().__init__()
        self.products = Upsample()

    def construct(self, x: Tensor, size: Size) -> Tensor:
        """(B, C, h, w) -> (B, C, *size)."""
        return self.products(x, size) if ops.is_sequence_value_unknown((*x.shape[2:], *size)) else resize(x, size)


class Normalise(nn.Cell):
    def __init__(self, form: Form):
        super().__init__()
        self.mean = Tensor(np.reshape(form.mean, (1, -1, 1, 1)).astype(np.float32))
        self.scale = Tensor(np.reshape(1.0 / np.array(form.std), (1, -1, 1, 1)).astype(np.float32))

    def construct(self, images: Tensor) -> Tensor:
        """(B, H, W, C) uint8 -> (B, C, H, W) float32."""
        return (ops.permute(images.to(ms.float32), (0, 3, 1, 2)) - self.mean) * self.scale


class FoldedDecodeHead(nn.Cell):
    def __init__(self, head: FoldedHead, dtype: ms.dtype.Type):
        super().__init__()
        self.dtype = dtype
        self.mixes = ms.ParameterTuple([Parameter(Tensor(mix, dtype), f"mixes.{level}") for level, mix in enumerate(head.mixes)])
        self.bias = Parameter(Tensor(head.bias), "bias")
        self.classifier = Parameter(Tensor(head.classifier, dtype), "classifier")
        self.classifier_bias = Parameter(Tensor(head.classifier_bias, dtype), "classifier_bias")
        self.upsample = Resize()

    def construct(self, features: list[Tensor], sizes: list[Size]) -> Tensor:
        """Tokens and sizes of c1..c4 -> (B, K, H/4, W/4) float32 logits. Their sum, with BatchNorm in it, is float32."""
        x = linear_to_map(features[0].to(self.dtype), self.mixes[0], None, sizes[0])
        x = ops.BiasAdd()(x.to(ms.float32), self.bias)
        for i in range(1, len(self.mixes)):
            mixed = linear_to_map(features[i].to(self.dtype), self.mixes[i], None, sizes[i])
            x = x + self.upsample(mixed, sizes[0]).to(ms.float32)
        return pointwise(ops.relu(x).to(self.dtype), self.classifier, self.classifier_bias).to(ms.float32)
