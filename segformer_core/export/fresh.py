"""A file run where nothing of its making is in memory: in a process of its own, which is told inputs and answers with outputs."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segformer_core.config.keys import RuntimeConfig
from segformer_core.protocol.learner import Backend, Connect


class DoesNotRun(Exception):
    """The file cannot be loaded, or fails on an input. Its message is the last line of what the process said."""


def run_afresh(backend: Backend, path: Path, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the file gives for each input. Raises DoesNotRun."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(asked, *inputs)
        target = "CPU" if backend.device.lower() == "cpu" else "auto"
        command = [sys.executable, "-m", f"backend_{backend.name}.run_exported", target, str(path), str(asked), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise DoesNotRun(said[-1] if said else f"its process ended with {done.returncode}")
        with np.load(answered) as outputs:
            return [outputs[name] for name in outputs.files]


def answer(connect: Connect, arguments: Sequence[str]) -> None:
    """The other end: device, file, inputs.npz and outputs.npz are the arguments."""
    target, path, asked, answered = arguments
    run = connect(RuntimeConfig(device_target=target)).exports.open(Path(path))
    with np.load(asked) as inputs:
        np.savez(answered, *(run(inputs[name]) for name in inputs.files))
