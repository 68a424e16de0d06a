"""What a report about a device says of the machine: versions, CANN, driver and cards by their files, environment variables.

The files and the answer of `npu-smi` are those of CANN 8 and 9 and of Atlas drivers, by their documentation.
"""

import glob
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import segformer_core
from segformer_core.commands.circumstances import CPUINFO, installed, processor
from segformer_core.device_check.outcome import LONGEST
from segformer_core.errors import one_line

ASCEND = Path("/usr/local/Ascend")
CARDS = "/dev/davinci[0-9]*"
VERSION_FILES = ("driver", "firmware", "*/latest/compiler", "cann*/compiler")
"""Folders below ASCEND whose `version.info` holds a line `Version=…`. MindSpore reads that of the compiler, too."""
VARIABLES = re.compile(r"(ASCEND|MS)_\w+|DEVICE_ID|RANK_TABLE_FILE|ONEDNN_MAX_CPU_ISA")
"""The environment variables that change what a device does."""
SECRET = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL", re.IGNORECASE)
"""Other programs have variables that begin with MS_, too."""
FRAMEWORKS = ("mindspore", "torch", "torch_npu")
ANSWER_SECONDS = 60


def versions() -> dict[str, str | None]:
    """Package -> its version, or None if it is not installed. No framework is loaded."""
    own = {"segformer": segformer_core.__version__, "python": platform.python_version()}
    return {**own, "numpy": np.__version__, "opencv": cv2.__version__, **{name: installed(name) or None for name in FRAMEWORKS}}


def hardware() -> dict[str, Any]:
    return {"system": platform.platform(), "architecture": platform.machine(), "cpu": processor(CPUINFO), "cores": os.cpu_count()}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Of all variables those that VARIABLES names, without what may be secret."""
    names = sorted(name for name in variables if VARIABLES.fullmatch(name) and not SECRET.search(name))
    return {name: one_line(variables[name])[:LONGEST] for name in names}


def ascend(root: Path = ASCEND, home: str | None = None) -> dict[str, Any]:
    """The cards, the version of each part of CANN and the driver by its file, and what `npu-smi info` says.

    `home` is another installation of CANN than those below `root`, as the variable ASCEND_HOME_PATH names it.
    """
    folders = [folder for pattern in VERSION_FILES for folder in sorted(root.glob(pattern))]
    files = [folder / "version.info" for folder in (*folders, *([Path(home, "compiler")] if home else []))]
    found = {str(file): version for file in files if (version := _stated(file))}
    return {"cards": sorted(glob.glob(CARDS)), "versions": found, "npu_smi": _npu_smi()}


def npu_smi_answer(text: str) -> dict[str, Any]:
    """The tool's version, and the cards with name and health. Processes, which may be other people's, are left out."""
    version = re.search(r"Version:\s*(\S+)", text)
    cards = re.findall(r"^\|\s*(\d+)\s+(\S+)\s*\|\s*([A-Za-z]+)\s*\|", text, re.MULTILINE)
    return {
        "version": version[1] if version else None,
        "cards": [{"npu": int(number), "name": name, "health": health} for number, name, health in cards],
    }


def _npu_smi() -> dict[str, Any] | str:
    tool = shutil.which("npu-smi")
    if tool is None:
        return "not found"
    try:
        done = subprocess.run(
            [tool, "info"], capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer: {one_line(error)[:LONGEST]}"
    if done.returncode:
        return f"ended with exit code {done.returncode}: {one_line((done.stdout + done.stderr).strip())[:LONGEST]}"
    return npu_smi_answer(done.stdout)


def _stated(file: Path) -> str | None:
    try:
        match = re.search(r"^Version\s*=\s*(\S+)", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else None
