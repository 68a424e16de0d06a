"""How PyTorch holds large feature maps on a CPU: in pages of 2 MB, and without a new one for a sum of two."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MAP = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)


@pytest.mark.skipif(not HUGE_PAGES.is_file() or "[madvise]" not in HUGE_PAGES.read_text(), reason="Linux decides for itself")
def test_large_tensors_lie_in_huge_pages_unless_the_user_says_otherwise(need_torch):
    program = (
        "import re; from backend_torch.device import connect; from segformer_core.config.keys import RuntimeConfig; "
        "connect(RuntimeConfig(device_target='CPU')); import torch; x = torch.ones(1 << 25); "
        "print(sum(map(int, re.findall(r'AnonHugePages: +([0-9]+)', open('/proc/self/smaps').read()))))"
    )

    def kilobytes(**variables: str) -> int:
        environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"} | variables
        command = [sys.executable, "-c", program]
        return int(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)

    assert kilobytes() > 1 << 15
    assert kilobytes(THP_MEM_ALLOC_ENABLE="0") < 1 << 15


def test_sums_overwrite_nothing_that_a_gradient_needs(need_torch):
    import torch

    from backend_torch.kernels import add, relu

    x, y = torch.from_numpy(MAP.copy()), torch.from_numpy(MAP)
    kept = x.clone()
    for made in (add(x, y), relu(x)):
        assert made.data_ptr() != x.data_ptr()
    assert torch.equal(x, kept)
    with torch.no_grad():
        assert add(x, y).data_ptr() == relu(x).data_ptr() == x.data_ptr(), "large maps take no new memory"
