"""How the process keeps memory that the network has given back, on a CPU with Linux' own allocator (glibc's)."""

import ctypes
import os
import sys

MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""glibc's numbers of two parameters, M_MMAP_MAX and M_TRIM_THRESHOLD."""
MOST_KEPT = 2**31 - 1
"""Bytes at the end of the heap; what is free beyond goes back to the system."""
OF_THE_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Variables by which a user decides."""


def keep_freed_memory() -> bool:
    """Have the allocator keep what is freed, for the whole process -> whether it does now.

    Each feature map, some ten MB, would otherwise be new memory that Linux has to clear, and give back again: a sixth of B0's
    time at 512×1024. The peak of memory is the same. (In training it would be a fifth higher, for a tenth of the time.)
    """
    if sys.platform != "linux" or any(name in os.environ for name in OF_THE_USER):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, MOST_KEPT))
