"""What MindSpore's documentation says about an operator on an Ascend, and tables of what it leaves out."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

OPERATORS = ("ops", "ops.operations", "ops.auto_generate", "ops.operations._grad_ops", "ops.operations._inner_ops")
"""The modules that document operators, the public one first."""

FUNCTIONS = ("ops", "ops.auto_generate", "mint.nn.functional")
"""The modules of the functions that an operator's documentation refers to."""

GRADIENT = re.compile(r"(\w+?)(Grad|BackpropInput|BackpropFilter)(?:Ext)?")
FORWARD = {"Relu": "ReLU", "Gelu": "GeluExt"}
"""The forward operator of a gradient, where it is not the gradient's name without its ending."""

MADE_OF = {"MatMulExt": "matmul", "GeluExt": "gelu", "Muls": "mul", "Divs": "div", "EqScalar": "eq", "LessScalar": "less"}
"""Operator without documentation of its own -> the function that becomes this operator if its second operand is a number."""

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
    """Sentences about Ascend that do no harm here.

    `says` is a part of each sentence, `answer` the reason why it does no harm, `calls` a pattern that every call must match.
    """

    says: tuple[str, ...]
    answer: str
    calls: str = ""


STATUS = "it is cleared before the first operator of a step, and read after its gradients"

NOTES = {
    "AllReduce": [Note(("hccl_world_group",), "a name")],
    "BatchNorm": [Note(("Ascend 310",), "a card for inference, where BatchNorm is folded into the linear layer before it")],
    "BiasAdd": [Note(("- Ascend/CPU:",), "it names all numeric types")],
    "Conv2D": [
        Note(
            ("only group convolution in depthwise convolution scenarios is supported",),
            "one group, or one group per channel",
            r" group: I64\(1\)| out_channel: I64\((\d+)\).* group: I64\(\1\)",
        )
    ],
    "Gather": [Note(("the results may be undefined",), "that is outside the bounds; labels are inside")],
    "GeLU": [Note(("value of infinity", "x is -inf", "x is inf", "higher precision"), "gradients of an overflow are not used")],
    "GeluExt": [Note(("is :math:",), "gradients of an overflow are not used")],
    "LayerNorm": [
        Note(("`begin_params_axis` needs to be equal to",), "both are the last axis", r"%\d+, I64\((-?\d+)\), I64\(\1\)")
    ],
    "MatMul": [Note(("float64",), "there is none", r"^(?!.*Float64)")],
    "MatMulExt": [Note(("rank of `input` or `other`",), "1 to 6: weights of the decode head have two axes, biases one")],
    "NPUClearFloatStatusV2": [Note(("located in a register",), STATUS)],
    "NPUGetFloatStatusV2": [Note(("located in a register",), STATUS)],
    "OneHot": [Note(("`on_value` is Int64",), "it is float32")],
    "Tile": [Note(("more than 4 dimensions",), "a map has four", r", \(I64\(\d+\)(, I64\(\d+\)){0,3}\)")],
    "Transpose": [Note(("Negative value of",), "there is none", r", \(I64\(\d+\)(, I64\(\d+\))*\)")],
}


def unsupported(operators: Iterable[str]) -> list[str]:
    """A line for each operator that is documented for other devices only, or that no document and no table mentions."""
    return [f"{operator}: {problem}" for operator in sorted(set(operators)) if (problem := _problem(operator))]


def _problem(operator: str) -> str | None:
    if operator in STRUCTURE or operator in UNDOCUMENTED:
        return None
    devices = platforms(operator)
    if devices is None:
        return "in no documentation and in no table of parity_tests/ascend/ascend_documents.py"
    return None if "Ascend" in devices else f"documented for {', '.join(devices) or 'no device any more'}"


def unanswered(calls: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each sentence about Ascend that NOTES lacks, and for each (operator, call) that does not match NOTES."""
    calls = list(calls)
    problems = []
    for operator in sorted({operator for operator, _ in calls}):
        notes = NOTES.get(operator, [])
        for sentence in sentences(operator):
            if not any(part in sentence for note in notes for part in note.says):
                problems.append(f"{operator}: not in NOTES of parity_tests/ascend/ascend_documents.py: {sentence}")
    for operator, call in calls:
        for note in NOTES.get(operator, []):
            if not re.search(note.calls, call):
                problems.append(f"{operator}: NOTES answers {note.says[0]!r} with {note.answer!r}, but the graph has {call}")
    return problems


def platforms(operator: str) -> tuple[str, ...] | None:
    """The devices that the operator's documentation names, or else that of its forward operator. None without documentation."""
    devices = _documented_platforms(operator)
    if not devices and (gradient := GRADIENT.fullmatch(operator)):  # the gradient's class alone may be deprecated
        return _documented_platforms(FORWARD.get(gradient[1], gradient[1]))
    return devices


def _documented_platforms(operator: str) -> tuple[str, ...] | None:
    for text in documents(operator):
        if match := re.search(r"Supported Platforms:\s+(.*)", text):
            return tuple(re.findall(r"``(\w+)``", match[1]))
    return None


def sentences(operator: str) -> list[str]:
    """The sentences about Ascend in an operator's documentation, each once."""
    about_ascend: list[str] = []
    for text in documents(operator):
        text = re.sub(r"Supported Platforms:\s+.*", "", text.partition("Examples:")[0])
        parts = (" ".join(part.split()) for part in re.split(r"(?<=[.:])\s+|\n\s*\n", text))
        about_ascend += [part for part in parts if "Ascend" in part and part not in about_ascend]
    return about_ascend


@cache
def documents(operator: str) -> tuple[str, ...]:
    """The operator's own documentation, then that of the functions that it refers to or that become it."""
    own = list(_texts(operator, OPERATORS))
    functions = [name for text in own for name in re.findall(r"Refer to :func:`mindspore\.(?:ops\.)?([\w.]+)`", text)]
    functions += [MADE_OF[operator]] if operator in MADE_OF else []
    return (*own, *(text for name in functions for text in _texts(name, FUNCTIONS)))


def _texts(name: str, places: Iterable[str]) -> Iterator[str]:
    import mindspore.ops.auto_generate
    import mindspore.ops.operations._grad_ops
    import mindspore.ops.operations._inner_ops

    for place in places:
        member = mindspore
        for part in f"{place}.{name}".split("."):
            member = getattr(member, part, object)
        if member is not object and member.__doc__:
            yield member.__doc__
