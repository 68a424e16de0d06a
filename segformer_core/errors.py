"""The mistakes a user can make. A command prints the sentence and exits with 2 (`cli.py` names the two that exit with 1).

Any other exception is a mistake of ours: it leaves as a traceback, with exit code 1.
"""

import re
import reprlib

USERS_MISTAKE = 2
"""The exit code of a command that ends with a UserError."""
INCOMPLETE = 1
"""That of one that did the rest: infer could not read some files, export kept no file, or compare_exports lacks a form."""

BRIEF = reprlib.Repr()
BRIEF.maxlevel, BRIEF.maxlist, BRIEF.maxtuple, BRIEF.maxdict = 2, 4, 4, 4
BRIEF_LENGTH = 120
LONG_INTEGER_BITS = 1000
"""Python refuses to print an integer of thousands of digits."""


def brief(value: object) -> str:
    """`repr` for a message: at most 120 characters, and quick however large or nested the value is."""
    if isinstance(value, str):
        text = repr(value[:BRIEF_LENGTH])
    elif isinstance(value, int) and value.bit_length() > LONG_INTEGER_BITS:
        text = f"an integer of {value.bit_length()} bits"
    else:
        try:
            text = BRIEF.repr(value)
        except ValueError:  # an integer of thousands of digits inside
            text = f"a {type(value).__name__}"
    return text if len(text) <= BRIEF_LENGTH else f"{text[: BRIEF_LENGTH - 1]}…"


UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal or a log cannot show, or shows as something else: control characters, line ends, marks that turn the direction
of a text, and the bytes of a file's name that are no UTF-8."""


def one_line(text: object) -> str:
    """The text with escapes for what cannot be shown, such as \\n: a file may have any name."""
    return UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], str(text))


def plural(count: int, noun: str) -> str:
    """ "1 image", "3 images", "2 classes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def first_of(sentences: list[str]) -> str:
    """The first three of some, and how many more there are."""
    more = f"; and {len(sentences) - 3} more" if len(sentences) > 3 else ""
    return "; ".join(sorted(sentences)[:3]) + more


def install(extra: str) -> str:
    """How to install what the optional part `extra` of this project needs, in the versions that it was tested with."""
    return f"run pip install -c constraints.txt '.[{extra}]' in the project's folder"


class UserError(Exception):
    """Base of every error a user can cause. Its message is one sentence: what, where, what was expected, what to do."""


class ConfigError(UserError):
    """A configuration key, value or file is wrong."""


class WeightsError(UserError):
    """A weight file is unreadable, or its arrays are not the ones the spec describes."""


class DataError(UserError):
    """A data folder, image or label is missing, unreadable or inconsistent. The names of files in its message are escaped."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class BackendError(UserError):
    """A framework is not installed, or it has no such device."""


class TrainingError(UserError):
    """A training run cannot be resumed as asked, or came to nothing."""
