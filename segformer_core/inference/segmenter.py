"""From images to label maps: evaluation, inference and a user's own program.

The commands use it, and `Network` is its face for a program.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np

from segformer_core.config.arguments import as_arguments
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.data.ahead import prefetch
from segformer_core.data.dataset import Classes
from segformer_core.data.image_form import RGB_CHANNELS, ImageForm, form_of
from segformer_core.data.rows import ArrayRows, Rows, Sliding
from segformer_core.data.transforms import normalise, resize_image
from segformer_core.errors import DataError, UserError, brief
from segformer_core.inference.images import Image, read
from segformer_core.inference.likeliest import likeliest
from segformer_core.inference.threshold import thresholded
from segformer_core.memory import OutOfMemory, check_fits, memory_for
from segformer_core.protocol.bands import FLOAT_BYTES, Read, in_bands, kept_bytes, reader
from segformer_core.protocol.fit import ANYTHING, Takes
from segformer_core.protocol.learner import Predictor
from segformer_core.protocol.plan import Plan, View, make_plan
from segformer_core.spec.model import SegFormer

T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")
Verb = Callable[[Sequence[np.ndarray], Plan], A]
"""One of a `Predictor`'s, such as `predict`."""

WINDOW_ADVICE = "lower eval_crop_size, or raise eval_stride"
ADVICE = "lower base_size, eval_scales or eval_batch_size, or use eval_mode slide with a smaller eval_crop_size"


@dataclass(frozen=True)
class Prepared:
    """An image as the network needs it: for each view of the plan a (C, H, W) float32 array of its size."""

    images: tuple[np.ndarray, ...]
    plan: Plan


