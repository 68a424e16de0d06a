"""A compiled graph as MindSpore writes it, read into nodes with the types of what they take and give."""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

BYTES = {"Bool": 1, "Int8": 1, "UInt8": 1, "Float16": 2, "BFloat16": 2, "Int32": 4, "Float32": 4, "Int64": 8, "Float64": 8}
STATEMENT = re.compile(r"^  ((?:%\d+\([^()\n]*\) = |Return\().*(?:\n(?! +: ).*)*)\n +: (.*)", re.MULTILINE)
"""A call, whose constants may need several lines, and the line of its types."""

CALL = re.compile(r"(%\d+)\([^()]*\) = (?:PrimFunc_)?(\w+)\(")
RETURN = "Return("
TYPE = re.compile(r"<([^<>]*)>")
TENSOR = re.compile(r"(?:Ref\[)?Tensor\[(\w+)\]\]?, \(([\d, ]*)\)")
TUPLE = re.compile(r"(?:Tuple|List)\[(.*?)\], (?:Tuple|List)Shape\((.*?)\)(?:, elements_use_flags.*)?")
CLOSES = {")": "(", "]": "[", "}": "{"}


class Tensor(NamedTuple):
    """Its type by MindSpore's name, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * BYTES[self.dtype]


class Node(NamedTuple):
    """`takes` has the tensors of each argument: one, those of a tuple, or none where the argument is a number."""

    name: str
    operator: str
    arguments: tuple[str, ...]
    takes: tuple[tuple[Tensor, ...], ...]
    gives: tuple[Tensor, ...]
    attributes: str = ""

    def flag(self, index: int) -> bool:
        """The argument is the boolean True."""
        return self.arguments[index : index + 1] == ("Bool(1)",)


def read(text: str) -> tuple[list[Node], tuple[str, ...]]:
    """The nodes in their order, and the arguments of the graph's return. Raises ValueError for what it does not understand."""
    nodes: list[Node] = []
    returned: tuple[str, ...] | None = None
    for call, types in STATEMENT.findall(text):
        inside, rest = _until_closed(call.partition("(")[2] if call.startswith(RETURN) else CALL.sub("", call))
        takes, _, gives = types.partition(") -> (")
        if match := CALL.match(call):
            taken = tuple(map(_tensors, TYPE.findall(takes)))
            given = tuple(tensor for one in TYPE.findall(gives) for tensor in _tensors(one))
            nodes.append(Node(match[1], match[2], tuple(_arguments(inside)), taken, given, rest))
        elif returned is None:
            returned = tuple(_arguments(inside))
        else:
            raise ValueError("the graph has more than one return: it calls other graphs, which are not counted")
    stated = sum(map(int, re.findall(r"^Total number of cnodes: (\d+)", text, re.MULTILINE)))
    if returned is None or len(nodes) + 1 != stated:
        raise ValueError(f"{len(nodes)} nodes read of {stated - 1} that the text states")
    return nodes, returned


def _tensors(described: str) -> tuple[Tensor, ...]:
    if match := TENSOR.match(described):
        return (_tensor(*match.groups()),)
    if match := TUPLE.fullmatch(described):
        types: list[str] = []
        for kind in filter(None, match[1].split(",")):
            name, _, times = kind.partition("*")
            types += [name] * int(times or 1)
        shapes = re.findall(r"\([\d, ]*\)|NoShape", match[2])
        if len(types) != len(shapes):
            raise ValueError(f"types and shapes do not fit in <{described}>")
        return tuple(_tensor(kind[7:-1], shape) for kind, shape in zip(types, shapes, strict=True) if kind.startswith("Tensor["))
    return ()


def _tensor(dtype: str, shape: str) -> Tensor:
    return Tensor(dtype, tuple(map(int, re.findall(r"\d+", shape))))


def _until_closed(text: str) -> tuple[str, str]:
    """What stands before the bracket that closes the one before `text`, and what stands behind it."""
    open_brackets = 1
    for place, character in enumerate(text):
        open_brackets += (character in CLOSES.values()) - (character in CLOSES)
        if not open_brackets:
            return text[:place], text[place + 1 :]
    raise ValueError(f"no bracket closes {text[:60]}")


def _arguments(text: str) -> Iterator[str]:
    open_brackets, start = 0, 0
    for place, character in enumerate(text + ","):
        open_brackets += (character in CLOSES.values()) - (character in CLOSES)
        if character == "," and not open_brackets:
            if argument := text[start:place].strip():
                yield argument
            start = place + 1
