"""Proposes the keys of a recipe for a dataset, each with its reason.

The rules are those of docs/your-data.md. They are a start and not measured on the data.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.data.classes import IGNORED
from segformer_core.data.image_form import RGB
from segformer_core.survey.moments import SMALLEST_STD
from segformer_core.survey.pair import Record, Value
from segformer_core.survey.survey import SplitFacts, Survey

STRIDE = 32
"""Pixels of the image for one of the encoder's last stage."""

LARGEST_PIXELS = 1024 * 2048
"""Of an image as the network sees it: the paper's largest."""

LARGEST_CROP = 512
LARGEST_BATCH = 8
"""The paper's batch for Cityscapes."""

BATCHES = 4
"""Batches that an epoch should have at least."""

LEAST_STEPS, LEAST_EPOCHS, MOST_STEPS = 4000, 50, 160_000
"""A run is as long as the longer of the first two, and not longer than the paper's."""

EVALUATIONS = 20
RARE = 0.01
"""Share of the counted pixels below which a class is rare."""

DECIMALS = 3
"""Of mean and standard deviation."""

FULL = 0.75
"""The default of cat_max_ratio: a label of which one class fills so much has no crop that passes."""


@dataclass(frozen=True)
class Choice:
    """The value of a key, and why."""

    key: str
    value: Any
    reason: str


def proposal(survey: Survey) -> list[Choice]:
    """The keys in the order of a recipe; empty without a sound pair of train."""
    train = survey.splits.get("train")
    if train is None or not train.sound or not survey.sizes:
        return []
    base = base_size(train)
    crop = crop_size(base.value)
    batch = batch_size(len(train.sound))
    epochs = epoch_size(len(train.sound) // batch.value)
    choices = [*image_keys(survey), base, crop, *divisor(base.value), batch, epochs, *intervals(survey, epochs.value)]
    return choices + class_balance(survey)


def image_keys(survey: Survey) -> list[Choice]:
    """in_channels, image_range and the normalisation, where the defaults, those of 8-bit RGB, do not fit."""
    form = survey.form
    if form == RGB or not survey.measured:
        return []
    mean, std = survey.mean_and_std()
    choices = []
    if form.channels != RGB.channels:
        choices.append(Choice("in_channels", form.channels, "as many as the images have"))
    if form.range is not None:
        choices.append(Choice("image_range", list(form.range), "the values that become 0 and 255, as --image_range says"))
    measured = "measured on every pixel of every image, on the scale 0..255"
    choices.append(Choice("img_norm_mean", [round(float(value), DECIMALS) for value in mean], measured))
    stds = [round(float(value), DECIMALS) if value >= SMALLEST_STD else 1.0 for value in std]
    return [*choices, Choice("img_norm_std", stds, measured)]


def base_size(train: SplitFacts) -> Choice:
    """The median height and width of the training images, so often halved that it is no larger than the paper's largest."""
    sizes = np.array([record.size for record in train.records if record.size])
    height, width = (int(np.median(side)) for side in sizes.T)
    many = len(np.unique(sizes, axis=0)) > 1
    whose = f"the median of sizes from {words(sizes.min(0))} to {words(sizes.max(0))}" if many else "the size of every image"
    halved = 0
    while (height >> halved) * (width >> halved) > LARGEST_PIXELS:
        halved += 1
    size = [max(side >> halved, STRIDE) for side in (height, width)]
    if halved:
        times = "halved" if halved == 1 else f"halved {halved} times"
        return Choice(
            "base_size",
            size,
            f"{whose}, {words((height, width))}, {times}: time and memory grow with it, and the paper's largest has 1024×2048 "
            "pixels. The smallest thing that matters should stay some pixels wide",
        )
    if size != [height, width]:
        smallest = f"but at least {STRIDE}, the smallest that the network takes"
        return Choice("base_size", size, f"{whose}, {words((height, width))}, {smallest}")
    return Choice("base_size", size, whose + ("" if many else ": nothing is resized when it is evaluated"))


def crop_size(base: list[int]) -> Choice:
    """A square, no larger than the short side of base_size."""
    side = min(min(base) // STRIDE * STRIDE, LARGEST_CROP)
    limit = f"{LARGEST_CROP}, the paper's for ADE20K" if side == LARGEST_CROP else "the short side of base_size"
    return Choice("crop_size", [side, side], f"a square, multiple of {STRIDE}, at most {limit}; halve it on a CPU")


def divisor(base: list[int]) -> list[Choice]:
    if all(side % STRIDE == 0 for side in base):
        return []
    return [Choice("eval_size_divisor", STRIDE, f"{STRIDE} does not divide base_size, and crops are multiples of it")]


def batch_size(images: int) -> Choice:
    """A power of two."""
    size = LARGEST_BATCH
    while size > 1 and images < BATCHES * size:
        size //= 2
    small = f"{images} training images make at least {BATCHES} batches" if images >= BATCHES else f"{images} training images"
    reason = "the paper's for Cityscapes" if size == LARGEST_BATCH else small
    return Choice("batch_size", size, reason)


def epoch_size(steps_per_epoch: int) -> Choice:
    epochs = max(-(-LEAST_STEPS // steps_per_epoch), LEAST_EPOCHS)
    epochs = max(min(epochs, MOST_STEPS // steps_per_epoch), 1)
    return Choice(
        "epoch_size",
        epochs,
        f"{epochs * steps_per_epoch:,} steps, {steps_per_epoch:,} in an epoch: with less than some thousands a network from "
        "random weights is rarely done",
    )


def intervals(survey: Survey, epochs: int) -> list[Choice]:
    every = max(epochs // EVALUATIONS, 1)
    saved = Choice("save_checkpoint_epoch_interval", every, "as often as it is evaluated")
    if "val" not in survey.splits:
        return [Choice("run_eval", False, "there is no val to evaluate on"), saved]
    return [Choice("eval_interval", every, f"about {EVALUATIONS} evaluations in the run"), saved]


def class_balance(survey: Survey) -> list[Choice]:
    """class_weights and cat_max_ratio, where the defaults do not fit; while there are no classes, by the stored values."""
    classes = survey.classes
    shares: list[tuple[float, str]] = []
    labels = [_class_pixels(record) for record in survey.splits["train"].sound]
    labels = [pixels for pixels in labels if pixels]
    total: Counter[Value] = Counter()
    for pixels in labels:
        total.update(pixels)
    for value, count in total.items():
        name = f"value {value}" if classes is None or not isinstance(value, int) else classes.names[value]
        shares.append((count / total.total(), name))
    choices = []
    if shares and min(shares)[0] < RARE:
        share, name = min(shares)
        choices.append(Choice("class_weights", "auto", f"{name} has {share:.2%} of the pixels, below {RARE:.0%}"))
    filled = sum(max(pixels.values()) >= FULL * sum(pixels.values()) for pixels in labels)
    if len(shares) > 1 and 2 * filled > len(labels):
        reason = f"one class fills {FULL:.0%} and more of {filled} of {len(labels)} labels; other crops would be sought in vain"
        choices.append(Choice("cat_max_ratio", 1.0, reason))
    return choices


def _class_pixels(record: Record) -> dict[Value, int]:
    """Class -> pixels, without those that are ignored; by stored values if there are no classes."""
    if not record.pixels:
        return dict(record.stored)
    return {index: count for index, count in record.pixels.items() if index != IGNORED}


def words(size: Any) -> str:
    return f"{size[0]}×{size[1]}"


def recipe_folder(root: Path) -> str:
    """The name of the dataset's folder, for the files of its runs."""
    return root.resolve().name or "mydata"
