"""How many workers a process may have: the cores that it may use, shared with the other processes of its host."""

import os
from collections.abc import Mapping
from pathlib import Path

AUTO = "auto"
QUOTAS = (("cpu.max", ""), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Where a container's share of the processor stands, quota and period: cgroups of version 2 have one file, of version 1 two."""

MOST = 16
"""Workers that `auto` takes: each keeps batches in memory, and few devices take more than so many prepare."""
CGROUPS = Path("/sys/fs/cgroup")
BESIDE = ("LOCAL_WORLD_SIZE", "MS_WORKER_NUM", "RANK_SIZE")
"""Variables that say how many processes train: torchrun's on this host, msrun's and a rank table's on all hosts."""


def auto_workers(environment: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS) -> int:
    """The cores of this process, without one for the process itself; from 1 to MOST."""
    count = next((int(text) for name in BESIDE if (text := environment.get(name, "")).isdecimal() and int(text) > 0), 1)
    return min(max(usable_cores(cgroups) // count - 1, 1), MOST)


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """The whole cores that the affinity of this process and the quota of its container leave."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for names in QUOTAS:
        words = " ".join(_text(cgroups / name) for name in names if name).split()
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):  # no quota: "max" or -1
            cores = min(cores, int(words[0]) // int(words[1]))
    return cores


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
