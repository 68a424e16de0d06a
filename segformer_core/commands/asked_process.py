"""A process beside this one that answers questions: a contestant of `benchmark`, a form of `compare_exports`."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from segformer_core.errors import UserError

Answers = Callable[[Any], Any]


class AskedProcess:
    """`open_answers(*arguments)` runs in the new process, and what it returns answers the questions there.

    Both are functions of a module, so that the new process finds them. What it prints is dropped: frameworks print warnings.
    """

    def __init__(self, name: str, open_answers: Callable[..., Answers], *arguments: Any):
        spawn = multiprocessing.get_context("spawn")
        self.name = name
        self.connection, far_end = spawn.Pipe()
        self.process = spawn.Process(target=_answer, args=(far_end, open_answers, arguments), daemon=True)
        self.process.start()
        far_end.close()  # so that the end of the process is noticed

    def ask(self, question: Any) -> Any:
        """The answer. Raises UserError: one that the process has raised, or that it has stopped."""
        try:
            self.connection.send(question)
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise UserError(f"the process of {self.name} ended without an answer; was it stopped, for lack of memory?") from error
        if isinstance(answer, UserError):
            raise UserError(f"{self.name}: {answer}") from answer
        return answer

    def __enter__(self) -> "AskedProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()
        self.process.join()


def _answer(connection: Connection, open_answers: Callable[..., Answers], arguments: tuple[Any, ...]) -> None:
    """What the process does, until nobody is there to ask."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    answer: Answers | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            question = connection.recv()
            try:
                answer = answer or open_answers(*arguments)
                answered = answer(question)
            except UserError as error:
                answered = error
            except Exception as error:  # nobody would see its traceback
                answered = UserError(f"{type(error).__name__}: {error}")
            connection.send(answered)
