"""What the values of masks mean: which are classes, which do not count. What is not plain is a question, never a guess."""

from collections.abc import Iterable
from typing import NoReturn

from segformer_core.data.classes import COLOURS, IGNORED, INDICES, Value
from segformer_core.data.colours import RGB
from segformer_core.data.draft import Class, Draft
from segformer_core.errors import DataError, brief
from segformer_core.making.classes import Stated, checked_classes
from segformer_core.making.stored import Seen, colour_of, place, value_of

MOST_UNNAMED = 64
"""Classes that are named by their numbers; more are more likely a photo, or masks with soft edges."""
FEWEST = 2
"""Classes of a data set: the loss of one is always 0."""
SHOWN = 6


def describe(seen: Seen, stated: Stated, suffix: str) -> Draft:
    """dataset.yaml for masks that stay as they are. Raises DataError, also where the user has to say what is meant."""
    description = _described(seen, stated, suffix)
    if len(description.classes) < FEWEST:
        by = "--colours FILE" if description.label_form == COLOURS else "--classes or --label_map"
        raise DataError(
            f"the masks have one class, {brief(description.classes[0].name)}; expected at least two, to tell apart: name the "
            f"others with {by}, and leave the background out of --ignore"
        )
    return description


def _described(seen: Seen, stated: Stated, suffix: str) -> Draft:
    if stated.label_form == COLOURS or (seen.coloured and stated.label_form != INDICES):
        return _colours(seen, stated, suffix)
    if seen.coloured:
        path = next(iter(seen.first.values()))
        raise DataError(f"label_form is indices and {path} holds colours; leave --label_form out")
    if seen.clash and stated.label_form != INDICES:
        raise DataError(
            f"{seen.clash}; if the indices mean the same in all masks, say --label_form indices; if the colours do, say "
            "--label_form colours"
        )
    return _mapped(seen, stated, suffix) if stated.label_map is not None else _counted(seen, stated, suffix)


def _mapped(seen: Seen, stated: Stated, suffix: str) -> Draft:
    label_map = dict(stated.label_map or {})
    classes = stated.classes or checked_classes([Class(name) for name in dict.fromkeys(label_map.values())], "--label_map")
    names = {one.name for one in classes}
    strange = [name for name in label_map.values() if name not in names]
    if strange:
        raise DataError(
            f"the label map leads to {strange[0]!r}, which is no class of {stated.source}; the classes are {_names(classes)}"
        )
    ignore = _ignored_indices(stated)
    if ignore is None:
        ignore = () if IGNORED in label_map else (IGNORED,)
    both = [value for value in ignore if value in label_map]
    if both:
        raise DataError(f"value {both[0]} is ignored and is {label_map[both[0]]!r} in the label map; keep one of them")
    _refuse_others(seen, {*label_map, *ignore}, "in neither the label map nor ignored; add it to --label_map or to --ignore")
    return Draft(_coloured(classes, seen, label_map), ignore, INDICES, suffix, label_map=label_map)


def _counted(seen: Seen, stated: Stated, suffix: str) -> Draft:
    ignore = _ignored_indices(stated)
    values = set(seen.first)
    first = stated.first_label or 0
    classes = stated.classes
    if ignore is None:
        rest = values - {IGNORED}
        known = set(range(first, first + len(classes))) if classes else set(range(max(rest, default=0) + 1))
        if IGNORED in values and not (known and known >= rest and len(rest) > 1 and (classes or rest >= known - {0})):
            _ask(sorted(rest), classes)
        ignore = (IGNORED,)
    rest = values - set(ignore)
    if not rest:
        raise DataError(f"all masks hold ignored values alone ({_list(values)}); expected at least one class")
    if classes is None:
        if len(rest) == 1:
            but = " but for what is ignored" if len(values) > 1 else ""
            raise DataError(
                f"all masks hold the value {min(rest)} alone{but}; there is nothing to tell apart: see what they are, or name "
                "the classes with --classes"
            )
        if len(rest) > MOST_UNNAMED:
            raise DataError(
                f"the masks hold {len(rest)} different values, such as {_list(rest)}; are they photos, or have soft edges? If "
                "each is a class, name them with --classes or --dataset_file"
            )
        classes = tuple(Class(f"class_{value}") for value in sorted(rest))
        if sorted(rest) != list(range(len(rest))):
            label_map = {value: f"class_{value}" for value in sorted(rest)}
            return Draft(_coloured(classes, seen, label_map), ignore, INDICES, suffix, label_map=label_map)
    range_of = range(first, first + len(classes))
    both = [value for value in ignore if value in range_of]
    if both:
        hint = f": are the labels 1 to {len(classes)}, say --first_label 1" if both == [0] else ""
        name = classes[both[0] - first].name
        raise DataError(f"value {both[0]} is ignored and is the label of class {name!r}; take it out of --ignore{hint}")
    over = f"no class of {len(classes)}, {range_of[0]} to {range_of[-1]}, and not ignored"
    if max(rest) == len(classes) and first == 0:
        hint = f"if the labels are 1 to {len(classes)}, say --first_label 1" + (" --ignore 0" if 0 in rest else "")
    else:
        hint = "name all classes, or say what the values mean with --label_map or --ignore"
    _refuse_others(seen, {*range_of, *ignore}, f"{over}; {hint}")
    names = {value: classes[value - first].name for value in range_of}
    return Draft(_coloured(classes, seen, names), ignore, INDICES, suffix, first_label=first)


