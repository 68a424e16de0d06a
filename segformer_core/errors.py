"""The mistakes a user can make. A command prints the sentence and exits with 2 (`cli.py` names the two that exit with 1).

Any other exception is a mistake of ours: it leaves as a traceback, with exit code 1.
"""


class UserError(Exception):
    """Base of every error a user can cause. Its message is one sentence: what, where, what was expected, what to do."""


class ConfigError(UserError):
    """A configuration key, value or file is wrong."""


class WeightsError(UserError):
    """A weight file is unreadable, or its arrays are not the ones the spec describes."""


class DataError(UserError):
    """A data folder, image or label is missing, unreadable or inconsistent."""


class BackendError(UserError):
    """A framework is not installed, or it has no such device."""


class TrainingError(UserError):
    """A training run cannot be resumed as asked, or came to nothing."""
