"""Run an exported file in a new process, where nothing is in memory that was made while the file was written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segformer_core.config.keys import RuntimeConfig
from segformer_core.protocol.launch import DEVICE_ID, LAUNCHED_BY
from segformer_core.protocol.learner import Backend, Connect


class DoesNotRun(Exception):
    """The file cannot be loaded, or fails on an input. The message is the last line that the process wrote to stderr."""


@contextmanager
def run_afresh(
    backend: Backend, path: Path, inputs: Sequence[np.ndarray], runtime: str = "auto"
) -> Iterator[Callable[[], list[np.ndarray]]]:
    """Starts a process in which the package `runtime` runs the file on each input.

    What it yields waits for the outputs, and raises DoesNotRun. The process ends with the context, whatever it has done by then.
    """
    with tempfile.TemporaryDirectory() as folder:
        input_path, output_path, complaints = (Path(folder) / name for name in ("inputs.npz", "outputs.npz", "stderr"))
        np.savez(input_path, *inputs)
        target = "CPU" if backend.device.lower() == "cpu" else "auto"
        arguments = [target, runtime, str(path), str(input_path), str(output_path)]
        command = [sys.executable, "-m", f"backend_{backend.name}.run_exported", *arguments]
        alone = {name: value for name, value in os.environ.items() if name not in LAUNCHED_BY}
        alone[DEVICE_ID] = str(backend.device_id)
        with (
            complaints.open("wb") as stderr,  # not a pipe, which would hold the process up while nobody reads
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=alone) as process,
        ):

            def outputs() -> list[np.ndarray]:
                if process.wait():
                    lines = complaints.read_text(errors="replace").strip().splitlines()
                    raise DoesNotRun(lines[-1] if lines else f"its process ended with exit code {process.returncode}")
                with np.load(output_path) as arrays:
                    return [arrays[name] for name in arrays.files]

            try:
                yield outputs
            finally:
                process.kill()


def answer(connect: Connect, arguments: Sequence[str]) -> None:
    """What the new process does. The arguments are the device target, the runtime, the file, inputs.npz and outputs.npz."""
    target, runtime, path, input_path, output_path = arguments
    run = connect(RuntimeConfig(device_target=target)).exports.open(Path(path), runtime)
    with np.load(input_path) as inputs:
        np.savez(output_path, *(run(inputs[name]) for name in inputs.files))