def _ignored_indices(stated: Stated) -> tuple[int, ...] | None:
    indices = tuple(value for value in stated.ignore or () if isinstance(value, int))
    if len(indices) < len(stated.ignore or ()):
        raise DataError("a colour is ignored and the masks store indices; give the index in its place, as --ignore 255")
    return None if stated.ignore is None else indices


def _ask(rest: list[int], classes: tuple[Class, ...] | None) -> NoReturn:
    """The question whether 255 is a class."""
    shown = [*(rest[:SHOWN] or [0]), IGNORED]
    names = [one.name for one in classes or ()]
    if len(names) != len(shown):
        names = ["background" if value == 0 else f"name{value}" for value in shown[:-1]] + ["object"]
    example = ",".join(f"{value}:{name}" for value, name in zip(shown, names, strict=True))
    raise DataError(
        f"the masks hold {', '.join(map(str, rest[:SHOWN]))}{' and ' if rest else ''}255, and 255 is either a class or does not "
        f"count: if it is a class, say --label_map {example}{'' if classes else ' with your own names'}; if it does not count, "
        "say --ignore 255"
    )


def _refuse_others(seen: Seen, known: Iterable[Value], why: str) -> None:
    others = sorted(set(seen.first) - set(known))
    if others:
        value = others[0]
        path = seen.first[value]
        more = f" ({len(others)} such values: {_list(others)})" if len(others) > 1 else ""
        raise DataError(f"{path} has value {value} at {place(path, value)}, which is {why}{more}")


def _coloured(classes: tuple[Class, ...], seen: Seen, names: dict[int, str]) -> tuple[Class, ...]:
    """The classes with the palette's colours where they have none. Raises DataError if the palette has another order."""
    of_colour = {one.colour: one.name for one in classes if one.colour}
    palette: dict[str, RGB] = {}
    for value, (colour, path) in seen.palette.items():
        name = names.get(value)
        other = of_colour.get(colour, name)
        if name and other != name:
            raise DataError(
                f"{path} shows label {value} in the colour of {other!r}, {colour}, and label {value} is {name!r}; list the "
                "classes in the order of the indices"
            )
        if name:
            palette.setdefault(name, colour)
    used: set[RGB | None] = {*of_colour}
    filled = []
    for one in classes:
        colour_found = one.colour or palette.get(one.name)
        if not one.colour and colour_found in used:
            colour_found = None
        used.add(colour_found)
        filled.append(Class(one.name, colour_found))
    return tuple(filled)


def _colours(seen: Seen, stated: Stated, suffix: str) -> Draft:
    if stated.label_map is not None or stated.first_label:
        what = "a label map" if stated.label_map is not None else "first_label"
        raise DataError(
            f"{what} is given, which is for indices, and the masks store colours; leave it out, and name the colours' classes "
            "with --colours FILE"
        )
    ignore = tuple(value for value in stated.ignore or () if not isinstance(value, int))
    if len(ignore) < len(stated.ignore or ()):
        raise DataError("an index is ignored and the masks store colours; give the colour in its place, as --ignore 0,0,0")
    values = seen.first
    rest = {value for value in values if colour_of(value) not in ignore}
    classes = stated.classes
    if classes is None:
        if len(rest) > MOST_UNNAMED:
            raise DataError(
                f"the masks hold {len(rest)} different colours; are they photos, or have soft edges? If each is a class, name "
                "them with --colours FILE"
            )
        classes = tuple(Class(f"class_{index}", colour_of(value)) for index, value in enumerate(sorted(rest)))
    lacking = [one.name for one in classes if one.colour is None]
    if lacking:
        raise DataError(
            f"the masks hold colours and {stated.source} names none for {lacking[0]!r}; give a file of lines `name r g b` as "
            "--colours"
        )
    names = {value_of(one.colour): one.name for one in classes if one.colour}
    if len(names) < len(classes):
        raise DataError(f"{stated.source} gives two classes one colour; expected a colour for each")
    both = [names[value_of(colour)] for colour in ignore if value_of(colour) in names]
    if both:
        raise DataError(f"the colour of {both[0]!r} is ignored, too; take it out of --ignore")
    others = sorted(rest - names.keys())
    if others:
        red, green, blue = colour_of(others[0])
        path = values[others[0]]
        where = place(path, others[0], coloured=True)
        more = f" ({len(others)} such colours)" if len(others) > 1 else ""
        raise DataError(
            f"{path} has the colour {red},{green},{blue} at {where}, which is no class of {stated.source} and "
            f"not ignored{more}; add it there, or say --ignore {red},{green},{blue}"
        )
    return Draft(classes, ignore, COLOURS, suffix)


def _names(classes: tuple[Class, ...]) -> str:
    return ", ".join(one.name for one in classes[:SHOWN]) + (", …" if len(classes) > SHOWN else "")


def _list(values: Iterable[int]) -> str:
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:SHOWN])) + (", …" if len(ordered) > SHOWN else "")
