"""What is wrong with a dataset, and what is only worth a look: sentences about a survey."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segformer_core.config.keys import DataConfig
from segformer_core.data.classes import IGNORED
from segformer_core.data.dataset import Item
from segformer_core.errors import plural
from segformer_core.survey.pair import MOST_VALUES, Record, unknown_values
from segformer_core.survey.splits import LABELLED
from segformer_core.survey.survey import Survey, listed

NAMES = 5
"""Names that a sentence lists."""

NEARLY_EMPTY = 0.99
"""Share of ignored pixels from which on a label has next to nothing to learn from."""

MUCH_IGNORED = 0.5
SMALLEST_SHARE_OF_NEIGHBOURS = 0.25
"""Of the val images: so many with a neighbouring number in train are no accident at the border of two ranges."""

FAR = 1.0
"""Standard deviations of ImageNet that a channel's mean may be away from ImageNet's."""

NARROW = 2.0
"""How much smaller than ImageNet's a channel's standard deviation may be."""

NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
"""A name up to its last number, the number, and the rest."""


@dataclass(frozen=True)
class Finding:
    """`wrong`: something would be trained wrongly. `details` has a sentence for each file, `records` the pairs to look at."""

    wrong: bool
    sentence: str
    details: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()


def findings(survey: Survey) -> list[Finding]:
    """What is wrong first."""
    found = [finding for check in CHECKS for finding in check(survey)]
    return sorted(found, key=lambda finding: not finding.wrong)


def question(survey: Survey) -> Iterator[Finding]:
    """What must be answered before the labels can be read as classes."""
    layout = survey.layout
    if layout.question:
        yield Finding(True, layout.question)
    if layout.named is not None:
        return
    yield Finding(True, f"no file names the classes of {layout.root}: --write makes a dataset.yaml with the labels' values")
    if set(survey.stored) == {0, IGNORED}:
        yield Finding(
            True,
            "the labels hold 0 and 255 alone: if 255 is a class, the dataset.yaml needs label_map: {0: …, 255: …} with the names "
            "of the two; if 255 marks pixels that do not count, it needs ignore: [255]",
        )


def split_faults(survey: Survey) -> Iterator[Finding]:
    for facts in survey.splits.values():
        if facts.split.faults:
            yield Finding(True, f"files of {facts.name} that are no pair", facts.split.faults)
    if "train" not in survey.splits:
        yield Finding(True, f"{survey.layout.root} has no images of train; expected images/train and labels/train")
    if "val" not in survey.splits:
        yield Finding(False, "there is no val: a run cannot be measured; put every fourth image there, or set run_eval: False")


def unusable(survey: Survey) -> Iterator[Finding]:
    broken = tuple(record for record in survey.records if record.fault)
    if broken:
        count, total = len(broken), len(survey.records)
        sentence = f"{count} of {total} pairs cannot be used"
        yield Finding(True, sentence, tuple(f"{record.split}: {record.fault}" for record in broken), broken)
    if survey.classes is None:
        return
    labels: dict[int, int] = defaultdict(int)
    pixels: dict[int, int] = defaultdict(int)
    for record in broken:
        for value, count in unknown_values(record, survey.classes).items():
            labels[value] += 1
            pixels[value] += count
    if labels:
        values = [f"{value} in {plural(labels[value], 'label')} ({pixels[value]:,} pixels)" for value in sorted(labels)]
        yield Finding(
            True,
            f"values that mean no class and are not ignored: {listed(values, NAMES)}; name each in label_map or in ignore of "
            f"{survey.classes.source or 'a dataset.yaml'}",
        )


def many_values(survey: Survey) -> Iterator[Finding]:
    pictures = tuple(record for record in survey.records if len(record.stored) >= MOST_VALUES)
    if pictures and survey.classes is None:
        yield Finding(
            True,
            f"{plural(len(pictures), 'label')} with {MOST_VALUES} and more colours or values, such as {pictures[0].item.label}: "
            "these are pictures, or were resized or compressed; export the masks anew",
            records=pictures,
        )


def absent_classes(survey: Survey) -> Iterator[Finding]:
    """Classes that no label of train has, or none of val."""
    classes, train, val = survey.classes, survey.splits.get("train"), survey.splits.get("val")
    if classes is None or train is None or not train.records:
        return
    absent = [index for index in range(len(classes)) if not train.images[index]]
    unseen = [index for index in absent if val is not None and val.images[index]]
    if absent:
        names = [f"{classes.names[index]} ({index})" for index in absent]
        sentence = (
            f"{len(absent)} of {len(classes)} classes are in no label of train and cannot be learnt: {listed(names, NAMES)}"
        )
        if train.images[IGNORED]:
            sentence += f"; {train.images[IGNORED]} labels have ignored pixels: are these the class?"
        yield Finding(True, sentence)
    if unseen and val is not None:
        names = [f"{classes.names[index]} (in {val.images[index]} of {len(val.records)} labels)" for index in unseen]
        yield Finding(True, f"in val alone, so that the IoU stays 0: {listed(names, NAMES)}")
    missing = [index for index in range(len(classes)) if train.images[index] and val is not None and not val.images[index]]
    if missing:
        names = [
            f"{classes.names[index]} (in {train.images[index]} of {len(train.records)} labels of train)" for index in missing
        ]
        yield Finding(False, f"in no label of val, so that they are not measured: {listed(names, NAMES)}")


def nearly_empty(survey: Survey) -> Iterator[Finding]:
    classes = survey.classes
    if classes is None:
        return
    splits = [facts for name, facts in survey.splits.items() if name in LABELLED]
    sound = [record for facts in splits for record in facts.records if record.pixels]
    empty = tuple(record for record in sound if record.ignored_share > NEARLY_EMPTY)
    if empty:
        details = tuple(f"{record.item.label}: {record.ignored_share:.1%} ignored" for record in empty)
        yield Finding(False, f"more than {NEARLY_EMPTY:.0%} ignored: {plural(len(empty), 'label')}", details, empty)
    single = tuple(record for record in sound if record not in empty and len(set(record.pixels) - {IGNORED}) == 1)
    if single and len(classes) > 1:
        details = tuple(f"{record.item.label}: {classes.names[next(iter(set(record.pixels) - {IGNORED}))]}" for record in single)
        yield Finding(False, f"one class only: {plural(len(single), 'label')}", details, single)
    for facts in splits:
        share = facts.pixels[IGNORED] / max(facts.pixels.sum(), 1)
        if share > MUCH_IGNORED:
            yield Finding(False, f"{share:.0%} of the pixels of {facts.name} are ignored and teach nothing")


def duplicates(survey: Survey) -> Iterator[Finding]:
    """Images whose decoded pixels are equal. Near-duplicates are not found."""
    groups: dict[bytes, list[Record]] = defaultdict(list)
    for record in survey.records:
        if record.hashes[0]:
            groups[record.hashes[0]].append(record)
    same = [group for group in groups.values() if len(group) > 1]
    across = [group for group in same if len({record.split for record in group}) > 1]
    within = [group for group in same if len({record.split for record in group}) == 1]
    for groups_, wrong, what in (
        (across, True, "in two splits, so that what was learnt by heart is measured; remove each from one of them"),
        (within, False, "twice in one split, where they count twice"),
    ):
        if not groups_:
            continue
        differing = sum(len({record.hashes[1] for record in group}) > 1 for group in groups_)
        labels = f"; {differing} with labels that differ" if differing else ""
        yield Finding(
            wrong,
            f"{plural(len(groups_), 'image')} of equal decoded pixels {what}{labels}",
            tuple(map(_equal, groups_)),
            tuple(record for group in groups_ for record in group),
        )


def _equal(group: list[Record]) -> str:
    """The images of a group, the first of each split before the others."""
    first = {record.split: record for record in reversed(group)}
    order = sorted(group, key=lambda record: record is not first[record.split])
    names = [str(record.item.image) for record in order]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return " = ".join(names[:NAMES]) + more


def neighbours(survey: Survey) -> Iterator[Finding]:
    """Names with consecutive numbers that are spread over train and val, as frames of one film are by a random split.

    A series in which train and val share a number was numbered in each split anew.
    """
    train, val = survey.splits.get("train"), survey.splits.get("val")
    if train is None or val is None or not val.records:
        return
    series: dict[tuple[str, str], list[tuple[int, str, Item]]] = defaultdict(list)
    for record in (*train.records, *val.records):
        if match := NUMBER.fullmatch(record.item.name):
            series[match[1], match[3]].append((int(match[2]), record.split, record.item))
    beside, example = 0, ""
    for numbered in series.values():
        numbers = {name: {number for number, split, _ in numbered if split == name} for name in ("train", "val")}
        if numbers["train"] & numbers["val"]:
            continue
        numbered.sort(key=lambda entry: entry[:2])
        step = float(np.median([after[0] - before[0] for before, after in zip(numbered, numbered[1:], strict=False)] or [0]))
        for place, (number, split, item) in enumerate(numbered):
            close = [
                other
                for other in (*numbered[max(place - 1, 0) : place], *numbered[place + 1 : place + 2])
                if other[1] == "train" and abs(other[0] - number) <= step
            ]
            if split == "val" and close:
                beside += 1
                example = example or f"{item.name} in val and {close[0][2].name} in train"
    if beside > SMALLEST_SHARE_OF_NEIGHBOURS * len(val.records):
        yield Finding(
            False,
            f"{beside} of {len(val.records)} images of val have a neighbour of train by their number, such as {example}: if "
            "these are frames of one film or slices of one volume, what is measured is too good; keep whole films in one split",
        )


def statistics(survey: Survey) -> Iterator[Finding]:
    """Pixels far from ImageNet's, for which pretrained weights are made."""
    if not survey.channels.any():
        return
    mean, std = survey.mean_and_std()
    config = DataConfig()
    distance = np.abs(mean - config.img_norm_mean) / config.img_norm_std
    narrow = std * NARROW < config.img_norm_std
    if distance.max() > FAR or narrow.any():
        keys = [f"img_norm_{name}: [{', '.join(f'{part:.1f}' for part in of)}]" for name, of in (("mean", mean), ("std", std))]
        yield Finding(
            False,
            f"the images' mean and standard deviation are far from ImageNet's; in a run from random weights {' and '.join(keys)} "
            "may help, pretrained weights want ImageNet's, which are the defaults",
        )


def notes(survey: Survey) -> Iterator[Finding]:
    for facts in survey.splits.values():
        for note in facts.split.notes:
            yield Finding(False, note)


CHECKS = (
    question,
    split_faults,
    unusable,
    many_values,
    absent_classes,
    duplicates,
    nearly_empty,
    neighbours,
    statistics,
    notes,
)
