"""Where the tests ran: machine, devices, versions, and what in the environment changes arithmetic."""

import os
import platform
import re
import subprocess
from typing import Any

import segformer_core
from parity_tests import ROOT
from segformer_core.commands.circumstances import CPUINFO, installed, processor

PACKAGES = ("numpy", "torch", "mindspore", "transformers", "opencv-python-headless", "safetensors")
VARIABLES = (
    "SEGFORMER_DEVICE",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NVIDIA_TF32_OVERRIDE",
    "PYTHONHASHSEED",
)
"""They choose kernels or the order of sums. MindSpore's backend sets ONEDNN_MAX_CPU_ISA on some."""
NOT_INSTALLED = "not installed"


def versions() -> dict[str, str]:
    found = {"segformer-twins": segformer_core.__version__, "python": platform.python_version()}
    return found | {package: installed(package) or NOT_INSTALLED for package in PACKAGES}


def machine() -> dict[str, str]:
    """Operating system, processor, cores that this process may use, memory, and the libraries that multiply matrices."""
    facts = {
        "system": _system(),
        "processor": f"{processor(CPUINFO)} ({platform.machine()})",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
    }
    if installed("torch"):
        import torch

        facts["torch's instructions"] = torch.backends.cpu.get_cpu_capability()
        facts["torch's BLAS"] = _setting(torch.__config__.show(), "BLAS_INFO")
    return facts


def devices() -> dict[str, str]:
    """Framework -> the device that its networks ran on."""
    from parity_tests.support import DEVICES

    found = dict(DEVICES)
    if found["torch"].lower() in ("cuda", "gpu") and installed("torch"):
        import torch

        if torch.cuda.is_available():
            found["torch"] += f", {torch.cuda.get_device_name()}"
    return found


def variables() -> dict[str, str]:
    """Those that are set."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def commit() -> str:
    """The checkout's commit, with a mark if files of it were changed; empty outside a checkout."""
    head = _git("rev-parse", "HEAD")
    return head and head + (" and changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def where() -> dict[str, Any]:
    """All of the above."""
    return {
        "commit": commit(),
        "devices": devices(),
        "machine": machine(),
        "versions": versions(),
        "variables": variables(),
    }


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release().partition('-')[0]}"


def _setting(text: str, name: str) -> str:
    found = re.search(rf"\b{name}=(\w+)", text)
    return found[1] if found else "not stated"
