"""The names that a user gives to files: `~` is expanded, and a name that no file can have is told apart."""

import errno
import os

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes of a file's name and of a whole path, on Linux."""

UNREACHABLE = {
    errno.ELOOP: "its links go in a circle; name the file itself",
    errno.ENOTDIR: "a part of it is a file and no folder; choose another path",
    errno.EACCES: "you have no permission to look into its folder; choose another path",
}
"""Why the system cannot say whether there is such a file, and what to do."""


def expanded(text: str) -> str:
    """`text` with the home folder in place of a leading `~` or `~user`."""
    return os.path.expanduser(text)


def name_fault(text: str) -> str:
    """Why no file can have this path, and what to do; empty if one can. Nothing is looked up on a disk."""
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError as error:
        return f"it holds {text[error.start]!r}, which is no character; type the path again"
    if b"\0" in data:
        return "it holds a NUL character, which no path can; type the path again"
    longest = max(map(len, data.split(b"/")))
    if longest > LONGEST_NAME:
        return f"a name in it has {longest} bytes and a file's name at most {LONGEST_NAME}; choose a shorter one"
    if len(data) > LONGEST_PATH:
        return f"it has {len(data)} bytes and a path at most {LONGEST_PATH}; choose a shorter one"
    return ""


def path_fault(text: str) -> str:
    """Why no file is or can be made at this expanded path, and what to do; empty if one is or can be. A pattern is no fault."""
    fault = name_fault(text)
    if fault:
        return fault
    try:
        os.stat(text)
    except FileNotFoundError:
        return "this machine has no such user; write the home folder out" if text.startswith("~") else ""
    except OSError as error:
        return UNREACHABLE.get(error.errno or 0, f"{error.strerror}; choose another path")
    return ""
