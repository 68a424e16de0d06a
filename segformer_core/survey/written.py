"""Writes a dataset.yaml for a dataset that has none, and a recipe."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from segformer_core.data.classes import IGNORED
from segformer_core.data.description import FILE_NAME
from segformer_core.errors import UserError
from segformer_core.survey.pair import MOST_VALUES, Value
from segformer_core.survey.proposal import Choice, recipe_folder
from segformer_core.survey.survey import Survey

WIDTH = 34
"""Columns before a remark."""

COMMENT = 120
"""Columns of a comment in the recipe."""

QUESTION = """\
# The labels hold 0 and 255 alone. Is 255 {name}, or does it mark pixels that do not count? Training asks until one of these two
# lines is there without its #:
# label_map: {{0: {first}, 255: {name}}}
# ignore: [255]
"""

ALSO_255 = """\
# If 255 marks pixels that do not count, take its class and its line in label_map out and write:
# ignore: [255]"""

FROM_RANDOM_WEIGHTS = """\
# From random weights. To start from pretrained ones put these three lines in place of the three below them:
# pretrained_ckpt_path: hf:nvidia/mit-b0
# lr: 6e-5
# head_lr_multiplier: 10.0
load_ckpt: False
lr: 1e-3
head_lr_multiplier: 1.0
"""


def dataset_yaml(survey: Survey) -> str:
    """A description with a class for each value or colour in the labels: class_0, class_1, …

    255 is ignored, unless 0 and 255 are all that there is: then the file asks. Raises UserError if the labels are no labels.
    """
    pixels, labels = survey.stored, survey.labels_with
    values = sorted(value for value in pixels if isinstance(value, int))
    colours = sorted((value for value in pixels if not isinstance(value, int)), key=lambda colour: -pixels[colour])
    if not pixels or (values and colours) or len(pixels) >= MOST_VALUES:
        kinds = "values and colours" if values and colours else f"{len(pixels)} values and more"
        why = f"hold {kinds}" if pixels else "cannot be read"
        raise UserError(f"no {FILE_NAME} can be made for {survey.layout.root}: its labels {why}; repair them first")
    asks = set(values) == {0, IGNORED}
    indices = [value for value in values if value != IGNORED]
    in_a_row = indices == list(range(indices[0], indices[0] + len(indices))) if indices else False
    stored: Sequence[Value] = colours or (indices if in_a_row and not asks else values)
    total, files = sum(pixels[value] for value in stored), sum(len(facts.records) for facts in survey.splits.values())

    def remark(value: Value) -> str:
        return f"{pixels[value] / max(total, 1):.2%} of the pixels, in {labels[value]} of {files} labels"

    lines = ["# Made by segformer check_dataset from the values in the labels: give the classes their names.", "classes:"]
    for index, value in enumerate(stored):
        entry = f"class_{index}" if isinstance(value, int) else f"{{name: class_{index}, colour: {list(value)}}}"
        what = f"label {value}: " if isinstance(value, int) else ""
        lines.append(f"  - {entry}".ljust(WIDTH) + f"# {what}{remark(value)}")
    if asks:
        return "\n".join([*lines, QUESTION.format(first="class_0", name="class_1")])
    if colours:
        return "\n".join([*lines, ""])
    if in_a_row:
        lines += [f"first_label: {indices[0]}"] if indices[0] else []
        lines.append(f"ignore: [{IGNORED}]".ljust(WIDTH) + f"# {labels[IGNORED]} labels have it")
    else:
        lines += ["label_map:", *(f"  {value}: class_{index}" for index, value in enumerate(stored))]
        lines += [ALSO_255] if IGNORED in values else []
    return "\n".join([*lines, ""])


def recipe(survey: Survey, choices: Sequence[Choice], path: Path, description: Path | None) -> str:
    """The recipe, a comment with the reason beside each key, for training from random weights."""
    root = survey.layout.root
    runs = f"./runs/{recipe_folder(root)}"
    named = survey.layout.named
    count = len(named) if named else sum(value != IGNORED for value in survey.stored)
    lines = [
        f"# Proposed by segformer check_dataset for {root}: a start, not measured on these data.",
        f"# python -m backend_torch.train --config_path {path}      (or backend_mindspore)",
        f"data_path: {text(root)}",
        *([f"dataset_file: {text(description)}"] if description else []),
        f"class_num: {count}",
        "backbone: mit_b0",
        *(line for choice in choices for line in explained(choice)),
        "",
        FROM_RANDOM_WEIGHTS,
        "train_log_interval: 10",
        "keep_checkpoints: 1",
        f"checkpoint_path: {text(runs + '/')}",
        f"eval_output_path: {text(runs + '/eval/')}",
        f"infer_output_path: {text(runs + '/masks/')}",
        "",
    ]
    return "\n".join(lines)


def explained(choice: Choice) -> list[str]:
    """The reason as a comment, then the key and its value."""
    reason = textwrap.wrap(choice.reason, COMMENT, initial_indent="# ", subsequent_indent="# ")
    return [*reason, f"{choice.key}: {text(choice.value)}"]


def text(value: object) -> str:
    """A value as YAML; a path in quotes if it has anything but letters, digits and . _ / -."""
    if isinstance(value, str | Path):
        plain = str(value)
        safe = plain and all(letter.isascii() and (letter.isalnum() or letter in "._/-") for letter in plain)
        return plain if safe and not plain.startswith("-") else json.dumps(plain, ensure_ascii=False)
    return str(value) if isinstance(value, bool) else json.dumps(value)
