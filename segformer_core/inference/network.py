"""A network in a program of one's own: images of any kind in, results out.

from backend_torch import load                      # or backend_mindspore
network = load("segformer_b0.safetensors")          # any recognised weights, or an exported file
result = network("street.jpg")
"""

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from segformer_core.config.arguments import as_arguments
from segformer_core.data.classes import Classes
from segformer_core.data.naming import named_classes
from segformer_core.errors import UserError
from segformer_core.inference.images import UNNAMED, Image, Read, is_one, read
from segformer_core.inference.result import Result
from segformer_core.inference.segmenter import Prepared, Segmenter

Answer = tuple[np.ndarray, np.ndarray | None]
"""(H, W) uint8 labels of an image, and (H, W) float32 their confidence, if it is asked for."""


@dataclass(frozen=True, repr=False)
class Network(Segmenter):
    """A `Segmenter` that takes what a program has, and gives what it wants.

    `spec` describes the network, `classes` its classes, `data` and `evaluation` how it is shown an image.

    >>> network
    <Network mit_b0, 19 classes, base_size (64, 128), eval_mode whole>
    """

    saved: MutableMapping[Path, Path | None] = field(default_factory=dict, compare=False)
    """Where results were saved -> the images that they are of."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names; their places are the labels.

        >>> network.names[:3]
        ('road', 'sidewalk', 'building')
        """
        return self._known().names

    @overload
    def __call__(self, images: Image, *, confidence: bool = False) -> Result: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(
        self,
        images: Iterable[Image],
        *,
        confidence: bool = False,
        on_error: Callable[[Image, UserError], object] | None = None,
    ) -> Iterator[Result]: ...

    def __call__(
        self,
        images: Image | Iterable[Image],
        *,
        confidence: bool = False,
        on_error: Callable[[Image, UserError], object] | None = None,
    ) -> Result | Iterator[Result]:
        """The result of an image, or of each of several, one after another in their order.

        An image is a file's name (`str`, `Path`), a Pillow image, an array (H, W, 3) of RGB or (H, W) of gray, or a tensor of
        PyTorch or MindSpore (3, H, W). Whole numbers are uint8, 0..255; floats are 0..1, not normalised. A file and a Pillow
        image are turned as their EXIF orientation says.

        Several images are any iterable of these: a list, a generator, a video's `frames`. They are read ahead while the network
        works, and labelled in batches of `eval_batch_size` where their sizes are equal; nothing is computed before the first
        result is asked for. An image that cannot be read, or that the memory does not hold, raises its error; with `on_error`
        that is called with the image and the error, and the others go on.

        With `confidence` the confidence of each pixel is computed on the way. Raises UserError.

        >>> network("street.jpg")
        <Result street.jpg 64×128: ...
        >>> import numpy as np
        >>> [result.name for result in network(np.zeros((3, 40, 80, 3), np.uint8)[index] for index in range(3))]
        ['image_000000', 'image_000001', 'image_000002']
        """
        return self._one(images, confidence) if is_one(images) else self._several(images, confidence, on_error)  # type: ignore[arg-type]

    @as_arguments()
    def _one(self, image: Image, confidence: bool) -> Result:
        seen = read(image, self.form)
        [answer] = self._answers([self.prepare(seen.pixels)], confidence)
        return self._result(seen, answer)

    def _several(
        self, images: Iterable[Image], confidence: bool, on_error: Callable[[Image, UserError], object] | None
    ) -> Iterator[Result]:
        @as_arguments()
        def opened(index: int, image: Image) -> Read:
            return read(image, self.form, f"image {index}", f"{UNNAMED}_{index:06}")

        def ahead(item: tuple[int, Image]) -> tuple[np.ndarray, Read] | None:
            try:
                seen = opened(*item)
            except UserError as error:
                if on_error is None:
                    raise
                on_error(item[1], error)
                return None
            return seen.pixels, seen

        def refused(item: tuple[int, Image], error: UserError) -> None:
            if on_error:
                on_error(item[1], error)

        labelled = self.run(
            enumerate(images),
            ahead,
            refused if on_error else None,
            label=lambda prepared, _: self._answers(prepared, confidence),
        )
        with as_arguments():
            for _, seen, answer in labelled:
                yield self._result(seen, answer)

    def _answers(self, batch: Sequence[Prepared], confidence: bool) -> Iterable[Answer]:
        if confidence:
            return list(zip(*self.labels_and_confidences(batch), strict=True))
        return [(labels, None) for labels in self.label(batch)]

    def _result(self, seen: Read, answer: Answer) -> Result:
        labels, known = answer
        return Result(
            seen.pixels,
            labels,
            self._known(),
            seen.source,
            seen.name,
            lambda: self.label([self.prepare(seen.pixels)], self.predictor.probabilities)[0],
            lambda: self.labels_and_confidences([self.prepare(seen.pixels)])[1][0] if known is None else known,
            self.saved,
        )

    def _known(self) -> Classes:
        return self.classes or named_classes((), (), self.spec.class_count, "")

    def __repr__(self) -> str:
        spec, shown = self.spec, f"base_size {self.data.base_size}, eval_mode {self.evaluation.eval_mode}"
        return f"<{type(self).__name__} mit_{spec.variant}, {spec.class_count} classes, {shown}>"