@dataclass(frozen=True)
class Segmenter:
    """A network with its weights, the settings with which it labels images, and the names and colours of its classes.

    `classes` may be missing where a program of your own makes one. Labels follow the rule of `thresholded`; with a `threshold`
    of 0 they are the likeliest classes. `takes` says which images the network can be shown.
    """

    predictor: Predictor
    spec: SegFormer
    data: DataConfig
    evaluation: EvaluationConfig
    classes: Classes | None = None
    threshold: float = 0.0
    takes: Takes = ANYTHING

    @property
    def form(self) -> ImageForm:
        """How the network's images are read."""
        return form_of(self.spec.in_channels, self.data.image_range)

    @as_arguments()
    def segment(self, image: Image) -> np.ndarray:
        """An image, as `images.read` takes it, -> (H, W) uint8 class indices. Raises DataError for what is no image."""
        return self.label([self._read(image)])[0]

    @as_arguments()
    def labels_and_confidence(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        """An image as for `segment` -> its labels, and (H, W) float32: each pixel's largest probability, 1/K..1."""
        labels, confidences = self.labels_and_confidences([self._read(image)])
        return labels[0], confidences[0]

    @overload
    def probabilities(self, image: Image, top: None = None) -> np.ndarray: ...

    @overload
    def probabilities(self, image: Image, top: int) -> tuple[np.ndarray, np.ndarray]: ...

    @as_arguments()
    def probabilities(self, image: Image, top: int | None = None) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """An image as for `segment` -> (K, H, W) float32, 0..1; the classes of a pixel sum to 1.

        With `top` only each pixel's likeliest classes: their (top, H, W) uint8 indices, the likeliest first, and their (top, H,
        W) float32 probabilities. Raises DataError for what is no image, and for a `top` that is not 1 to K.
        """
        count = self.spec.class_count
        if top is not None and (not isinstance(top, int | np.integer) or not 1 <= top <= count):
            raise DataError(f"top is {brief(top)}; expected how many classes to give of each pixel, 1 to {count}")
        found = self.label([self._read(image)], self.predictor.probabilities)[0]
        return found if top is None else likeliest(found, int(top))

    def _read(self, image: Image) -> Prepared:
        return self.prepare(read(image, self.form).pixels)

    def prepare(self, image: np.ndarray) -> Prepared:
        """An image of the network's channels (three: RGB), resized and normalised. For threads, too.

        (H, W, C) uint8, or float32 on the scale 0..255, NaN where there is no value. Raises DataError, OutOfMemory.
        """
        _check_image(image, self.spec.in_channels)
        plan = make_plan((image.shape[0], image.shape[1]), self.data, self.evaluation, self.takes)
        what = _described(plan, 1)
        check_fits(sum(self.spec.in_channels * FLOAT_BYTES * view.size[0] * view.size[1] for view in plan.views), what, ADVICE)
        with memory_for(what, ADVICE):
            return Prepared(tuple(network_image(image, view, self.data) for view in plan.views), plan)

    @overload
    def label(self, batch: Sequence[Prepared], verb: None = None) -> np.ndarray: ...

    @overload
    def label(self, batch: Sequence[Prepared], verb: Verb[A]) -> A: ...

    def label(self, batch: Sequence[Prepared], verb: Verb[Any] | None = None) -> Any:
        """Images of one plan -> (B, H, W) uint8 class indices; or what `verb` gives of them. Raises OutOfMemory."""
        if verb is None and self.threshold:
            return self.labels_and_confidences(batch)[0]
        with memory_for(_described(batch[0].plan, len(batch)), ADVICE):
            images = [np.stack(views) for views in zip(*(prepared.images for prepared in batch), strict=True)]
            return (verb or self.predictor.predict)(images, batch[0].plan)

    def labels_and_confidences(self, batch: Sequence[Prepared]) -> tuple[np.ndarray, np.ndarray]:
        """Images of one plan -> (B, H, W) uint8 class indices, and (B, H, W) float32: each pixel's largest probability."""
        labels, confidences = self.label(batch, self.predictor.labels_and_confidences)
        return thresholded(labels, confidences, self.threshold, self.spec.class_count), confidences

    def bands(self, image: Rows, confidences: bool = False) -> Iterator[tuple[int, np.ndarray, np.ndarray | None, np.ndarray]]:
        """An image of any height, from the top: first row, (rows, W) uint8 class indices, their confidence, and the image's rows.

        The confidence is (rows, W) float32 with `confidences`, else it may be None. With windows of the image's own size only as
        many rows are read and kept as a window needs; else the image is read at once. Memory then grows with the width alone.
        The labels are those of `label`. Raises DataError, OutOfMemory.
        """
        plan = make_plan(image.size, self.data, self.evaluation, self.takes)
        what = _described(plan, 1)
        with memory_for(what, ADVICE):
            if in_bands(plan):
                check_fits(kept_bytes(plan, self.spec.class_count), what, WINDOW_ADVICE)
                rows, read = (seen := Sliding(image)), self._reader(seen, plan)
            else:
                whole = image.whole()
                rows, read = Sliding(ArrayRows(whole)), reader([view[None] for view in self.prepare(whole).images], plan)
            for top, arrays in self.predictor.bands(read, plan, confidences or self.threshold > 0):
                labels, best = arrays[0][0], arrays[1][0] if len(arrays) > 1 else None
                if best is not None:
                    labels = thresholded(labels, best, self.threshold, self.spec.class_count)
                bottom = top + len(labels)
                yield top, labels, best, rows.read(top, bottom)
                rows.forget(bottom)

    def _reader(self, rows: Sliding, plan: Plan) -> Read:
        """The windows of an image that is seen at its own size, normalised one by one."""
        height, width = plan.views[0].crop

        def read(_: int, top: int, left: int) -> np.ndarray:
            pixels = rows.read(top, top + height)[:, left : left + width]
            return normalised(pixels, self.data)[None]

        return read

    @overload
    def run(
        self,
        items: Iterable[T],
        read: Callable[[T], tuple[np.ndarray, R] | None],
        refused: Callable[[T, UserError], object] | None = None,
        label: None = None,
    ) -> Iterator[tuple[T, R, np.ndarray]]: ...

    @overload
    def run(
        self,
        items: Iterable[T],
        read: Callable[[T], tuple[np.ndarray, R] | None],
        refused: Callable[[T, UserError], object] | None = None,
        *,
        label: Callable[[Sequence[Prepared], Sequence[R]], Iterable[A]],
    ) -> Iterator[tuple[T, R, A]]: ...

    def run(
        self,
        items: Iterable[T],
        read: Callable[[T], tuple[np.ndarray, R] | None],
        refused: Callable[[T, UserError], object] | None = None,
        label: Callable[[Sequence[Prepared], Sequence[R]], Iterable[Any]] | None = None,
    ) -> Iterator[tuple[T, R, Any]]:
        """Label the images that `read` makes of the items; yields (item, companion, (H, W) uint8 class indices) in their order.

        `read` returns an image as `prepare` takes it, and a companion of any type, or None to leave the item out. It is called
        ahead in threads. Images of one plan are labelled together, at most eval_batch_size of them.
        `refused` is called for an item that the memory does not hold, or of which the network does not take the windows, and the
        others go on; without it the error is raised.
        `label` is called in place of the method for each batch, with the companions as well; what it gives of each image takes
        the class indices' place.
        """

        def prepared(item: T) -> tuple[T, R, Prepared] | None:
            try:
                pair = read(item)
                return None if pair is None else (item, pair[1], self.prepare(pair[0]))
            except (DataError, OutOfMemory) as error:
                if refused is None:
                    raise
                refused(item, error)
                return None

        workers = self.data.dataset_num_parallel_workers
        if workers > 1:
            workers = max(workers // len(self.evaluation.eval_scales), 1)  # each scale is an array of its own in memory
        samples = (sample for sample in prefetch(prepared, items, workers) if sample is not None)
        for batch in self._batches(samples):
            yield from self._labelled(batch, refused, label or (lambda prepared, _: self.label(prepared)))

    def _labelled(
        self,
        batch: Sequence[tuple[T, R, Prepared]],
        refused: Callable[[T, UserError], object] | None,
        label: Callable[[Sequence[Prepared], Sequence[R]], Iterable[A]],
    ) -> Iterator[tuple[T, R, A]]:
        try:
            answers = label([sample[2] for sample in batch], [sample[1] for sample in batch])
        except OutOfMemory as error:
            if refused is None:
                raise
            if len(batch) == 1:
                refused(batch[0][0], error)
        else:
            yield from ((item, companion, answer) for (item, companion, _), answer in zip(batch, answers, strict=True))
            return
        for sample in batch if len(batch) > 1 else ():  # each alone may fit, now that the error holds nothing of the batch
            yield from self._labelled([sample], refused, label)

    def _batches(self, samples: Iterable[tuple[T, R, Prepared]]) -> Iterator[list[tuple[T, R, Prepared]]]:
        batch: list[tuple[T, R, Prepared]] = []
        try:
            for sample in samples:
                if batch and (len(batch) == self.evaluation.eval_batch_size or sample[2].plan != batch[0][2].plan):
                    yield batch
                    batch = []
                batch.append(sample)
        except UserError:  # of an item behind those of the batch, which have their answers first
            if batch:
                yield batch
            raise
        if batch:
            yield batch


def _check_image(pixels: np.ndarray, channels: int) -> None:
    """Raises DataError unless the array is an image; that its channels are red, green and blue nobody can see."""
    if pixels.dtype.kind not in "uif" or pixels.ndim != 3 or pixels.shape[2] != channels or not pixels.size:
        shape = "×".join(map(str, pixels.shape))
        rgb = ", RGB" if channels == RGB_CHANNELS else ""
        raise DataError(
            f"the image is an array of {shape} {pixels.dtype}; expected height × width × {channels}, uint8 0..255{rgb}"
        )


def _described(plan: Plan, count: int) -> str:
    """The images of a plan, for a sentence on what they take."""
    height, width = plan.size
    seen = ", ".join(f"{view.size[0]}×{view.size[1]}" for view in plan.views[:3])
    images = "an image" if count == 1 else f"{count} images"
    return f"{images} of {height}×{width} pixels, seen as {seen}{', …' if len(plan.views) > 3 else ''}"


def network_image(image: np.ndarray, view: View, data: DataConfig) -> np.ndarray:
    """(H, W, C) -> (C, *size) float32: resized to the view's size and normalised."""
    return normalised(resize_image(image, view.size), data)


def normalised(image: np.ndarray, data: DataConfig) -> np.ndarray:
    """(H, W, C) -> (C, H, W) float32."""
    return np.ascontiguousarray(normalise(image, data.img_norm_mean, data.img_norm_std).transpose(2, 0, 1))
