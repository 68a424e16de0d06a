"""Run an exported file in a new process, where nothing is in memory that was made while the file was written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segformer_core.config.keys import RuntimeConfig
from segformer_core.protocol.launch import DEVICE_ID, LAUNCHED_BY
from segformer_core.protocol.learner import Backend, Connect


class DoesNotRun(Exception):
    """The file cannot be loaded, or fails on an input. The message is the last line that the process wrote to stderr."""


def run_afresh(backend: Backend, path: Path, inputs: Sequence[np.ndarray], runtime: str = "auto") -> list[np.ndarray]:
    """The file's output for each input, computed by the package `runtime`. Raises DoesNotRun."""
    with tempfile.TemporaryDirectory() as folder:
        input_path, output_path = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(input_path, *inputs)
        target = "CPU" if backend.device.lower() == "cpu" else "auto"
        arguments = [target, runtime, str(path), str(input_path), str(output_path)]
        command = [sys.executable, "-m", f"backend_{backend.name}.run_exported", *arguments]
        alone = {name: value for name, value in os.environ.items() if name not in LAUNCHED_BY}
        alone[DEVICE_ID] = str(backend.device_id)
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=alone)
        if process.returncode:
            lines = process.stderr.strip().splitlines()
            raise DoesNotRun(lines[-1] if lines else f"its process ended with exit code {process.returncode}")
        with np.load(output_path) as outputs:
            return [outputs[name] for name in outputs.files]


def answer(connect: Connect, arguments: Sequence[str]) -> None:
    """What the new process does. The arguments are the device target, the runtime, the file, inputs.npz and outputs.npz."""
    target, runtime, path, input_path, output_path = arguments
    run = connect(RuntimeConfig(device_target=target)).exports.open(Path(path), runtime)
    with np.load(input_path) as inputs:
        np.savez(output_path, *(run(inputs[name]) for name in inputs.files))
