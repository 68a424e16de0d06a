"""Writes a dataset.yaml for a dataset that has none, and a recipe."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from segformer_core.config.files import OWN_RECIPE
from segformer_core.config.keys import flat
from segformer_core.config.load import load_config
from segformer_core.data.classes import COLOURS, IGNORED, INDICES, Value
from segformer_core.data.description import FILE_NAME
from segformer_core.data.draft import Class, Draft, scalar
from segformer_core.errors import UserError
from segformer_core.survey.pair import MOST_VALUES
from segformer_core.survey.proposal import Choice, recipe_folder
from segformer_core.survey.survey import Survey

COMMENT = 120
"""Columns of a comment in the recipe."""

PROPOSED = "# Proposed by segformer check_dataset"
"""How a recipe of ours begins."""
MADE = "Made by segformer check_dataset from the values in the labels: give the classes their names."
QUESTION = """\
# The labels hold 0 and 255 alone. Is 255 {name}, or does it mark pixels that do not count? Training asks until one of these two
# lines is there without its #:
# label_map: {{0: {first}, 255: {name}}}
# ignore: [255]
"""

QUESTION_AMONG_OTHERS = """\
# The labels hold 255 and values that are no row 0, 1, 2, … Does 255 mark pixels that do not count, or is it one more class?
# Training refuses the values until one of these answers is there without its #. Pixels that do not count:
# label_map: {{{others}}}
# ignore: [255]
# One more class, here {name}, which then stands among the classes above, too:
# label_map: {{{others}, 255: {name}}}
"""

PRETRAINED = """\
# From random weights, as {recipe}. To start from pretrained ones put these lines in place of those of these keys below:
# load_ckpt: True
# pretrained_ckpt_path: hf:nvidia/mit-b0
# lr: 6e-5
# head_lr_multiplier: 10.0"""

FIXED = (
    *("backbone", "load_ckpt", "lr", "head_lr_multiplier", "warmup_steps", "ema_decay", "drop_path_rate", "head_dropout_rate"),
    *("eval_loss", "train_log_interval", "keep_checkpoints"),
)
"""Keys whose values are those of the recipe for own data, whatever the dataset is."""


def dataset_yaml(survey: Survey) -> str:
    """A description with a class for each value or colour in the labels: class_0, class_1, …

    255 is ignored beside a row of values. Where it is not plain what it means the file asks, and the values are refused until it
    is answered. Raises UserError if the labels are no labels.
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
    stored: Sequence[Value] = colours or (values if asks else indices)
    total, files = sum(pixels[value] for value in stored), sum(len(facts.records) for facts in survey.splits.values())

    def listed(index: int, value: Value) -> Class:
        which = f"value {value}, " if asks else ""
        remark = f"{which}{pixels[value] / max(total, 1):.2%} of the pixels, in {labels[value]} of {files} labels"
        return Class(f"class_{index}", None if isinstance(value, int) else value, remark)

    classes = tuple(listed(index, value) for index, value in enumerate(stored))
    if asks:
        question = QUESTION.format(first=classes[0].name, name=classes[1].name)
        return Draft(classes, None, INDICES, first_label=None, question=question).text(MADE)
    if colours:
        return Draft(classes, (), COLOURS).text(MADE)
    if in_a_row:
        return Draft(classes, (IGNORED,), INDICES, first_label=indices[0]).text(MADE)
    label_map = {value: one.name for value, one in zip(indices, classes, strict=True)}
    if IGNORED in values:
        others = ", ".join(f"{value}: {name}" for value, name in label_map.items())
        question = QUESTION_AMONG_OTHERS.format(others=others, name=f"class_{len(classes)}")
        return Draft(classes, None, INDICES, first_label=None, question=question).text(MADE)
    return Draft(classes, (IGNORED,), INDICES, label_map=label_map).text(MADE)


def recipe(survey: Survey, choices: Sequence[Choice], path: Path, description: Path | None) -> str:
    """The recipe, a comment with the reason beside each key, for training from random weights."""
    root = survey.layout.root
    runs = f"./runs/{recipe_folder(root)}"
    own = flat(load_config(["--config_path", OWN_RECIPE]))
    without = {"eval_loss"} if any(choice.key == "run_eval" for choice in choices) else set()
    lines = [
        f"{PROPOSED} for {root}: a start, not measured on these data.",
        f"# python -m backend_torch.train --config_path {path}      (or backend_mindspore)",
        f"data_path: {text(root)}",
        *([f"dataset_file: {text(description)}"] if description else []),
        *(line for choice in choices for line in explained(choice)),
        "",
        PRETRAINED.format(recipe=OWN_RECIPE),
        *(f"{key}: {text(own[key])}" for key in FIXED if key not in without),
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
    """A value as YAML."""
    if isinstance(value, str | Path):
        return scalar(str(value))
    return str(value) if isinstance(value, bool) else json.dumps(value)
