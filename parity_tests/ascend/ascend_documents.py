"""What MindSpore's documentation says of an operator on an Ascend, and tables of what it leaves out."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

OPERATORS = ("ops", "ops.operations", "ops.auto_generate", "ops.operations._grad_ops", "ops.operations._inner_ops")
"""Where operators are documented, the public place first."""

FUNCTIONS = ("ops", "ops.auto_generate")
"""Where the functions are that an operator's documentation refers to."""

GRADIENT = re.compile(r"(\w+?)(Grad|BackpropInput|BackpropFilter)")
FORWARD = {"Relu": "ReLU", "ResizeBilinear": "ResizeBilinearV2"}
"""The operator that a gradient belongs to, where it is not what is left of the gradient's name."""

MADE_OF = {"MatMulExt": "matmul", "Muls": "mul", "Divs": "div", "EqScalar": "eq", "LessScalar": "less"}
"""Operators without documentation of their own, and the function that becomes one, if its second operand is a number."""

STRUCTURE = {
    "MakeTuple": "several values as one",
    "make_list": "several values as one",
    "TupleGetItem": "one of several values",
    "Load": "a parameter's value",
    "UpdateState": "the order of side effects",
}
"""Nodes of the graph itself: they compute nothing, so no device has kernels for them."""

UNDOCUMENTED = {
    "TensorMove": "a copy of a weight that the same graph changes later; MindSpore puts it in by itself, whatever the device",
}
"""Operators that no documentation mentions, with the reason why an Ascend has them all the same."""


class Note(NamedTuple):
    """Sentences about Ascend by a part of each, why they do no harm, and what every call in a graph matches for that."""

    says: tuple[str, ...]
    answer: str
    calls: str = ""


NOTES = {
    "AllReduce": [Note(("hccl_world_group",), "a name")],
    "BatchNorm": [Note(("Ascend 310",), "a card for inference, where BatchNorm is folded into the product before it")],
    "BiasAdd": [Note(("- Ascend/CPU:",), "all types of number")],
    "Conv2D": [
        Note(
            ("only group convolution in depthwise convolution scenarios is supported",),
            "one group, or one a channel",
            r" group: I64\(1\)| out_channel: I64\((\d+)\).* group: I64\(\1\)",
        )
    ],
    "Gather": [Note(("the results may be undefined",), "outside the bounds, where neither a label nor a clamped rank is")],
    "GeLU": [Note(("value of infinity", "x is -inf", "x is inf", "higher precision"), "an overflow's gradient is not used")],
    "LayerNorm": [
        Note(("`begin_params_axis` needs to be equal to",), "both are the last axis", r"%\d+, I64\((-?\d+)\), I64\(\1\)")
    ],
    "MatMul": [Note(("float64",), "there is none", r"^(?!.*Float64)")],
    "MatMulExt": [Note(("rank of `input` or `other`",), "1 to 6: weights of the decode head have two axes, biases one")],
    "OneHot": [Note(("`on_value` is Int64",), "it is float32")],
    "Sort": [Note(("only supports sorting the last dimension",), "it is the last", r"axis: I64\(-1\)")],
    "Tile": [Note(("more than 4 dimensions",), "a map has four", r", \(I64\(\d+\)(, I64\(\d+\)){0,3}\)")],
    "Transpose": [Note(("Negative value of",), "there is none", r", \(I64\(\d+\)(, I64\(\d+\))*\)")],
}


def unsupported(operators: Iterable[str]) -> list[str]:
    """A line for each operator that is documented for other devices only, or in no document and no table."""
    return [f"{operator}: {problem}" for operator in sorted(set(operators)) if (problem := _problem(operator))]


def _problem(operator: str) -> str | None:
    if operator in STRUCTURE or operator in UNDOCUMENTED:
        return None
    named = platforms(operator)
    if named is None:
        return "in no documentation and in no table of parity_tests/ascend/ascend_documents.py"
    return None if "Ascend" in named else f"documented for {', '.join(named) or 'no device any more'}"


def unanswered(calls: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each sentence about Ascend that is not in NOTES, and for each (operator, call) that is not as NOTES says."""
    calls = list(calls)
    found = []
    for operator in sorted({operator for operator, _ in calls}):
        known = NOTES.get(operator, [])
        for sentence in sentences(operator):
            if not any(part in sentence for note in known for part in note.says):
                found.append(f"{operator}: not in NOTES of parity_tests/ascend/ascend_documents.py: {sentence}")
    for operator, call in calls:
        for note in NOTES.get(operator, []):
            if not re.search(note.calls, call):
                found.append(f"{operator}: {note.answer}, says NOTES of {note.says[0]!r}, but here is {call}")
    return found


def platforms(operator: str) -> tuple[str, ...] | None:
    """Those that the documentation names, of the operator or else of what it is the gradient of; None if there is none."""
    named = _named(operator)
    if not named and (gradient := GRADIENT.fullmatch(operator)):  # alone, a gradient's class may be deprecated
        return _named(FORWARD.get(gradient[1], gradient[1]))
    return named


def _named(operator: str) -> tuple[str, ...] | None:
    for text in documents(operator):
        if found := re.search(r"Supported Platforms:\s+(.*)", text):
            return tuple(re.findall(r"``(\w+)``", found[1]))
    return None


def sentences(operator: str) -> list[str]:
    """Those about Ascend in an operator's documentation."""
    found = []
    for text in documents(operator):
        text = re.sub(r"Supported Platforms:\s+.*", "", text.partition("Examples:")[0])
        parts = (" ".join(part.split()) for part in re.split(r"(?<=[.:])\s+|\n\s*\n", text))
        found += [part for part in parts if "Ascend" in part and part not in found]
    return found


@cache
def documents(operator: str) -> tuple[str, ...]:
    """The operator's own documentation, then that of the functions it refers to or is made of."""
    own = list(_texts(operator, OPERATORS))
    functions = [name for text in own for name in re.findall(r"Refer to :func:`mindspore\.(?:ops\.)?([\w.]+)`", text)]
    functions += [MADE_OF[operator]] if operator in MADE_OF else []
    return (*own, *(text for name in functions for text in _texts(name, FUNCTIONS)))


def _texts(name: str, places: Iterable[str]) -> Iterator[str]:
    import mindspore.ops.auto_generate
    import mindspore.ops.operations._grad_ops
    import mindspore.ops.operations._inner_ops

    for place in places:
        found = mindspore
        for part in f"{place}.{name}".split("."):
            found = getattr(found, part, object)
        if found is not object and found.__doc__:
            yield found.__doc__
