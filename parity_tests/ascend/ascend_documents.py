"""What MindSpore's documentation warns of, operator by operator, and tables of what it leaves out.

A sentence warns if it stands in a block of `warning`, `note` or `deprecated`, or if it has one of the words of `LIMITS`: it names
Ascend, a type with its width, a range, an error, accuracy, or what must, should, cannot or only can be. What stands under Outputs
or Returns limits no call. Formulas, code, pictures and examples have no sentences.

Read are the documentation of the operator itself, of the functions that it refers to and so on, and of a gradient's forward
operator. Each sentence must have an answer in `ascend_notes.py`.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from parity_tests.ascend.ascend_note_kinds import KINDS, Note
from parity_tests.ascend.ascend_notes import NOTES

OPERATORS = ("ops", "ops.operations", "ops.auto_generate", "ops.operations._grad_ops", "ops.operations._inner_ops")
"""The modules that document operators, the public one first."""

FUNCTIONS = ("ops", "ops.auto_generate", "mint.nn.functional")
"""The modules of the functions that an operator's documentation refers to."""

GRADIENT = re.compile(r"(\w+?)(Grad|Backward|BackpropInput|BackpropFilter)(?:Ext)?")
FORWARD = {"Relu": "ReLU", "Gelu": "GeluExt"}
"""The forward operator of a gradient, where it is not the gradient's name without its ending."""

BLOCK = re.compile(
    r"\s*(?:\.\. (?:warning|note|deprecated|caution|attention|important)::|(?:Note|Warning|Deprecated)s?(?::|$))(.*)"
)
"""The first line of a block whose every sentence warns."""

LIMITS = re.compile(
    r"ascend|deprecat|experimental|accura|precision|support|\bonly\b|\bmust\b|should|\bcan ?not\b|can't|does ?n[o']t|doesn't"
    r"|not (?:be|implemented|allowed|recommended)|limit|restrict|at most|(?:less|smaller|greater|larger) than|exceed|undefined"
    r"|unpredictable|unexpected|incorrect|\brange|\bmax value\b|multiple of|\bu?int\d+|float\d+|Error: ",
    re.IGNORECASE,
)
NO_TEXT = re.compile(r"\s*(?:\.\. (?:math|code-block|image|figure)::|Supported Platforms:)")
SECTION = re.compile(r"    (?:Args|Keyword Args|Inputs|Outputs|Returns|Raises):\s*$")
RESULTS = re.compile(r"    (?:Outputs|Returns):\s*$")
PART = re.compile(r"\s*(?:- |\w+Error: |\w+ \(.*\):)|" + SECTION.pattern)
"""The first line of an item, an error, an argument or a section."""

TYPE = re.compile(r"(?:Ref\[)?Tensor\[(\w+)\]")

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
    """A line for each warning that has no answer, and for each (operator, call) that is not as an answer says."""
    calls = list(calls)
    problems = []
    for operator in sorted({operator for operator, _ in calls}):
        for sentence in warnings(operator):
            found = answer(operator, sentence)
            if found is None:
                problems.append(f"{operator}: not in NOTES of parity_tests/ascend/ascend_notes.py: {sentence}")
                continue
            for call in dict.fromkeys(call for other, call in calls if other == operator):
                if why := broken(*found, sentence, call):
                    problems.append(f"{operator}: {sentence!r} is answered with {found[0].answer!r}, but {why} in {call}")
    return problems


def answer(operator: str, sentence: str) -> tuple[Note, bool] | None:
    """The first answer of its own, of its forward operator's or of KINDS, and whether that is about the operator's own calls."""
    for notes, own in ((NOTES.get(operator, []), True), (NOTES.get(forward(operator), []), False), (KINDS, True)):
        for note in notes:
            if any(part in sentence for part in note.says):
                return note, own
    return None


def broken(note: Note, own: bool, sentence: str, call: str) -> str | None:
    """What a call has that the note denies. A gradient has other operands than its forward operator: all of them are held."""
    if own and not re.search(note.calls, call):
        return f"not {note.calls!r}"
    if not note.takes:
        return None
    allowed = {
        name.replace("float", "Float").replace("bF", "BF").replace("int", "Int").replace("uI", "UI") for name in types(sentence)
    }
    taken = operands(call)
    wrong = {name for place in (note.takes if own else range(len(taken))) for name in taken[place]} - allowed
    return f"{', '.join(sorted(wrong))} is not documented" if wrong else None


