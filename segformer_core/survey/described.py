"""A survey as lines of text."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from segformer_core.data.classes import IGNORED
from segformer_core.errors import plural
from segformer_core.survey.findings import Finding
from segformer_core.survey.pair import Value
from segformer_core.survey.proposal import Choice, words
from segformer_core.survey.survey import Survey
from segformer_core.survey.written import text

SHOWN = 20
"""Lines of a long list; the report has them all."""

KINDS = 4


def summary(survey: Survey) -> list[tuple[str, str]]:
    """What every image and label is, as pairs of a word and a sentence."""
    records = survey.records
    facts = [("pairs", ", ".join(f"{len(facts.records)} {name}" for name, facts in survey.splits.items()) or "none")]
    if survey.sizes:
        facts += [("sizes", sizes(survey)), ("aspect", aspects(survey))]
    facts.append(("images", counted(Counter(record.kinds[0] for record in records))))
    facts.append(("labels", counted(Counter(record.kinds[1] for record in records))))
    if survey.layout.labels:
        facts.append(("read as", survey.layout.labels.removeprefix("labels: ")))
    facts.append(("values", values(survey)))
    if survey.channels.any():
        mean, std = survey.mean_and_std()
        facts.append(("RGB", f"mean {decimals(mean)}, standard deviation {decimals(std)} of 0..255"))
    return facts


def sizes(survey: Survey) -> str:
    """Height × width: the one size, or the range, the median and how many there are."""
    if len(survey.sizes) == 1:
        return f"{words(next(iter(survey.sizes)))} (height × width), all"
    all_sizes = np.array([size for size, count in survey.sizes.items() for _ in range(count)])
    low, middle, high = (words([int(side) for side in reduce(all_sizes, axis=0)]) for reduce in (np.min, np.median, np.max))
    return f"from {low} to {high} (height × width), median {middle}, {len(survey.sizes)} sizes"


def aspects(survey: Survey) -> str:
    """Width by height, and how many images stand and lie."""
    shares = [width / height for (height, width), count in survey.sizes.items() for _ in range(count)]
    portrait, total = sum(share < 1 for share in shares), len(shares)
    range_ = f"{min(shares):.2f}" if min(shares) == max(shares) else f"{min(shares):.2f} to {max(shares):.2f}"
    return f"width by height {range_}; {portrait} of {total} images are higher than wide"


def values(survey: Survey) -> str:
    """The values or colours that the label files store, the most frequent first if there are many."""
    stored = survey.stored
    if not stored:
        return "none"
    if all(isinstance(value, int) for value in stored) and len(stored) <= 2 * SHOWN:
        return ranges(sorted(value for value in stored if isinstance(value, int)))
    shown = [text_of(value) for value, _ in stored.most_common(SHOWN)]
    return f"{len(stored)}, the most frequent {', '.join(shown)}"


def text_of(value: Value) -> str:
    return str(value) if isinstance(value, int) else str(list(value))


def ranges(values: Sequence[int]) -> str:
    """[0, 1, 2, 5, 255] -> 0..2, 5, 255."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}..{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)


def counted(kinds: Counter[str]) -> str:
    shown = [f"{kind} ({count})" for kind, count in kinds.most_common(KINDS)]
    return ", ".join(shown) + (f", {len(kinds) - KINDS} other kinds" if len(kinds) > KINDS else "") or "none"


def decimals(parts: Iterable[float]) -> str:
    return " ".join(f"{part:.2f}" for part in parts)


def class_table(survey: Survey) -> list[str]:
    """A line for each class: its share of the counted pixels and the labels that have it, in each split."""
    classes = survey.classes
    if classes is None:
        return value_table(survey)
    width = max(len(name) for name in (*classes.names, "ignored"))
    lines = ["class".ljust(width) + "".join(f"{name + ' pixels':>15}{'labels':>8}" for name in survey.splits)]
    for index, name in (*enumerate(classes.names), (IGNORED, "ignored")):
        line = name.ljust(width)
        for facts in survey.splits.values():
            whole = facts.counted if index != IGNORED else int(facts.pixels.sum())
            line += f"{facts.pixels[index] / max(whole, 1):>15.3%}{facts.images[index]:>8}"
        lines.append(line)
    return lines


def value_table(survey: Survey) -> list[str]:
    """A line for each stored value or colour, the most frequent first."""
    total = max(survey.stored.total(), 1)
    shown = survey.stored.most_common(SHOWN)
    width = max((len(text_of(value)) for value, _ in shown), default=0)
    width = max(width, len("value"))
    lines = ["value".ljust(width) + f"{'pixels':>10}{'labels':>8}"]
    lines += [f"{text_of(value).ljust(width)}{n / total:>10.3%}{survey.labels_with[value]:>8}" for value, n in shown]
    return [*lines, f"and {len(survey.stored) - SHOWN} more"] if len(survey.stored) > SHOWN else lines


def findings_text(found: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in found:
        lines.append(f"{'WRONG' if finding.wrong else 'hint'}: {finding.sentence}{':' if finding.details else ''}")
        lines += [f"  {detail}" for detail in finding.details[:SHOWN]]
        if len(finding.details) > SHOWN:
            lines.append(f"  and {len(finding.details) - SHOWN} more; the report has them all")
    return lines


def proposal_text(choices: Sequence[Choice]) -> list[str]:
    if not choices:
        return []
    width = max(len(f"{choice.key}: {text(choice.value)}") for choice in choices)
    return ["a proposal, not measured on these data:"] + [
        f"  {f'{choice.key}: {text(choice.value)}'.ljust(width)}  {choice.reason}" for choice in choices
    ]


def described(survey: Survey, found: Sequence[Finding], choices: Sequence[Choice]) -> list[str]:
    """All of it, but the last lines."""
    classes = survey.classes
    names = "no classes yet" if classes is None else f"{plural(len(classes), 'class')} of {classes.source or 'Cityscapes'}"
    lines = [f"{survey.layout.root}: {names}"]
    lines += [f"  {word:<8}{sentence}" for word, sentence in summary(survey)]
    parts = (class_table(survey), findings_text(found), proposal_text(choices))
    return lines + [line for part in parts if part for line in ("", *part)]
