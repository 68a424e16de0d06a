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
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import mindspore as ms

from segformer_core.config.keys import RuntimeConfig
from segformer_core.data.dataset import IGNORED
from segformer_core.errors import UserError, brief, one_line
from segformer_core.files import cache_folder
from segformer_core.protocol.learner import LogLine

HERE = Path(__file__).parent
COMPILER, DEFAULT_COMPILER = "CXX", "g++"
"""The variable that names the C++ compiler, and the one that is taken without it."""

FAST = ("-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast")
OPTIONS = ("-std=c++17", *FAST, "-fvisibility=hidden", "-pthread", "-shared", "-fPIC", f"-DIGNORED={IGNORED}")

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
    with _one_at_a_time:
        path, reason = _made(runtime.compile_cache, log)
    if reason:
        log(f"MindSpore's own operators compute everything, which is slower: {reason}, or set compile False")
    return path


def is_kept(path: str) -> bool:
    """Whether the library will be there for the next program, too."""
    return not _folder_of_this_run.cache_info().currsize or Path(path).parent != _folder_of_this_run()


_one_at_a_time = threading.Lock()
_known: dict[str, tuple[str, str]] = {}


def _made(compile_cache: str, log: LogLine) -> tuple[str, str]:
    """(path, "") or ("", reason), found once in a process, and once more if the file has gone."""
    path, reason = _known.get(compile_cache, ("", ""))
    if not reason and not Path(path).is_file():
        try:
            path = str(_compiled_and_loaded(compile_cache, log))
        except NoLibrary as error:
            path, reason = "", str(error)
        _known[compile_cache] = path, reason
    return path, reason


def _compiled_and_loaded(compile_cache: str, log: LogLine) -> Path:
    """Raises NoLibrary."""
    if sys.platform != "linux":
        raise NoLibrary("the kernels are for Linux")
    try:
        compiler = shlex.split(os.environ.get(COMPILER, "")) or [DEFAULT_COMPILER]
    except ValueError as error:
        named = brief(os.environ[COMPILER])
        raise NoLibrary(f"{COMPILER} is {named}, which is no command ({error}); name a C++ compiler") from error
    found = shutil.which(compiler[0])
    if not found:
        raise NoLibrary(f"there is no C++ compiler {brief(compiler[0])}; install it")
    name = f"kernels-{_key(Path(found), compiler[1:])}.so"
    for folder in _folders(compile_cache):
        path = folder / name  # the loader takes a library that has gone for the one that it knows
        if (path.is_file() and _loads(path)) or _compiled([found, *compiler[1:]], path, log):
            return path
    where = _folder_of_this_run()
    raise NoLibrary(f"the kernels cannot be kept and loaded in {where}; let TMPDIR name another folder, or {COMPILER} a compiler")


def _loads(path: Path) -> bool:
    """Whether the library at `path` can be called; it then knows its threads. Not from a folder of which nothing may be run."""
    try:
        ctypes.CDLL(str(path)).set_threads(threads())
    except (OSError, AttributeError):
        return False
    return True


def _compiled(compiler: list[str], path: Path, log: LogLine) -> bool:
    """Compile the library to `path`, if it can be written and loaded there. Raises NoLibrary."""
    log(f"compiling the kernels for this processor (seconds); they are kept in {path.parent} …")
    with suppress(OSError), tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        built = Path(folder) / path.name
        _run([*compiler, *OPTIONS, *map(str, sources()), "-o", str(built)])
        with built.open("rb+") as file:
            os.fsync(file.fileno())
        if _loads(built):
            built.replace(path)
            return _loads(path)
    return False


def _run(words: list[str]) -> None:
    """Raises NoLibrary, or OSError if the compiler cannot be started."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoLibrary(f"the C++ compiler {words[0]} takes over {PATIENCE} s; name another by {COMPILER}") from error
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), f"exit {done.returncode}")
        raise NoLibrary(f"the C++ compiler {words[0]} fails ({one_line(said)}); name another by {COMPILER}")


def threads() -> int:
    """How many the kernels take: as OMP_NUM_THREADS says, else as many as the process has cores.

    (MindSpore sets the variable to 1 when it is imported. `os.environ` does not show that, but processes that are then started
    have it, such as msrun's.)
    """
    named = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(named) if named.isdecimal() and int(named) else len(os.sched_getaffinity(0))


def _folders(compile_cache: str) -> Iterator[Path]:
    """Where the library may lie: in `compile_cache` or else the user's cache, and where that will not do a folder of this run."""
    with suppress(OSError, UserError, RuntimeError):  # RuntimeError: a link to itself
        folder = Path(compile_cache) if compile_cache else cache_folder(os.environ)
        folder = (folder / "native").resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_private(folder) and can_be_named(folder):
            yield folder
    if not can_be_named(_folder_of_this_run()):
        raise NoLibrary("MindSpore opens no library below a folder with a colon in its name; let TMPDIR name another folder")
    yield _folder_of_this_run()


def is_private(folder: Path) -> bool:
    """Whether nobody but the user, and root, can write in it, and nobody can put another in its place."""
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    above = [parent.stat() for parent in folder.parents]
    return all(parent.st_mode & stat.S_ISVTX or not parent.st_mode & stat.S_IWOTH for parent in above)


def can_be_named(folder: Path) -> bool:
    """Whether MindSpore can be told of a file there: it separates the function's name by a colon."""
    return ":" not in str(folder)


@cache
def _folder_of_this_run() -> Path:
    try:
        folder = tempfile.mkdtemp(prefix="segformer_")
    except OSError as error:
        raise NoLibrary(f"there is no folder for the kernels ({error.strerror}); free some space") from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder).resolve()


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