def stale(operators: Iterable[str], version: str) -> list[str]:
    """A line for each part of an answer that answers no sentence about these operators any more, in that version of MindSpore."""
    operators = sorted(set(operators))
    given = {(name, note.only, part) for name in NOTES for note in NOTES[name] for part in note.says}
    given |= {("every operator", note.only, part) for note in KINDS for part in note.says}
    for operator in operators:
        for sentence in warnings(operator):
            if found := answer(operator, sentence):
                note, own = found
                name = "every operator" if note in KINDS else operator if own else forward(operator)
                given -= {(name, note.only, part) for part in note.says if part in sentence}
    return [f"{name}: no sentence has {part!r}" for name, only, part in sorted(given) if only in ("", version)]


def types(sentence: str) -> list[str]:
    """The types that a sentence names, with their widths."""
    return re.findall(r"\b(?:u?int|b?float)\d+", sentence)


def operands(call: str) -> list[list[str]]:
    """The types, by MindSpore's names, of the tensors of each operand."""
    _, _, described = call.rpartition("\n")
    return [TYPE.findall(one) for one in re.findall(r"<([^<>]*)>", described.partition(") -> (")[0])]


def forward(operator: str) -> str:
    """The operator whose gradient it is, or an empty string."""
    gradient = GRADIENT.fullmatch(operator)
    return FORWARD.get(gradient[1], gradient[1]) if gradient else ""


def platforms(operator: str) -> tuple[str, ...] | None:
    """The devices that the operator's documentation names, or else that of its forward operator. None without documentation."""
    devices = _documented_platforms(operator)
    if not devices and forward(operator):  # the gradient's class alone may be deprecated
        return _documented_platforms(forward(operator))
    return devices


def _documented_platforms(operator: str) -> tuple[str, ...] | None:
    for text in documents(operator):
        if match := re.search(r"Supported Platforms:\s+(.*)", text):
            return tuple(re.findall(r"``(\w+)``", match[1]))
    return None


@cache
def warnings(operator: str) -> tuple[str, ...]:
    """The sentences that warn in the documentation of an operator and of its forward operator, each once."""
    texts = (*documents(operator), *(documents(forward(operator)) if forward(operator) else ()))
    found = (sentence for text in texts for in_block, sentence in sentences(text) if in_block or LIMITS.search(sentence))
    return tuple(dict.fromkeys(found))


def sentences(text: str) -> Iterator[tuple[bool, str]]:
    """(it stands in a block that warns, a sentence), without the examples. No other sentences of what is given, not taken."""
    lines: list[str] = []
    block: int | None = None
    skipped: int | None = None
    in_results = False
    for line in (*text.partition("Examples:")[0].splitlines(), ""):
        if not line.strip():
            yield from _split(lines, block is not None, in_results)
            lines = []
            continue
        indent = len(line) - len(line.lstrip())
        if skipped is not None and indent > skipped:
            continue
        skipped = None
        opened = BLOCK.match(line)
        if opened or PART.match(line) or NO_TEXT.match(line) or (block is not None and indent <= block):
            yield from _split(lines, block is not None, in_results)
            lines = []
        if block is not None and indent <= block:
            block = None
        if NO_TEXT.match(line):
            skipped = indent
        elif opened:
            block = indent
            lines = [opened[1]]
        elif SECTION.match(line):
            in_results = RESULTS.match(line) is not None
        else:
            lines.append(line)


def _split(lines: list[str], in_block: bool, in_results: bool) -> Iterator[tuple[bool, str]]:
    if in_block or not in_results:
        text = " ".join(" ".join(lines).split())
        yield from ((in_block, sentence) for sentence in re.split(r"(?<=[^.]\.)(?<!e\.g\.)(?<!i\.e\.)\s+", text) if sentence)


@cache
def documents(operator: str) -> tuple[str, ...]:
    """The operator's own documentation, then that of the functions that become it or that it refers to, and so on."""
    texts = list(dict.fromkeys(_texts(operator, OPERATORS)))
    for name in [MADE_OF[operator]] if operator in MADE_OF else []:
        texts += _texts(name, FUNCTIONS)
    for text in texts:  # it grows
        for name in re.findall(r"(?:Refer to|Alias for) :func:`mindspore\.(?:ops\.)?([\w.]+)`", text):
            texts += (other for other in _texts(name, FUNCTIONS) if other not in texts)
    return tuple(texts)


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
