"""Too little memory, recognised in what numpy, OpenCV and the frameworks raise for it, and told as one sentence."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segformer_core.errors import UserError

TYPES = {"MemoryError", "OutOfMemoryError"}
"""Names of exceptions that mean it: Python's and numpy's, and PyTorch's on CUDA."""

TEXTS = re.compile(
    "|".join(
        (
            r"(can(no|')t|could not) allocate memory",  # PyTorch on a CPU, OpenVINO; the system, for a process or a mapping
            r"can't alloc\s*$",  # the assembler of OpenVINO and oneDNN, for the code that it writes
            r"out of shared memory",  # a worker of PyTorch's DataLoader in a container
            r"out of memory",  # CUDA, Ascend
            r"ALLOC_FAILED",  # cuBLAS and cuDNN
            r"is killed by signal: Killed",  # a worker of PyTorch's DataLoader; the system kills what takes too much
            r"memory (isn't|is not|not) enough",
            r"\balloc\w* [\w ]*memory [\w ]*failed|malloc for [\w ]*failed",  # MindSpore
            r"fail(ed)? to (malloc|alloc)",  # OpenCV: "Failed to allocate 123 bytes"
            r"insufficient memory",  # OpenCV's code -4
            r"bad_alloc",  # C++
            r"array is too big|maximum allowed dimension exceeded",  # numpy
            r"(storage size|stride) calculation overflowed",  # PyTorch: more bytes than 63 bits can count
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may use, in the two versions of Linux' control groups."""


class OutOfMemory(UserError):
    """Something needs more memory than there is."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library or the system says so with this error; an error of ours is none."""
    if isinstance(error, UserError):
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & TYPES) or (isinstance(error, Exception) and TEXTS.search(str(error)) is not None)


@contextmanager
def memory_for(what: str, advice: str) -> Iterator[None]:
    """In this context a lack of memory is OutOfMemory: `what` has not enough, `advice` says what to lower."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{sentence(error, what)}; {advice}") from error


def sentence(error: BaseException, what: str) -> str:
    """What the error says, in a line."""
    lines = str(error).strip().splitlines()
    said = next((line for line in lines if TEXTS.search(line)), lines[0] if lines else type(error).__name__)
    return f"there is not enough memory for {what} ({' '.join(said.split())[:160]})"


def check_fits(needed: int, what: str, advice: str) -> None:
    """Raises OutOfMemory if `needed` bytes are more than this process can ever have: the system would kill it without a word."""
    available = memory_limit()
    if needed > available:
        raise OutOfMemory(
            f"there is not enough memory for {what}: it needs at least {needed / 1e9:,.0f} GB, and this machine has "
            f"{available / 1e9:,.0f} GB; {advice}"
        )


def memory_limit() -> int:
    """Bytes that this process may have at most: the machine's memory, a container's or a shell's limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is no such file, or it holds "max"
            continue
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(limits if soft == resource.RLIM_INFINITY else [*limits, soft])
