"""The classes of annotations, and what a pixel without one is. What is not plain is a question, never a guess."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from segformer_core.data.classes import IGNORED, INDICES
from segformer_core.data.draft import Class, Draft
from segformer_core.errors import DataError, brief
from segformer_core.making.classes import Stated, checked_classes
from segformer_core.making.drawing import Counts
from segformer_core.making.example import Found
from segformer_core.making.naming import FEWEST

BACKGROUND, NAMES_OF_BACKGROUND = "background", ("background", "_background_")
ALWAYS_IGNORED = frozenset(["__ignore__"])
"""labelme's word for what does not count."""
IGNORE = "ignore"
SHOWN = 6


@dataclass(frozen=True)
class Plan:
    """The classes, the label of each name (255: does not count) and of pixels without an annotation.

    `unsaid`: nobody said what those pixels are; there may be none.
    """

    classes: tuple[Class, ...]
    index: dict[str, int]
    bare: int
    unsaid: bool = False

    def draft(self) -> Draft:
        return Draft(self.classes, (IGNORED,), INDICES)


def plan(found: Found, stated: Stated, ignored: Collection[str], unlabelled: str | None) -> Plan:
    """`ignored` are names that do not count; `unlabelled` is a class, or ignore. Raises UserError."""
    names = {one.name for one in found.classes} | found.used
    strange = sorted(set(ignored) - names)
    if strange:
        raise DataError(f"--ignore {strange[0]} names no class of the annotations; they have {_list(names)}")
    left_out = {*ALWAYS_IGNORED, *ignored}
    classes = tuple(one for one in stated.classes or found.classes if one.name not in left_out)
    unknown = sorted(found.used - left_out - {one.name for one in classes})
    if unknown and unlabelled not in unknown:
        raise DataError(
            f"there are annotations of {brief(unknown[0])}, which is no class of {stated.source} "
            f"({_list(one.name for one in classes)}); add it, or say --ignore {unknown[0]}"
        )
    known = [one.name for one in classes]
    if unlabelled is None:
        bare = next((name for each in NAMES_OF_BACKGROUND if (name := _spelt(each, known)) in known), None)
    else:
        bare = unlabelled if unlabelled == IGNORE else _spelt(unlabelled, known)
    unsaid = bare is None and stated.classes is not None
    if bare is None and not unsaid:
        bare = BACKGROUND
    if bare not in (None, IGNORE, *known):
        if stated.classes is not None:
            raise DataError(f"--unlabelled {bare} is no class of {stated.source} ({_list(known)}); add it there, or say {IGNORE}")
        classes = (Class(str(bare)), *classes)
    if len(classes) < FEWEST:
        kept = f"one class, {brief(classes[0].name)}" if classes else "no class"
        if bare in (None, IGNORE):
            hint = f"say --unlabelled {BACKGROUND} if the pixels without an annotation are one"
            hint += f", and add it to {stated.source}" if stated.classes is not None else ""
        else:
            hint = "annotate another one, or take one out of --ignore"
        raise DataError(f"the annotations have {kept}; expected at least two, to tell apart: {hint}")
    classes = checked_classes(classes, stated.source or "the annotations")
    index = {one.name: label for label, one in enumerate(classes)}
    label = IGNORED if bare in (None, IGNORE) else index[str(bare)]
    return Plan(classes, index | dict.fromkeys(left_out, IGNORED), label, unsaid)


def _spelt(name: str, known: Collection[str]) -> str:
    """The name as one of the known is spelt, whatever its capital letters; itself if none is so."""
    return name if name in known else next((one for one in known if one.casefold() == name.casefold()), name)


def ask_of_bare(the_plan: Plan, counts: Counts) -> None:
    """Raises DataError, the question what pixels without an annotation are, if there are any and nobody said it."""
    if the_plan.unsaid and counts.bare:
        raise DataError(
            f"{share(counts.bare, counts.pixels)} of the pixels have no annotation, and none of the classes "
            f"({_list(one.name for one in the_plan.classes)}) is background: if they do not count, say --unlabelled {IGNORE}; if "
            "they are a class, add it to the classes and say --unlabelled NAME"
        )


def said_of_bare(the_plan: Plan, counts: Counts, unlabelled: str | None) -> str:
    """A sentence for the log."""
    if the_plan.bare == IGNORED:
        return f"{share(counts.bare, counts.pixels)} of the pixels have no annotation and do not count"
    name = the_plan.classes[the_plan.bare].name
    other = "" if unlabelled else f"; if they should not count, say --unlabelled {IGNORE}"
    return f"{share(counts.bare, counts.pixels)} of the pixels have no annotation and are {name}{other}"


def share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.3g} %"


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:SHOWN]) + (", …" if len(ordered) > SHOWN else "")
