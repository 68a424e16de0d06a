"""What an answer to a warning of MindSpore's documentation is, and the answers that fit every operator."""

from typing import NamedTuple


class Note(NamedTuple):
    """The answer to sentences that warn.

    `says` has a part of each sentence, `answer` the reason why it does no harm, `calls` a pattern that every call of the operator
    must match, and `takes` the operands, by position, whose types must be among those that the sentence names. `only` is the
    version of MindSpore whose documentation alone has the sentences.
    """

    says: tuple[str, ...]
    answer: str
    calls: str = ""
    takes: tuple[int, ...] = ()
    only: str = ""


OLDEST, NEWEST = "2.7", "2.10"

COMPILED = "the compiler would refuse it, and the graph is compiled"
PERMITS = "it permits something, or says what the operator does"
TYPES = "the types are held against those that it names"
A_VERSION = "pyproject.toml admits a version of MindSpore after the graphs were compiled with it"

ONE_RESULT = r"^\(%?[^%\n]*(\n|$)"
"""No operand but the first is a result of the graph: the others are constants."""
SHAPE = r"\([-\d, ]*\)"
FIRST = rf": \(<(?:Ref\[)?Tensor\[(\w+)\]\]?, {SHAPE}[^>]*>, "
SECOND_TENSOR = rf"{FIRST}<(?:Ref\[)?Tensor"
SAME_TYPE = rf"{FIRST}<(?:Ref\[)?Tensor\[\1\]"
NO_TWO_BOOLS = r"(?s)^(?!.*: \(<(?:Ref\[)?Tensor\[Bool\][^>]*>, <(?:(?:Ref\[)?Tensor\[Bool\]|Bool,))"
A_TENSOR = r"\n *: \(.*Tensor.*\) -> "

KINDS = [
    Note(("implicit type conversion rules", "Support implicit type conversion"), PERMITS),
    Note(("implicit type conversion and type promotion", "Broadcasting is supported", "Support broadcast"), PERMITS),
    Note(("Supports implicit type conversion",), PERMITS, only=NEWEST),
    Note(("a NaN, then that element is returned",), PERMITS),
    Note(("bool type at the same time", "be bool at the same time", "both be bool"), "there are not two of them", NO_TWO_BOOLS),
    Note(
        ("One of the two inputs must be a Tensor", "Inputs must be two tensors or one tensor and"), "there is a tensor", A_TENSOR
    ),
    Note(("should be a Tensor or a Scalar",), "there is a tensor", A_TENSOR, only=NEWEST),
    Note(("The input must be two Tensors, or a Tensor and a Scalar",), "there is a tensor", A_TENSOR, only=OLDEST),
    Note(("the scalar could only be a constant",), "there are two tensors", SECOND_TENSOR),
    Note(("the scalar can only be a constant",), "there are two tensors", SECOND_TENSOR, only=NEWEST),
    Note(("Only constant value is allowed", "is only used for compatibility"), "it is a constant", ONE_RESULT),
    Note(("Only a constant value is allowed",), "it is a constant", ONE_RESULT, only=NEWEST),
    Note(("Default: ``mstype.int32``", "Default: ``mindspore.float32``"), "it is given"),
    Note(("This is an experimental API that is subject to change or deletion",), A_VERSION),
    Note(
        (
            "fter version 2.9.0",
            "Please use `mindspore.ops.floor_divide` instead",
            "The parameter `",
            "The new signature will be",
            "The signature will change to",
            "The existing ``mindspore.ops.add(input, other)`` call pattern",
            "This is a compatible change",
            "The `alpha` parameter is a scalar multiplier",
            "This change is backward-compatible",
        ),
        f"it is said of the Python function that makes the operator; {A_VERSION}",
        only=NEWEST,
    ),
    Note(("Error: ", "able to broadcast", "must be broadcastable", "could be broadcast", "supposed to be broadcast"), COMPILED),
    Note(("can be broadcasted", "ust be in the range"), COMPILED),
]
"""Answers for every operator, after its own in `ascend_notes.py`."""
