"""What an exported file is to be: its format, what goes in, what comes out, and how it is computed."""

from dataclasses import dataclass

from segformer_core.spec.model import SMALLEST_INPUT

CHANNELS = 3
IMAGES, LOGITS, LABELS = "images", "logits", "labels"
"""What the input and the output are called in the file."""


@dataclass(frozen=True)
class Format:
    """`backend` writes it; `writers` and `runtime` are the packages that it takes besides.

    `smallest`: pixels of an image's sides that a dynamic file takes at least. `proved_as`: the format that the network is
    written in as well, to be run in this one's place, where no backend can run it.
    """

    suffix: str
    backend: str
    writers: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    only_on: str = ""
    proved_as: str = ""
    smallest: int = SMALLEST_INPUT


FORMATS = {
    "MINDIR": Format(".mindir", "mindspore"),
    "AIR": Format(".air", "mindspore", only_on="Ascend", proved_as="MINDIR"),
    "ONNX": Format(".onnx", "torch", writers=("onnx", "onnxscript"), runtime=("onnxruntime",)),
    "TORCH": Format(".pt2", "torch", smallest=64),  # below, maps have one row or column, which torch.export sets apart
}
"""A backend's first one is its default."""
OF_SUFFIX = {known.suffix: name for name, known in FORMATS.items()}


@dataclass(frozen=True)
class Form:
    """`mean` and `std` are RGB, 0..255; they are in the file where it preprocesses, else the caller's to apply."""

    format: str
    size: tuple[int, int]
    dynamic: bool
    precision: str
    preprocess: bool
    labels: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    class_count: int

    @property
    def suffix(self) -> str:
        return FORMATS[self.format].suffix

    @property
    def smallest(self) -> int:
        return FORMATS[self.format].smallest

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image of `size`: (1, H, W, 3) where the file preprocesses, else (1, 3, H, W)."""
        return (1, *self.size, CHANNELS) if self.preprocess else (1, CHANNELS, *self.size)

    @property
    def input_axes(self) -> dict[str, int]:
        """The axes that may have any length in a dynamic file."""
        return {"batch": 0, "height": 1 if self.preprocess else 2, "width": 2 if self.preprocess else 3}

    @property
    def output_name(self) -> str:
        return LABELS if self.labels else LOGITS
