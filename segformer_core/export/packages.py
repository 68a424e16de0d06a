"""The packages that write and run exported files: which of them a file needs, and how they are imported."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from segformer_core.errors import BackendError, ConfigError, install
from segformer_core.protocol.form import FORMATS

EXTRAS = {"openvino": "openvino"}
"""Package -> the extra of this project that installs it, where that is not onnx."""
TELEMETRY = "openvino_telemetry"


def packages_to_run(format_name: str, runtime: str) -> tuple[str, ...]:
    """What runs a file of this format, by the key `runtime`. Raises ConfigError if that does not run it."""
    entry = FORMATS[format_name]
    if runtime == "auto":
        return entry.runtimes[:1]
    if runtime not in entry.runtimes:
        raise ConfigError(
            f"runtime is {runtime}, which runs no file of {format_name}: backend_{entry.backend} does; leave runtime out"
        )
    return (runtime,)


def need_packages(format_name: str, packages: tuple[str, ...]) -> None:
    """Raises BackendError unless all packages can be imported."""
    for package in packages:
        try:
            imported(package)
        except ModuleNotFoundError as error:
            advice = install(EXTRAS.get(package, "onnx"))
            raise BackendError(f"{format_name} needs {package}, which is not installed: {advice}") from error


def imported(package: str) -> ModuleType:
    """Raises ModuleNotFoundError."""
    with untold():
        return importlib.import_module(package)


@contextmanager
def untold() -> Iterator[None]:
    """In this context `import openvino` tells nobody of itself and leaves nothing in the user's home.

    Otherwise it sends a message to its maker and writes ~/intel with a number for the user, unless the user has opted out. A
    module that is None cannot be imported, and openvino then takes its own stub.
    """
    known = TELEMETRY in sys.modules
    if not known:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not known:
            del sys.modules[TELEMETRY]
