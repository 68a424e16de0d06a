"""The form of an exported file: its format, its input, its output and its precision."""

from dataclasses import dataclass

from segformer_core.config.keys import RUNTIMES
from segformer_core.protocol.fit import Fit, Size, Takes, next_multiple
from segformer_core.spec.model import SMALLEST_INPUT

IMAGES, LOGITS, LABELS = "images", "logits", "labels"
"""The names of input and output in the file."""
INT8 = "int8"
"""A precision, of ONNX files."""


@dataclass(frozen=True)
class Format:
    """`backend` writes and runs the format; `writers` are the further packages that writing needs.

    Any one of the packages `runtimes` runs it, the first unless the user names another. `smallest` is the smallest side in
    pixels that a dynamic file takes. Where no backend can run the format, `proved_as` names another format: the network is
    written in both, and the other file is run as the proof.
    """

    suffix: str
    backend: str
    writers: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    only_on: str = ""
    proved_as: str = ""
    smallest: int = SMALLEST_INPUT


FORMATS = {
    "MINDIR": Format(".mindir", "mindspore"),
    "AIR": Format(".air", "mindspore", only_on="Ascend", proved_as="MINDIR"),
    "ONNX": Format(".onnx", "torch", writers=("onnx", "onnxscript"), runtimes=RUNTIMES),
    "TORCH": Format(".pt2", "torch", smallest=64),  # below, torch.export takes an axis of length 1 for a constant
}
"""By name; the first format of a backend is its default."""
WEB = "WEB"
FOLDERS = {WEB: "ONNX"}
"""What export_format may also be: a folder with a page that shows a file of this format."""
OF_SUFFIX = {form.suffix: name for name, form in FORMATS.items()}


@dataclass(frozen=True)
class Form:
    """`mean` and `std`: of each channel, 0..255. A file that preprocesses applies them; otherwise the caller does."""

    format: str
    size: tuple[int, int]
    dynamic: bool
    precision: str
    preprocess: bool
    labels: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_count: int

    @property
    def arithmetic(self) -> str:
        """The type of what is no integer: fp32 or fp16."""
        return "fp32" if self.precision == INT8 else self.precision

    @property
    def channels(self) -> int:
        """Of an image."""
        return len(self.mean)

    @property
    def suffix(self) -> str:
        return FORMATS[self.format].suffix

    @property
    def smallest(self) -> int:
        return FORMATS[self.format].smallest

    @property
    def takes(self) -> Takes:
        """Which images: of this size alone, or of any."""
        return Takes(self.smallest) if self.dynamic else Takes(frame=self.size)

    @property
    def padding(self) -> tuple[float, ...]:
        """What a smaller image is padded with: of each channel the mean, as the file takes it, which training pads with, too."""
        return tuple(float(min(max(round(mean), 0), 255)) if self.preprocess else 0.0 for mean in self.mean)

    def fit(self, base_size: Size, multiple: int) -> Fit:
        """How an image is fitted where the recipe has these: a file of another size than the recipe's has its own base_size."""
        own = not self.dynamic and tuple(next_multiple(side, multiple) for side in base_size) != self.size
        return Fit(self.size if own else base_size, multiple, self.takes.least, self.takes.frame)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image of `size`: (1, H, W, C) where the file preprocesses, else (1, C, H, W)."""
        return (1, *self.size, self.channels) if self.preprocess else (1, self.channels, *self.size)

    @property
    def input_axes(self) -> dict[str, int]:
        """The axes that may have any length in a dynamic file."""
        return {"batch": 0, "height": 1 if self.preprocess else 2, "width": 2 if self.preprocess else 3}

    @property
    def output_name(self) -> str:
        return LABELS if self.labels else LOGITS
