"""The fenced blocks of a Markdown page, and the commands that they hold."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from parity_tests import ROOT

RUN = ("bash", "python")
SHOWN = ("text", "yaml", "json", "diff", "{eval-rst}")
FENCE = re.compile(
    r"^(?:<!--[ ]*(?P<mark>long|parsed:[ ]*\S[^\n]*?)[ ]*-->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
BETWEEN_COMMANDS = {"&&", "||", ";", "|", "&"}
REDIRECTION = re.compile(r"[<>]+&?|>\|")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    mark: str
    """"" (run in every suite), "long" (run in the full one), or "parsed: REASON" (never run)."""
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def page_text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page_text(page)
    return [
        Block(page, text.count("\n", 0, found.start("text")), found["language"].strip(), found["mark"] or "", found["text"])
        for found in FENCE.finditer(text)
    ]


def without_blocks(page: str) -> str:
    """The page's text between its fenced blocks."""
    return FENCE.sub("", page_text(page))


def commands(block: Block) -> Iterator[list[str]]:
    """The simple commands of a bash block, each as its words; assignments before them and redirections are left out."""
    for line in re.sub(r"\\\n", " ", block.text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in BETWEEN_COMMANDS:
                words.append(word)
                continue
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words:
                yield _without_redirections(words)
            words = []


def _without_redirections(words: list[str]) -> list[str]:
    kept: list[str] = []
    targets = 0
    for word in words:
        if targets:
            targets -= 1
        elif REDIRECTION.fullmatch(word):
            targets = 1
        else:
            kept.append(word)
    return kept
