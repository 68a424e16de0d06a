"""Where, when and with what something was measured: what a file of measurements says beside its figures."""

import datetime
import os
import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "mindspore", "transformers", "onnx", "onnxruntime", "openvino", "numpy")
"""Whose versions are noted, where they are installed."""
CPUINFO = Path("/proc/cpuinfo")
PROCESSOR = "model name"
"""As CPUINFO calls it."""


def circumstances(program: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The command, the day (UTC), the machine, how busy it has been for a minute, and the versions, for JSON.

    `program` is what Python runs: a file, or -m and a module.
    """
    return {
        "command": shlex.join(["python", *program.split(), *arguments]),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(CPUINFO),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version()} | {name: found for name in PACKAGES if (found := installed(name))},
    }


def processor(cpuinfo: Path) -> str:
    """The processor's name, or its architecture where Linux does not tell the name."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(PROCESSOR)), platform.machine())


def installed(package: str) -> str:
    """Its version; "" if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
