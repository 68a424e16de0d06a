"""The kernels' threads: the same bits by any number of them, in a fork, and where the system gives less than is wanted."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.native.calls import axis, call, numbers, path

pytestmark = pytest.mark.usefixtures("need_mindspore")
EPS = np.array([1e-6], np.float32)


def test_too_little_memory_is_an_error_and_not_the_end():
    assert in_a_process("memory", 2) == ["there", "is", "not", "enough", "memory", "for", "the", "kernel", "Labels"]


def test_fewer_threads_than_wanted_will_do():
    """The system may give no more."""
    assert in_a_process("few", 3000)[0] == in_a_process("threads", 1)[0]


def bits() -> str:
    """Of what each kernel gives for work that several threads share."""
    x, weight = numbers(2, 40, 33, 35), numbers(40, 1, 3, 3)
    rows, heads, q, kv = numbers(3000, 40), np.zeros(2), numbers(1, 3000, 80), numbers(1, 90, 160)
    labels = np.zeros((2, 33, 35), np.int32)
    parts = [
        *call("Gelu", [numbers(300_000)], [(300_000,)]),
        *call("Depthwise", [x, weight, numbers(40)], [x.shape]),
        *call("DepthwiseGrad", [x, weight, x], [x.shape, weight.shape, (40,)]),
        *call("NormaliseGrad", [rows, numbers(40), rows * 2, EPS], [rows.shape, (40,), (40,)]),
        *call("Attend", [q, kv, heads], [q.shape]),
        *call("AttendGrad", [q, kv, heads, q, q], [q.shape, kv.shape]),
        *call("BatchNorm", [x, numbers(40), numbers(40), EPS], [x.shape, (40,), (40,)]),
        *call("Labels", [x, axis(33, 70), axis(35, 90)], [(2, 70, 90)], np.uint8),
        *call("CrossEntropyGrad", [x, labels, x[:, 0]], [x.shape]),
        *call("UpsampleGrad", [x, axis(9, 33), axis(7, 35), np.zeros(9), np.zeros(7)], [(2, 40, 9, 7)]),
    ]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def in_a_process(how: str, threads: int) -> list[str]:
    """What this module prints as a program."""
    words = [sys.executable, "-m", "parity_tests.native.test_processes", how]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_bits_do_not_depend_on_the_threads():
    found = [in_a_process("threads", threads) for threads in (1, 2, 5)]
    assert [count for _, count in found] == ["1", "2", "5"]
    assert len({hashed for hashed, _ in found}) == 1


def test_a_process_that_was_forked_computes_without_the_threads_of_its_parent():
    before, child, after = in_a_process("fork", 3)
    assert before == child == after


def with_threads() -> tuple[str, int]:
    """`bits`, and how many threads computed it."""
    path()
    before = len(os.listdir("/proc/self/task"))
    return bits(), 1 + len(os.listdir("/proc/self/task")) - before


def in_a_fork() -> tuple[str, ...]:
    """`bits` before, in a forked process, and afterwards."""
    before = bits()
    end, beginning = os.pipe()
    if not os.fork():
        os.write(beginning, bits().encode())
        os._exit(0)
    return before, os.read(end, len(before)).decode(), bits()


def without_memory() -> tuple[str]:
    """What is said where the labels' large scores have no room."""
    scores, axes = np.zeros((1, 150, 2, 2), np.float32), (axis(2, 1), axis(2, 200_000))
    try:
        with limited(2**26):
            call("Labels", [scores, *axes], [(1, 1, 200_000)], np.uint8)
    except MemoryError as error:
        return (str(error),)
    return ("enough",)


def with_few_threads() -> tuple[str]:
    path()
    with limited(2**29):  # a thread takes 8 MB for its stack
        call("Gelu", [numbers(300_000)], [(300_000,)])
    return (bits(),)


@contextmanager
def limited(more: int) -> Iterator[None]:
    """No more than so many bytes beyond those that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    print(*{"threads": with_threads, "fork": in_a_fork, "memory": without_memory, "few": with_few_threads}[sys.argv[1]]())
