"""SegFormer as a tree of leaves. A field's path is the attribute's path in both twins and the array's name in our files."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from segformer_core.errors import ConfigError, brief
from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Leaf, Linear


@dataclass(frozen=True)
class Variant:
    """One of the paper's encoders (table 6): channels and blocks of the four stages, and the decoder width of its code."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    decoder_width: int

    @property
    def name(self) -> str:
        """b0..b5, or "custom" if the encoder is none of the paper's."""
        encoders = {name: (variant.widths, variant.depths) for name, variant in VARIANTS.items()}
        return next((name for name, encoder in encoders.items() if encoder == (self.widths, self.depths)), "custom")


VARIANTS = {
    "b0": Variant((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "b1": Variant((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "b2": Variant((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "b3": Variant((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "b4": Variant((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "b5": Variant((64, 128, 320, 512), (3, 6, 40, 3), 768),
}

PATCH_KERNELS = (7, 3, 3, 3)
PATCH_STRIDES = (4, 2, 2, 2)
HEADS = (1, 2, 5, 8)
SR_RATIOS = (8, 4, 2, 1)
MLP_RATIO = 4
DECODE_HEAD = "decode_head."
"""How the names of the decode head's arrays begin; all others are the encoder's."""
SMALLEST_INPUT = 32
"""Pixels: below it the sr convolutions of the early stages have no output."""
LOGIT_STRIDE = PATCH_STRIDES[0]
"""Pixels of an image, on each axis, for which there is one logit of a class."""


@dataclass(frozen=True)
class Numerics:
    """Constants by which code bases differ although the bytes of their weights are the same."""

    patch_norm_eps: float
    block_norm_eps: float
    sr_norm_eps: float
    stage_norm_eps: float
    gelu: str  # "erf" or "tanh"
    wide_decoder: int | None = None  # decoder width where the paper's code has another; b0 always has 256


TRANSFORMERS_NUMERICS = "hf"
"""The profile of transformers' code. The paper's weights are published in its form, too, and were trained with others."""
NUMERICS = {
    "nvlabs": Numerics(1e-5, 1e-6, 1e-5, 1e-6, "erf"),  # the paper's code
    TRANSFORMERS_NUMERICS: Numerics(1e-5, 1e-5, 1e-5, 1e-5, "erf"),
    "zoo": Numerics(1e-5, 1e-6, 1e-5, 1e-6, "tanh", wide_decoder=512),  # the MindSpore model zoo
    "mmseg": Numerics(1e-6, 1e-6, 1e-6, 1e-6, "erf"),  # mmsegmentation's encoder
    "keras": Numerics(1e-5, 1e-6, 1e-5, 1e-5, "tanh"),  # keras-hub
}


@dataclass(frozen=True)
class PatchEmbed:
    """Overlapped patch merging (section 3.1): a strided convolution, then LayerNorm over the channels."""

    proj: Conv2d
    norm: LayerNorm


@dataclass(frozen=True)
class Attention:
    """Efficient self-attention (section 3.1): keys and values come from a map reduced by `sr` in each direction."""

    q: Linear
    kv: Linear
    sr: Conv2d | None
    norm: LayerNorm | None
    proj: Linear
    heads: int


@dataclass(frozen=True)
class MixFFN:
    """Linear, depthwise 3×3 convolution, GELU, linear (section 3.1): the convolution stands in for positional encoding."""

    fc1: Linear
    dwconv: Conv2d
    fc2: Linear
    gelu: str


@dataclass(frozen=True)
class Block:
    """Two residual branches; `drop_path` is the probability that training drops a branch of a sample."""

    norm1: LayerNorm
    attn: Attention
    norm2: LayerNorm
    mlp: MixFFN
    drop_path: float


@dataclass(frozen=True)
class Stage:
    patch_embed: PatchEmbed
    blocks: tuple[Block, ...]
    norm: LayerNorm


@dataclass(frozen=True)
class Fuse:
    """1×1 convolution over the concatenated levels, c4 first, then BatchNorm and ReLU."""

    conv: Conv2d
    bn: BatchNorm2d


@dataclass(frozen=True)
class DecodeHead:
    """All-MLP decoder (section 3.2); `linear_c` is ordered c1..c4, `dropout` drops whole channels before the classifier."""

    linear_c: tuple[Linear, ...]
    linear_fuse: Fuse
    linear_pred: Conv2d
    dropout: float


@dataclass(frozen=True)
class SegFormer:
    """(B, in_channels, H, W) float32, normalised -> (B, class_count, H/4, W/4) logits; H, W >= 32."""

    stages: tuple[Stage, ...]
    decode_head: DecodeHead
    variant: str
    numerics: str

    @property
    def in_channels(self) -> int:
        return self.stages[0].patch_embed.proj.in_channels

    @property
    def class_count(self) -> int:
        return self.decode_head.linear_pred.out_channels

    @property
    def decoder_width(self) -> int:
        return self.decode_head.linear_pred.in_channels

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, first stage first: the order of the drop-path masks."""
        return tuple(block for stage in self.stages for block in stage.blocks)

    def identity(self) -> dict[str, str]:
        """What distinguishes this network from another, as strings for a file's metadata."""
        return {
            "variant": self.variant,
            "class_num": str(self.class_count),
            "in_channels": str(self.in_channels),
            "decoder_width": str(self.decoder_width),
            "numerics": self.numerics,
        }


def segformer(
    variant: str | Variant = "b0",
    class_count: int = 19,
    in_channels: int = 3,
    decoder_width: int = 0,
    numerics: str = "nvlabs",
    drop_path_rate: float = 0.1,
    head_dropout_rate: float = 0.1,
) -> SegFormer:
    """The network as a tree. `variant` is b0..b5, mit_b0..mit_b5 or a Variant; decoder_width 0 is the variant's own width.

    Drop path rises linearly from 0 at the first block to `drop_path_rate` at the last. Raises ConfigError for an unknown
    variant or numerics profile.
    """
    shape = variant if isinstance(variant, Variant) else VARIANTS[variant_name(variant)]
    if numerics not in NUMERICS:
        raise ConfigError(f"unknown numerics profile {brief(numerics)}; known profiles: {', '.join(NUMERICS)}")
    constants = NUMERICS[numerics]
    if not decoder_width:
        wide = constants.wide_decoder
        decoder_width = wide if wide is not None and shape.name != "b0" else shape.decoder_width
    rates = iter(np.linspace(0.0, drop_path_rate, sum(shape.depths)).tolist())
    inputs = (in_channels, *shape.widths[:-1])
    stages = tuple(
        _stage(level, inputs[level], width, depth, rates, constants)
        for level, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True))
    )
    head = DecodeHead(
        linear_c=tuple(Linear(width, decoder_width, init="fan_in_uniform") for width in shape.widths),
        linear_fuse=Fuse(
            conv=Conv2d(len(shape.widths) * decoder_width, decoder_width, kernel=1, bias=False),
            bn=BatchNorm2d(decoder_width),
        ),
        linear_pred=Conv2d(decoder_width, class_count, kernel=1, init="fan_in_uniform"),
        dropout=head_dropout_rate,
    )
    return SegFormer(stages, head, shape.name, numerics)


def variant_name(name: str) -> str:
    """b0..b5, also from mit_b0..mit_b5. Raises ConfigError."""
    short = name.removeprefix("mit_")
    if short not in VARIANTS:
        raise ConfigError(f"unknown backbone {brief(name)}; known: {', '.join(f'mit_{variant}' for variant in VARIANTS)}")
    return short


def leaves(node: object, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """(path, leaf) for every layer below `node`, in the order of the fields: `stages.0.blocks.1.attn.kv`."""
    if isinstance(node, Leaf):
        yield path, node
        return
    if isinstance(node, tuple):
        children = [(str(index), child) for index, child in enumerate(node)]
    elif hasattr(node, "__dataclass_fields__"):
        children = [(field.name, getattr(node, field.name)) for field in fields(node)]  # type: ignore[arg-type]
    else:
        return
    for name, child in children:
        yield from leaves(child, f"{path}.{name}" if path else name)


def _stage(level: int, inputs: int, width: int, depth: int, drop_rates: Iterator[float], constants: Numerics) -> Stage:
    kernel = PATCH_KERNELS[level]
    return Stage(
        patch_embed=PatchEmbed(
            proj=Conv2d(inputs, width, kernel=kernel, stride=PATCH_STRIDES[level], padding=kernel // 2),
            norm=LayerNorm(width, constants.patch_norm_eps),
        ),
        blocks=tuple(_block(level, width, next(drop_rates), constants) for _ in range(depth)),
        norm=LayerNorm(width, constants.stage_norm_eps),
    )


def _block(level: int, width: int, drop_path: float, constants: Numerics) -> Block:
    ratio, hidden = SR_RATIOS[level], MLP_RATIO * width
    return Block(
        norm1=LayerNorm(width, constants.block_norm_eps),
        attn=Attention(
            q=Linear(width, width),
            kv=Linear(width, 2 * width),
            sr=Conv2d(width, width, kernel=ratio, stride=ratio) if ratio > 1 else None,
            norm=LayerNorm(width, constants.sr_norm_eps) if ratio > 1 else None,
            proj=Linear(width, width),
            heads=HEADS[level],
        ),
        norm2=LayerNorm(width, constants.block_norm_eps),
        mlp=MixFFN(
            fc1=Linear(width, hidden),
            dwconv=Conv2d(hidden, hidden, kernel=3, padding=1, groups=hidden),
            fc2=Linear(hidden, width),
            gelu=constants.gelu,
        ),
        drop_path=drop_path,
    )
