"""The library of kernels for a CPU, compiled from the C++ files beside this one when a network is first made.

It is compiled for this very processor, in seconds, and kept: one file for each state of the sources, compiler and processor. It
is only ever loaded from a folder that nobody but the user can write. Without a compiler MindSpore's own operators take its place.
"""

import atexit
import ctypes
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import mindspore as ms

from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import UserError, brief, one_line
from segformer_core.files import atomic_write, cache_folder
from segformer_core.protocol.learner import LogLine

HERE = Path(__file__).parent
COMPILER, DEFAULT_COMPILER = "CXX", "g++"
"""The variable that names the C++ compiler, and the one that is taken without it."""

OPTIONS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast", "-fvisibility=hidden", "-pthread")
SHARED = ("-shared", "-fPIC")

PROCESSORS = Path("/proc/cpuinfo")
DESCRIBES = ("vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features")
"""The lines there on which the instructions depend that the compiler chooses; the last three are ARM's."""

PATIENCE = 300
"""Seconds after which a compiler is given up."""


class NoLibrary(Exception):
    """Why there is none, in a few words."""


_in_use: ContextVar[str] = ContextVar("library", default="")


def library() -> str:
    """The path of the library that the network calls which is being made; empty where it calls none."""
    return _in_use.get()


@contextmanager
def calls_to(path: str) -> Iterator[None]:
    """In this context networks are made that call the library at `path`; none if it is empty."""
    before = _in_use.set(path)
    try:
        yield
    finally:
        _in_use.reset(before)


def library_for(runtime: RuntimeConfig, log: LogLine) -> str:
    """The path of the library, which is compiled if need be; empty if `runtime` or the machine does not allow one."""
    if runtime.compile == "False" or ms.get_context("device_target") != "CPU":
        return ""
    path, reason = _made(runtime.compile_cache, log)
    if reason:
        log(f"MindSpore's own operators compute everything, which is slower: {reason}, or set compile False")
    return path


_known: dict[str, tuple[str, str]] = {}


def _made(compile_cache: str, log: LogLine) -> tuple[str, str]:
    """(path, "") or ("", reason), found once in a process."""
    if compile_cache not in _known:
        try:
            _known[compile_cache] = str(_compiled_and_loaded(compile_cache, log)), ""
        except NoLibrary as error:
            _known[compile_cache] = "", str(error)
    return _known[compile_cache]


def _compiled_and_loaded(compile_cache: str, log: LogLine) -> Path:
    """Raises NoLibrary."""
    if sys.platform != "linux":
        raise NoLibrary("the kernels are for Linux")
    try:
        compiler = shlex.split(os.environ.get(COMPILER, "")) or [DEFAULT_COMPILER]
    except ValueError as error:
        raise NoLibrary(f"{COMPILER} is {brief(os.environ[COMPILER])}, which is no command ({error}); name a C++ compiler") from error
    found = shutil.which(compiler[0])
    if not found:
        raise NoLibrary(f"there is no C++ compiler {brief(compiler[0])}; install it")
    name = f"kernels-{_key(Path(found), compiler[1:])}.so"
    for folder in _folders(compile_cache):
        path = folder / name
        if not path.is_file():
            log(f"compiling the kernels for this processor (seconds); they are kept in {folder} …")
            _compile([found, *compiler[1:]], path)
        try:
            ctypes.CDLL(str(path)).set_threads(threads())
        except OSError as error:  # such as a folder of which nothing may be run
            reason = one_line(str(error))
        else:
            return path
    raise NoLibrary(f"the kernels cannot be loaded ({reason}); let TMPDIR name another folder")


def threads() -> int:
    """How many the kernels take: as OMP_NUM_THREADS says, else as many as the process has cores.

    (MindSpore sets the variable to 1 when it is imported, which Python's `os.environ` does not show.)
    """
    named = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(named) if named.isdecimal() and int(named) else len(os.sched_getaffinity(0))


def _folders(compile_cache: str) -> Iterator[Path]:
    """Where the library may lie: in `compile_cache` or else the user's cache, and where that will not do a folder of this run."""
    try:
        folder = Path(compile_cache) if compile_cache else cache_folder(os.environ)
        folder = (folder / "native").resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_private(folder) and os.access(folder, os.W_OK | os.X_OK):
            yield folder
    except (OSError, UserError, RuntimeError):  # RuntimeError: a link to itself
        pass
    yield _folder_of_this_run()


def is_private(folder: Path) -> bool:
    """Whether nobody but the user, and root, can write in it."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@cache
def _folder_of_this_run() -> Path:
    try:
        folder = tempfile.mkdtemp(prefix="segformer_")
    except OSError as error:
        raise NoLibrary(f"there is no folder for the kernels ({error.strerror}); free some space") from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _key(compiler: Path, options: list[str]) -> str:
    """Of all that the library depends on."""
    digest = hashlib.sha256(repr((OPTIONS, options, str(compiler.resolve()), compiler.stat().st_mtime_ns)).encode())
    for path in sources("*.[ch]*"):
        digest.update(path.read_bytes())
    if PROCESSORS.is_file():
        first = PROCESSORS.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
        digest.update("\n".join(line for line in first.splitlines() if line.split("\t")[0].startswith(DESCRIBES)).encode())
    return digest.hexdigest()[:16]


def sources(pattern: str = "*.cpp") -> list[Path]:
    return sorted(HERE.glob(pattern))


def _compile(compiler: list[str], path: Path) -> None:
    """Raises NoLibrary."""

    def write(temporary: Path) -> None:
        words = [*compiler, *OPTIONS, *SHARED, *map(str, sources()), "-o", str(temporary)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), f"exit {done.returncode}")
            raise NoLibrary(f"the C++ compiler {compiler[0]} fails ({one_line(said)}); name another by {COMPILER}")

    try:
        atomic_write(path, write)
    except subprocess.TimeoutExpired as error:
        raise NoLibrary(f"the C++ compiler {compiler[0]} takes over {PATIENCE} s; name another by {COMPILER}") from error
    except (OSError, UserError) as error:
        raise NoLibrary(f"the kernels cannot be compiled ({one_line(str(error))})") from error
