"""What MindSpore's documentation finds: operators that an Ascend lacks, warnings without an answer, answers that are stale."""

import pytest

from parity_tests.ascend.ascend_documents import (
    MADE_OF,
    STRUCTURE,
    UNDOCUMENTED,
    documents,
    platforms,
    stale,
    unanswered,
    unsupported,
    warnings,
)
from parity_tests.ascend.ascend_note_kinds import KINDS, Note
from parity_tests.ascend.ascend_notes import NOTES

PROBLEMS = {
    "Lstsq": "documented for CPU",
    "Cholesky": "documented for GPU, CPU",
    "LSTMGrad": "documented for GPU, CPU",
    "BasicLSTMCell": "documented for no device any more",
    "NoSuchOperator": "in no documentation and in no table of parity_tests/ascend/ascend_documents.py",
}
"""Operators that must not be in a graph -> the expected message about them."""


@pytest.mark.parametrize("operator", PROBLEMS)
def test_an_operator_that_ascend_lacks_is_found(operator, need_mindspore):
    assert unsupported(["Conv2D", operator, "MakeTuple"]) == [f"{operator}: {PROBLEMS[operator]}"]


TRANSPOSE = "(%1, (I64(0), I64(2), I64(1)))\n : (<Tensor[Float16], (2, 3, 4)>) -> (<Tensor[Float16], (2, 4, 3)>)"
SORT = "(%1) {output_names: [y1, y2], axis: I64(1)} {}\n : (<Tensor[Float32], (5, 9)>) -> (<Tuple[Tensor[Float32]*2]>)"
CALLS = {
    "Transpose": TRANSPOSE,
    "Sort": SORT,
    "Softmax": "(%1, (I64(-1)))\n : (<Tensor[Float32], (2, 3)>, <Tuple[Int64]>) -> (<Tensor[Float32], (2, 3)>)",
    "ReluGrad": "(%1, %2)\n : (<Tensor[Float32], (2)>, <Tensor[Float32], (2)>) -> (<Tensor[Float32], (2)>)",
    "GeLUGrad": "(%1, %2)\n : (<Tensor[Float16], (2)>, <Tensor[Float16], (2)>) -> (<Tensor[Float16], (2)>)",
}
"""Operator -> a call that all answers fit."""


@pytest.mark.parametrize("operator", CALLS)
def test_a_call_that_fits_its_answers_has_no_problem(operator, need_mindspore):
    assert unanswered([(operator, CALLS[operator])]) == []


@pytest.mark.parametrize(
    ("operator", "fits", "does_not", "problem"),
    [
        ("Transpose", "I64(2)", "I64(-2)", "is not supported on Ascend.' is answered with 'there is none', but not"),
        ("Sort", "axis: I64(1)", "axis: I64(0)", "only supports sorting the last dimension.' is answered with"),
        ("Softmax", "<Tensor[Float32]", "<Tensor[BFloat16]", "but BFloat16 is not documented in"),
        ("GeLUGrad", "%2)\n : (<Tensor[Float16]", "%2)\n : (<Tensor[BFloat16]", "but BFloat16 is not documented in"),
    ],
)
def test_a_call_that_breaks_a_documented_limit_is_found(operator, fits, does_not, problem, need_mindspore):
    """A gradient is held against the types of its forward operator, too."""
    assert fits in CALLS[operator]
    problems = unanswered([(operator, CALLS[operator].replace(fits, does_not))])
    assert any(problem in line for line in problems), problems


@pytest.mark.parametrize(
    ("operator", "sentence"),
    [
        ("Transpose", "is not supported on Ascend."),
        ("Sort", "If use float32, it may cause loss of accuracy."),
        ("Softmax", "with float16 or float32 data type."),
        ("GatherD", "On Ascend, the behavior is unpredictable in the following cases"),
        ("GeLUGrad", "In mathematical terms, Ascend's result has higher precision."),
    ],
)
def test_a_warning_without_an_answer_is_found(operator, sentence, need_mindspore, monkeypatch):
    """Of the operator's own documentation, of a function that it refers to, and of its forward operator."""
    assert any(sentence in line for line in warnings(operator))
    monkeypatch.delitem(NOTES, "GeLU" if operator == "GeLUGrad" else operator)
    problems = unanswered([(operator, CALLS.get(operator, "(%1)"))])
    start = f"{operator}: not in NOTES of parity_tests/ascend/ascend_notes.py: "
    assert any(line.startswith(start) and sentence in line for line in problems), problems


def test_the_function_of_another_name_is_read(need_mindspore):
    assert any("the shapes of them could be broadcast" in sentence for sentence in warnings("NotEqual"))


DOCUMENT = """
    Sorts.

    .. math::
        must

    Note:
        - One
          line.

    Args:
        axis (int): The axis. It can be any. It must be the last. Note: see below.
        note (int): Any number.
        Note: Two. Three.
        other (int): Five.
        Note: Six.
        It ends here.

    Returns:
        Tensor, which must be float32.

        .. warning::
            Four

    Raises:
        ValueError: If it is empty.

    Supported Platforms:
        ``Ascend``

    Examples:
        >>> must
"""


def test_what_a_warning_is(monkeypatch):
    monkeypatch.setattr("parity_tests.ascend.ascend_documents.documents", {"Sort": (DOCUMENT,)}.get)
    found = warnings.__wrapped__("Sort")  # what it remembers is of the real one
    assert found == ("- One line.", "It must be the last.", "Two.", "Three.", "Six.", "Four", "ValueError: If it is empty.")


def test_a_stale_answer_is_found(need_mindspore, monkeypatch):
    operators = {"Sort"}
    before = stale(operators, "0.2")
    monkeypatch.setitem(NOTES, "Sort", [*NOTES["Sort"], Note(("no such sentence",), ""), Note(("nor this",), "", only="0.1")])
    monkeypatch.setitem(NOTES, "NoSuchOperator", [Note(("accuracy",), "")])
    monkeypatch.setattr("parity_tests.ascend.ascend_documents.KINDS", [*KINDS, Note(("of no operator",), "")])
    after = stale(operators, "0.2")
    lines = {"NoSuchOperator: no sentence has 'accuracy'", "Sort: no sentence has 'no such sentence'"}
    assert set(after) - set(before) == lines | {"every operator: no sentence has 'of no operator'"}
    assert not any(line.startswith("Sort") for line in before)


def test_the_tables_hold_only_operators_without_documentation(need_mindspore, monkeypatch):
    assert [operator for operator in STRUCTURE | UNDOCUMENTED if platforms(operator) is not None] == []
    assert [operator for operator in MADE_OF if platforms(operator) is None] == []
    monkeypatch.setattr("parity_tests.ascend.ascend_documents.MADE_OF", {})
    documents.cache_clear()
    assert [operator for operator in MADE_OF if platforms(operator) is not None] == []
    documents.cache_clear()
