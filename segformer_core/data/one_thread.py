"""OpenCV without threads of its own: who reads in several workers has one for each core already."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

NO_POOL = 0
"""cv2.setNumThreads(1) also ends the threads of cv2's pool: in a forked process they do not exist, and it crashes."""


def without_pool() -> None:
    """From now on cv2 computes in the thread that calls it: for a process that exists to read."""
    cv2.setNumThreads(NO_POOL)


@contextmanager
def one_thread() -> Iterator[None]:
    """While inside, cv2 computes in the thread that calls it, in every thread of this process."""
    before = cv2.getNumThreads()
    without_pool()
    try:
        yield
    finally:
        if before > 1:
            cv2.setNumThreads(before)
