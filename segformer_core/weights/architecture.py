"""The network that a set of weights belongs to, and its arrays in the smallest pieces that any code base stores apart."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from segformer_core.errors import plural
from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Leaf, Linear
from segformer_core.spec.model import DECODE_HEAD, SegFormer, Variant, leaves, segformer

CLASSIFIER = "classifier"

LINEAR, CONVOLUTION, DEPTHWISE, LAYER_NORM, BATCH_NORM = "linear", "convolution", "depthwise", "layer norm", "batch norm"
"""Kinds of layer: code bases name or lay out the arrays of each kind differently."""


@dataclass(frozen=True)
class Architecture:
    """The shape of a network, read off its arrays. Encoders of any widths and depths can be described, not only B0–B5.

    `class_count` is None without a decode head, `image_classes` without an ImageNet classifier.
    """

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    in_channels: int
    decoder_width: int | None = None
    class_count: int | None = None
    image_classes: int | None = None

    @property
    def variant(self) -> str:
        """b0..b5 or "custom"."""
        return Variant(self.widths, self.depths, 0).name

    def spec(self, numerics: str = "nvlabs") -> SegFormer:
        """The network as a tree; without a decode head, it gets one of a single class."""
        encoder = Variant(self.widths, self.depths, 0)
        return segformer(encoder, self.class_count or 1, self.in_channels, self.decoder_width or 1, numerics)

    def encoder_only(self) -> "Architecture":
        return replace(self, decoder_width=None, class_count=None, image_classes=None)

    def __str__(self) -> str:
        name = f"MiT-{self.variant.upper()}" if self.variant != "custom" else f"an encoder {self.widths} × {self.depths}"
        if self.class_count is not None:
            name += f" with a decode head of width {self.decoder_width} and {plural(self.class_count, 'class')}"
        if self.image_classes is not None:
            name += f" with an ImageNet classifier of {plural(self.image_classes, 'class')}"
        if self.class_count is None and self.image_classes is None:
            name += ", encoder alone"
        return name if self.in_channels == 3 else f"{name}, {plural(self.in_channels, 'input channel')}"


@dataclass(frozen=True)
class Atom:
    """One array that no code base divides further; so queries, keys and values are three atoms.

    `slot` is its place in the tree without numbers (`attn.k`), `numbers` are the variables of its name.
    An optional array changes no result, or can be folded into the others.
    """

    name: str
    slot: str
    leaf: str
    kind: str
    shape: tuple[int, ...]
    numbers: dict[str, str | int]
    optional: bool = False


DIVIDED = {"attn.kv": ("attn.k", "attn.v")}
"""Layers that are one here and several elsewhere; our array stacks the parts along the outputs in this order."""

FUSE_BIAS = "decode_head.linear_fuse.bias"
BATCHES_TRACKED = "num_batches_tracked"


def atoms(architecture: Architecture) -> Iterator[Atom]:
    """Every array, in the order of the tree; an optional one follows its layer."""
    for path, leaf in leaves(architecture.spec()):
        if architecture.class_count is not None or not path.startswith(DECODE_HEAD):
            yield from _atoms(path, leaf, architecture)
    if architecture.image_classes is not None:
        yield from _atoms(CLASSIFIER, Linear(architecture.widths[-1], architecture.image_classes), architecture)


def numbers(stage: int, block: int, blocks_before: int) -> dict[str, str | int]:
    """The variables of a name: `s` and `b` count stages and blocks from 0, `i` stages from 1, `r` stages from the last.

    Variables with an underscore are Keras' counters, in which the first has no number; `_g` counts blocks over all stages.
    `merge` is timm's name for a stage's patch embedding.
    """
    return {
        "s": stage,
        "i": stage + 1,
        "r": 3 - stage,
        "b": block,
        "_s": _counter(stage),
        "_r": _counter(3 - stage),
        "_g": _counter(blocks_before + block),
        "merge": f"stages.{stage}.downsample" if stage else "patch_embed",
    }


def _counter(number: int) -> str:
    return f"_{number}" if number else ""


def _atoms(path: str, leaf: Leaf, architecture: Architecture) -> Iterator[Atom]:
    parts = path.split(".")
    stage, block = ([int(part) for part in parts if part.isdigit()] + [0, 0])[:2]
    slot = ".".join(part for part in parts if not part.isdigit() and part not in ("stages", "blocks"))
    variables = numbers(stage, block, sum(architecture.depths[:stage]))
    pieces = DIVIDED.get(slot, (slot,))
    for array, shape in leaf.shapes().items():
        for piece in pieces:
            name = f"{path.removesuffix(slot)}{piece}.{array}" if len(pieces) > 1 else f"{path}.{array}"
            yield Atom(name, piece, array, kind(leaf), (shape[0] // len(pieces), *shape[1:]), variables)
    if slot == "decode_head.linear_fuse.conv":
        yield Atom(f"{path}.bias", FUSE_BIAS, "bias", kind(leaf), (leaf.shapes()["weight"][0],), variables, optional=True)
    if isinstance(leaf, BatchNorm2d):
        yield Atom(f"{path}.{BATCHES_TRACKED}", slot, BATCHES_TRACKED, kind(leaf), (), variables, optional=True)


def kind(leaf: Leaf) -> str:
    """The kind of a layer, one of the constants above."""
    if isinstance(leaf, Conv2d):
        return DEPTHWISE if leaf.groups > 1 else CONVOLUTION
    return {Linear: LINEAR, LayerNorm: LAYER_NORM, BatchNorm2d: BATCH_NORM}[type(leaf)]
