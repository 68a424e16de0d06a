"""Reads every pair of a dataset and adds up what they hold."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from tqdm import tqdm

from segformer_core.data.ahead import prefetch
from segformer_core.data.classes import COLOURS, IGNORED, Classes
from segformer_core.data.dataset import Item
from segformer_core.data.histogram import VALUES
from segformer_core.data.image_file import own_form
from segformer_core.data.image_form import RGB, ImageForm, form_of
from segformer_core.errors import DataError
from segformer_core.memory import memory_for
from segformer_core.survey.moments import Moments
from segformer_core.survey.pair import Record, Value, Whole, examined_whole
from segformer_core.survey.splits import Layout, Split

SHOWN = 5
"""How many values a sentence names."""


@dataclass(frozen=True)
class SplitFacts:
    """What a split's pairs hold; `moments` are the sums of all its images by channel."""

    split: Split
    records: tuple[Record, ...]
    moments: Moments

    @property
    def name(self) -> str:
        return self.split.name

    @cached_property
    def sound(self) -> tuple[Record, ...]:
        """The records of the pairs that can be used."""
        return tuple(record for record in self.records if not record.fault)

    @cached_property
    def pixels(self) -> np.ndarray:
        """(256,) int64: the pixels of each class, 255 where ignored."""
        return self._added(lambda count: count)

    @cached_property
    def images(self) -> np.ndarray:
        """(256,) int64: the labels that have each class, 255 where ignored."""
        return self._added(lambda _: 1)

    def _added(self, worth: Callable[[int], int]) -> np.ndarray:
        total = np.zeros(VALUES, np.int64)
        for record in self.records:
            for index, count in record.pixels.items():
                total[index] += worth(count)
        return total

    @cached_property
    def counted(self) -> int:
        """Pixels that are not ignored."""
        return int(self.pixels[:IGNORED].sum())


@dataclass(frozen=True)
class Survey:
    layout: Layout
    splits: dict[str, SplitFacts]
    form: ImageForm = RGB

    @property
    def classes(self) -> Classes | None:
        return self.layout.classes

    @property
    def records(self) -> list[Record]:
        return [record for facts in self.splits.values() for record in facts.records]

    @cached_property
    def stored(self) -> Counter[Value]:
        """Value or colour in the label files -> pixels, of all splits."""
        total: Counter[Value] = Counter()
        for record in self.records:
            total.update(record.stored)
        return total

    @cached_property
    def labels_with(self) -> Counter[Value]:
        """Value or colour -> label files that have it."""
        total: Counter[Value] = Counter()
        for record in self.records:
            total.update(record.stored.keys())
        return total

    @cached_property
    def sizes(self) -> Counter[tuple[int, int]]:
        """Height and width -> images that can be read."""
        return Counter(record.size for record in self.records if record.size)

    @cached_property
    def moments(self) -> Moments:
        """The sums of all images by channel."""
        return sum((facts.moments for facts in self.splits.values()), Moments.none(self.form.channels))

    @property
    def measured(self) -> bool:
        """Whether every channel has a value."""
        return bool(self.moments.pixels.all())

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) float64 each, 0..255: over every pixel of every image; nan without images."""
        return self.moments.mean_and_std()


def survey(layout: Layout, workers: int, form: ImageForm = RGB) -> Survey:
    """Reads every pair in threads, with a progress bar; of each pair only its record stays in memory. Raises OutOfMemory."""
    total = sum(len(split.pairs) for split in layout.splits)
    with tqdm(None, "read", total, unit="image", dynamic_ncols=True, disable=None) as bar:
        splits = {split.name: _facts(split, layout.classes, workers, form, bar) for split in layout.splits}
    return Survey(layout, splits, form)


def form_of_files(layout: Layout, channels: int, image_range: tuple[float, ...]) -> ImageForm:
    """How the dataset's images are read: with so many channels, or where that is 0 with those of the first that can be read."""
    for item in (pair for split in layout.splits for pair in split.pairs) if not channels else ():
        try:
            channels = own_form(item.image).channels
            break
        except DataError:
            continue
    return form_of(channels or RGB.channels, image_range)


def named(survey: Survey, layout: Layout) -> Survey:
    """A survey without classes, as if it had been made with those of `layout`, which are of its own values and colours.

    Where the description of `layout` leaves open what a value means, that is the layout's question.
    """
    classes = layout.classes
    if classes is None:
        return replace(survey, layout=layout)
    labelling = classes.labelling
    indices: dict[Value, int] = dict.fromkeys(labelling.ignored_values(len(classes)), IGNORED)
    indices.update(labelling.colours if labelling.form == COLOURS else labelling.class_values(len(classes)).items())

    open_values = sorted((value for value in survey.stored if value not in indices), key=str)
    if open_values:
        what = ", ".join(map(str, open_values[:SHOWN]))
        question = f"{layout.description} leaves open what the values {what} mean: choose one of the answers in its comments"
        return replace(survey, layout=replace(layout, question=question))

    def with_pixels(record: Record) -> Record:
        return record if record.fault else replace(record, pixels={indices[value]: n for value, n in record.stored.items()})

    splits = {name: replace(facts, records=tuple(map(with_pixels, facts.records))) for name, facts in survey.splits.items()}
    return Survey(layout, splits, survey.form)


def _facts(split: Split, classes: Classes | None, workers: int, form: ImageForm, bar: tqdm) -> SplitFacts:
    records: list[Record] = []
    moments = Moments.none(form.channels)
    for record, sums in prefetch(partial(_whole, split.name, classes, form), split.pairs, workers):
        records.append(record)
        moments += sums
        bar.update()
    return SplitFacts(split, tuple(records), moments)


def _whole(split: str, classes: Classes | None, form: ImageForm, item: Item) -> Whole:
    with memory_for(f"image {item.name} and its label", "lower --workers"):
        return examined_whole(split, item, classes, form)


def listed(names: Sequence[str], shown: int) -> str:
    """The first names, and … if there are more."""
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")
