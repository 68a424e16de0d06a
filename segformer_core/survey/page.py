"""report.html of a dataset: a page of figures, findings and pictures that needs no network and no other file."""

from collections.abc import Sequence
from typing import Any

from segformer_core.data.classes import IGNORED
from segformer_core.pages.page import css_colour, rendered
from segformer_core.survey.described import summary, text_of
from segformer_core.survey.finding import Finding
from segformer_core.survey.pictures import colour_key, figures, offenders, sheet
from segformer_core.survey.proposal import Choice, recipe_folder, words
from segformer_core.survey.survey import SplitFacts, Survey
from segformer_core.survey.written import text

SIZES = 12
"""Sizes that the page lists, the most frequent."""

IGNORED_ROW = (IGNORED, ("ignored", (0, 0, 0)))
MARK = '<meta name="generator" content="segformer check_dataset">'
"""What tells a page of ours from another report.html."""


def page(survey: Survey, found: Sequence[Finding], choices: Sequence[Choice]) -> str:
    """The page as HTML."""
    wrong = sum(finding.wrong for finding in found)
    return rendered(
        __package__,
        "page",
        as_data(survey, found, choices),
        heading=recipe_folder(survey.layout.root),
        figures=[
            *((f"pairs of {name}", f"{len(facts.records):,}") for name, facts in survey.splits.items()),
            ("classes", "–" if survey.classes is None else str(len(survey.classes))),
            ("wrong", str(wrong)),
            ("hints", str(len(found) - wrong)),
        ],
        summary=summary(survey),
        findings=found,
        columns=columns(survey),
        rows=rows(survey),
        sizes=[(words(size), count) for size, count in survey.sizes.most_common(SIZES)],
        sizes_left=max(len(survey.sizes) - SIZES, 0),
        key=[(name, css_colour(colour)) for name, colour in colour_key(survey)],
        galleries=[
            (sentence, pictures)
            for sentence, records in (*offenders(found), ("Each class where it is largest, then others", sheet(survey)))
            if (pictures := figures(records, survey))
        ],
        choices=[(choice.key, text(choice.value), choice.reason) for choice in choices],
    )


def columns(survey: Survey) -> list[str]:
    """The headings over the rows."""
    if survey.classes is None:
        return ["Value", "Pixels", "Labels"]
    return ["Class", *(word for name in survey.splits for word in (f"Pixels of {name}", "Labels"))]


def rows(survey: Survey) -> list[dict[str, Any]]:
    """A row for each class, or for each stored value if there are no classes: name, CSS colour, and a cell for each split."""
    if survey.classes is None:
        colours, total = dict(colour_key(survey)), max(survey.stored.total(), 1)
        return [
            {
                "index": place,
                "name": text_of(value),
                "colour": css_colour(colours.get(f"value {value}", (0, 0, 0)) if isinstance(value, int) else value),
                "cells": [{"share": pixels / total, "pixels": pixels, "labels": survey.labels_with[value]}],
            }
            for place, (value, pixels) in enumerate(survey.stored.most_common(IGNORED))
        ]
    return [
        {
            "index": index,
            "name": name,
            "colour": css_colour(colour),
            "cells": [_cell(facts, index) for facts in survey.splits.values()],
        }
        for index, (name, colour) in (*enumerate(zip(survey.classes.names, survey.classes.colours, strict=True)), IGNORED_ROW)
    ]


def _cell(facts: SplitFacts, index: int) -> dict[str, Any]:
    pixels = int(facts.pixels[index])
    whole = facts.counted if index != IGNORED else int(facts.pixels.sum())
    return {"share": pixels / max(whole, 1), "pixels": pixels, "labels": int(facts.images[index])}


def as_data(survey: Survey, found: Sequence[Finding], choices: Sequence[Choice]) -> dict[str, Any]:
    """What the page embeds as JSON: the figures, the findings and the proposal."""
    return {
        "format": 1,
        "root": str(survey.layout.root),
        "summary": dict(summary(survey)),
        "classes": rows(survey),
        "findings": [{"wrong": one.wrong, "sentence": one.sentence, "details": list(one.details)} for one in found],
        "proposal": {choice.key: choice.value for choice in choices},
    }
