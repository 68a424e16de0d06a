"""A process that answers questions: its answers, its mistakes, and its end."""

import os
import time

import pytest

from segformer_core.commands.asked_process import AskedProcess
from segformer_core.errors import DataError, UserError


def open_sums(start: int):
    """Adds up what it is asked; 0 ends the process, and a negative number is a mistake."""
    if start < 0:
        raise DataError("it starts below 0")
    total = start

    def answer(question: int) -> tuple[int, int]:
        nonlocal total
        if question == 0:
            os._exit(3)
        if question < 0:
            raise DataError(f"{question} is negative")
        if question == 7:
            raise OSError("7 is not to be had")
        total += question
        print("nobody reads this")
        return total, os.getpid()

    return answer


def test_the_answers_are_of_one_other_process(capfd):
    with AskedProcess("sums", open_sums, 10) as process:
        first, second = process.ask(1), process.ask(2)
    assert (first[0], second[0]) == (11, 13) and first[1] == second[1] != os.getpid()
    assert process.process.exitcode == 0 and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("start", "question", "says"),
    [(-1, 5, "sums: it starts below 0"), (0, -4, "sums: -4 is negative"), (0, 7, "sums: OSError: 7 is not to be had")],
)
def test_its_mistake_is_the_askers(start, question, says):
    with AskedProcess("sums", open_sums, start) as process, pytest.raises(UserError) as raised:
        process.ask(question)
    assert str(raised.value) == says
    assert process.process.exitcode == 0


def test_its_end_is_noticed():
    begun = time.monotonic()
    with (
        AskedProcess("sums", open_sums, 0) as process,
        pytest.raises(UserError, match="the process of sums ended without an answer"),
    ):
        process.ask(0)
    assert process.process.exitcode == 3 and time.monotonic() - begun < 60
