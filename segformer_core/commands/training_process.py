"""One contestant of compare_training: its Python, what is installed there, and the process in which it trains."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.errors import USERS_MISTAKE, UserError, brief, one_line
from segformer_core.interrupt import SIGNALLED, Stopped

TRANSFORMERS = "transformers"
PYTHON_FLAG = "--transformers_python"


@dataclass(frozen=True)
class Contestant:
    """The module that trains it, the packages that it is made of, and the values of device_target that it knows."""

    module: str
    packages: tuple[str, ...]
    devices: tuple[str, ...]


TRAINING_CONTESTANTS = {
    "torch": Contestant("backend_torch.train", ("torch",), ("auto", "CPU", "GPU", "CUDA")),
    "mindspore": Contestant("backend_mindspore.train", ("mindspore",), ("auto", "CPU", "Ascend")),
    TRANSFORMERS: Contestant("backend_torch.train_transformers", ("torch", TRANSFORMERS), ("auto", "CPU", "GPU", "CUDA")),
}
DRAWING = "matplotlib"
"""The one package that every contestant needs and imports late: the probe asks for it by name."""

PROBE = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
made_of, late = (text.split(",") for text in sys.argv[1:])
missing = [name for name in (*made_of, *late) if find_spec(name) is None]
try:
    import segformer_core.cli
except ModuleNotFoundError as error:
    missing.append(error.name.partition(".")[0])
versions = {"python": sys.version.split()[0]}
for name in (*made_of, "numpy"):
    try:
        versions[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps({"missing": missing, "versions": versions}))
"""
"""What another Python says of itself. It imports what every command of ours imports, which loads no framework."""


def probed(name: str, python: str) -> dict[str, str]:
    """The versions that matter in a contestant's environment. Raises UserError if something is not installed there."""
    answer = _answer(name, python)
    if answer["missing"]:
        raise UserError(
            f"the contestant {name} cannot train: {one_line(python)} has no {', '.join(answer['missing'])}; install there what "
            f"this project depends on, {_way_out(name)}"
        )
    return dict(answer["versions"])


def _answer(name: str, python: str) -> dict[str, Any]:
    """What PROBE prints. Raises UserError with the reason, in a few words, why it prints nothing."""
    words = [python, "-c", PROBE, ",".join(TRAINING_CONTESTANTS[name].packages), DRAWING]
    try:
        done = subprocess.run(
            words, env=environment(python), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{one_line(python)} is no Python in which {name} can train ({_why(error)}); mend it, {_way_out(name)}"
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.splitlines()
        return brief(lines[-1]) if lines else ending(error.returncode)
    return brief(error.strerror) if isinstance(error, OSError) else "it does not answer as Python does"


def _way_out(name: str) -> str:
    another = f"name another Python, as {PYTHON_FLAG} FILE, " if name == TRANSFORMERS else ""
    return f"{another}or leave the contestant out with --contestants"


def train(name: str, python: str, keys: Mapping[str, str]) -> None:
    """Train one contestant to its end. Raises UserError if it does not get there."""
    command = [python, "-m", TRAINING_CONTESTANTS[name].module, *key_words(keys)]
    process = subprocess.Popen(command, env=environment(python))
    try:
        code = process.wait()
    except Stopped as stopped:  # the contestant saves its run before it ends
        process.send_signal(stopped.signal_number)
        process.wait()
        raise
    if code == USERS_MISTAKE:
        raise UserError(f"{name} {ending(code)}, and its own message says why; mend that, or give another --output")
    if code:
        raise UserError(f"{name} {ending(code)}; the same command goes on from its last checkpoint, if it has saved one")


def ending(code: int) -> str:
    """How a process ended. Python gives a negative code where a signal killed it; our commands end with 128 + its number."""
    number = -code if code < 0 else code - SIGNALLED
    known = number in {each.value for each in signal.Signals}
    return f"was ended by signal {number} ({signal.Signals(number).name})" if known else f"ended with exit code {code}"


def key_words(keys: Mapping[str, str]) -> list[str]:
    """The keys as a command line's words."""
    return [f"--{key}={text}" for key, text in keys.items()]


def environment(python: str) -> dict[str, str]:
    """A contestant's environment variables. In a checkout it finds these packages there, whatever its Python has."""
    variables, checkout = dict(os.environ), Path(__file__).parents[2]
    if python != sys.executable:
        variables.pop("PYTHONPATH", None)  # it is for this Python
    if (checkout / "pyproject.toml").is_file():
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), variables.get("PYTHONPATH"))))
    return variables
