"""As much of JSON Schema 2020-12 as the sidecar's schema uses; a keyword that is not known here is an error."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
SAID_ONLY = {"$schema", "$id", "$defs", "title", "description"}


def faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Each way in which the value is not as the schema says, with its place.

    Stricter than JSON Schema in one thing: a field that `properties` does not name is a fault, too.
    """
    for keyword, wanted in schema.items():
        if keyword not in SAID_ONLY:
            yield from KEYWORDS[keyword](value, wanted, schema, root, place)


def _type(value, wanted, schema, root, place):
    names = wanted if isinstance(wanted, list) else [wanted]
    if not any(isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool)) for name in names):
        yield f"{place}: {value!r} is no {' or '.join(names)}"


def _properties(value, wanted, schema, root, place):
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in wanted:
            yield from faults(inner, wanted[name], root, f"{place}/{name}")
        elif "additionalProperties" not in schema:
            yield f"{place}: the schema does not know {name}"


def _additional(value, wanted, schema, root, place):
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name not in schema.get("properties", {}):
            yield from faults(inner, wanted, root, f"{place}/{name}")


def _items(value, wanted, schema, root, place):
    for index, inner in enumerate(value if isinstance(value, list) else ()):
        yield from faults(inner, wanted, root, f"{place}/{index}")


def _any_of(value, wanted, schema, root, place):
    if all(any(True for _ in faults(value, one, root, place)) for one in wanted):
        yield f"{place}: {value!r} is none of {len(wanted)} forms"


def _ref(value, wanted, schema, root, place):
    yield from faults(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, place)


def _asserted(holds):
    def check(value, wanted, schema, root, place):
        if not holds(value, wanted):
            yield f"{place}: {value!r}; expected {wanted!r}"

    return check


KEYWORDS = {
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "anyOf": _any_of,
    "$ref": _ref,
    "required": lambda value, wanted, schema, root, place: (
        f"{place}: no {name}" for name in wanted if not isinstance(value, dict) or name not in value
    ),
    "const": _asserted(lambda value, wanted: value == wanted and type(value) is type(wanted)),
    "enum": _asserted(lambda value, wanted: value in wanted),
    "pattern": _asserted(lambda value, wanted: isinstance(value, str) and re.search(wanted, value) is not None),
    "minLength": _asserted(lambda value, wanted: len(value) >= wanted),
    "minItems": _asserted(lambda value, wanted: len(value) >= wanted),
    "maxItems": _asserted(lambda value, wanted: len(value) <= wanted),
    "minimum": _asserted(lambda value, wanted: value >= wanted),
    "maximum": _asserted(lambda value, wanted: value <= wanted),
}
