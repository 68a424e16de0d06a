"""backend_torch keeps freed memory where it labels images on a CPU, and leaves the allocator alone elsewhere."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest

from parity_tests.support import CONFIG, runtime_of
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Training
from segformer_core.spec.model import segformer

pytestmark = pytest.mark.usefixtures("need_torch")

OF_THE_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
FREED = """
import os, sys
from backend_torch.memory import keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

kept = keep_freed_memory()
before = resident()
block = bytearray(b"x") * 100_000_000
del block
print(kept, (resident() - before) > 90_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another allocator")
@pytest.mark.parametrize(("variables", "expected"), [({}, "True True"), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, "False False")])
def test_freed_memory_stays_unless_the_user_decides(variables, expected, monkeypatch):
    for name in OF_THE_USER:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_who_else_is_left_alone(monkeypatch):
    from backend_torch.memory import keep_freed_memory

    for name in OF_THE_USER:
        monkeypatch.delenv(name, raising=False)
    for name in OF_THE_USER:
        with monkeypatch.context() as patch:
            patch.setenv(name, "")
            assert not keep_freed_memory(), name
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert not keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())  # such as musl, which has no mallopt
    assert not keep_freed_memory()


@pytest.mark.parametrize("trains", [False, True])
def test_who_asks_for_it(trains, monkeypatch):
    from backend_torch.device import connect

    asked = []
    monkeypatch.setattr("backend_torch.learner.keep_freed_memory", lambda: asked.append(1))
    spec = segformer("b0", 2)
    training = Training(parameter_groups(spec, CONFIG.optimizer)) if trains else None
    backend = connect(runtime_of("torch"))
    backend.learner(spec, CONFIG, print, training)
    assert bool(asked) == (not trains and backend.device == "cpu")
