"""Reads pickles without running their code: arrays are built, objects of other classes stay inert, known attacks are refused."""

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from segformer_core.errors import UserError, WeightsError
from segformer_core.weights.containers.pickle_machine import Constructor, PickleMachine, Restored
from segformer_core.weights.containers.pickled_arrays import PickledArray, PickledDtype, array_of_buffer, bytes_of_text, number
from segformer_core.weights.containers.tree import printable


class Inert(Restored, Mapping[Any, Any]):
    """Stands in for an object of a class that no weights need (a configuration, a log): it accepts every call and ignores it.

    It keeps the items that were set into it, since a class such as EasyDict may hold the weights.
    """

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()):
        self.name = name
        first = arguments[0] if len(arguments) == 1 else None
        self.held: dict[Any, Any] = first if isinstance(first, dict) else {}  # ConfigDict is made of a dictionary
        self.is_module = False

    def restore(self, state: Any) -> None:
        self.is_module |= isinstance(state, dict) and {"_parameters", "_modules"} <= state.keys()

    def called(self, *arguments: Any) -> "Inert":
        return Inert(self.name, arguments)

    def __getitem__(self, key: Any) -> Any:
        return self.held[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held[key] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return self.name


ATTACKS: dict[str, frozenset[str] | None] = {
    **dict.fromkeys(
        ("os", "posix", "nt", "subprocess", "_posixsubprocess", "pty", "sys", "shutil", "socket", "ctypes", "_ctypes")
    ),
    **dict.fromkeys(("importlib", "runpy", "imp", "pkgutil", "zipimport", "pip", "pydoc", "codeop", "webbrowser", "antigravity")),
    **dict.fromkeys(("pickle", "_pickle", "marshal", "shelve", "urllib", "http", "requests", "httpx", "ftplib", "smtplib")),
    **dict.fromkeys(("pdb", "bdb", "cProfile", "timeit", "asyncio", "torch.hub", "numpy.testing._private.utils")),
    **dict.fromkeys(
        ("builtins", "__builtin__"),
        frozenset(
            (
                *("eval", "exec", "execfile", "compile", "open", "file", "__import__", "input", "raw_input", "breakpoint"),
                *("globals", "locals", "vars", "setattr", "delattr", "apply", "reload", "exit", "quit", "help"),
            )
        ),
    ),
    "code": frozenset(("InteractiveInterpreter", "InteractiveConsole", "interact")),
    "commands": frozenset(("getoutput", "getstatusoutput")),
    "platform": frozenset(("popen",)),
    "dill": frozenset(("load", "loads")),
    "cloudpickle": frozenset(("load", "loads")),
    "torch": frozenset(("load",)),
    "numpy": frozenset(("load", "fromfile", "memmap")),
}
"""Module -> the names by which pickles attack, None for all: nobody's weights need them. Nothing else is called either."""


class Unreadable(Exception):
    """Raised by a replacement for what is sound and still cannot be read; the message continues the file's name."""


Replacements = dict[tuple[str, str], Any]
"""(module, name) of an object that a pickle imports -> what is used in its place: a function for a call, or any other object."""

ARRAYS: Replacements = {
    ("_codecs", "encode"): bytes_of_text,
    ("numpy", "dtype"): PickledDtype,
    ("numpy", "ndarray"): PickledArray,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): PickledArray for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): number for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): array_of_buffer for core in ("core", "_core")},
}
"""For what a pickle of numpy arrays imports."""


class SafeUnpickler:
    """One pickle in a file, with replacements instead of imports; `stored` turns a persistent id into a storage.

    Without `inert`, whatever has no replacement is refused. With it, unknown classes stay inert, and `inert` gathers their names.
    """

    def __init__(
        self,
        file: IO[bytes],
        source: str,
        replacements: Replacements,
        stored: Callable[[Any], Any] | None = None,
        inert: dict[str, None] | None = None,
    ):
        self.file, self.source, self.stored, self.inert = file, source, stored, inert
        self.machine = PickleMachine(self.find_class, self.persistent_load)
        self.found = {
            names: Constructor(".".join(names), value) if callable(value) else value
            for names, value in (_containers(self.machine) | ARRAYS | replacements).items()
        }

    def load(self) -> Any:
        return self.machine.run(self.file)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.found:
            return self.found[module, name]
        title = printable(f"{module}.{name}")
        if self.inert is None or _is_attack(module, name):
            raise WeightsError(
                f"{self.source} is a pickle that would call {title}, which no weights need; nothing of it "
                "was run; do not trust the file"
            )
        self.inert[title] = None
        self.found[module, name] = Constructor(title, lambda *arguments: Inert(title, arguments))
        return self.found[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if self.stored is None:
            raise WeightsError(f"{self.source} is a pickle that refers to storages outside it; it is not a weight file")
        return self.stored(pid)


def unpickle(unpickler: SafeUnpickler) -> Any:
    """The unpickled object. Raises WeightsError for a damaged or hostile pickle."""
    try:
        return unpickler.load()
    except UserError:
        raise
    except Unreadable as error:
        raise WeightsError(f"{unpickler.source} {error}") from error
    except Exception as error:  # a damaged pickle can raise almost anything
        why = printable(f"{type(error).__name__}: {error}")
        raise WeightsError(f"{unpickler.source} is damaged ({why}); fetch or write it again") from error


def _is_attack(module: str, name: str) -> bool:
    """Whether a name is one of ATTACKS, or reaches a module of them through another, as `timm.os.system` does."""
    parts = [*module.split("."), *name.split(".")]
    modules = {".".join(parts[:end]) for end in range(1, len(parts))} | set(name.split(".")[:-1])
    return any(
        known in modules and (names is None or name in names or name.rpartition(".")[2] in names)
        for known, names in ATTACKS.items()
    )


def _containers(machine: PickleMachine) -> Replacements:
    """Python's own collections: dictionaries become dicts, all others lists or tuples."""

    def values_of(values: Any = (), *_: Any) -> Any:
        if isinstance(values, list | bytes | bytearray | str):
            return values
        machine.spend(len(values) if isinstance(values, tuple) else 0)
        return list(values) if isinstance(values, tuple) else []

    def default(_: Any = None, pairs: Any = ()) -> Any:
        return machine.dictionary(pairs)

    def reconstructed(kind: Any, base: Any = None, state: Any = None) -> Any:
        arguments = (state,) if isinstance(state, dict) else ()
        return kind.build(*arguments)

    def new(kind: Any, *arguments: Any) -> Any:
        return kind.build(*arguments)

    return {
        ("collections", "OrderedDict"): machine.dictionary,
        ("collections", "Counter"): machine.dictionary,
        ("collections", "defaultdict"): default,
        ("collections", "deque"): values_of,
        **{
            (builtins, name): make
            for builtins in ("builtins", "__builtin__")
            for name, make in {
                "dict": machine.dictionary,
                "tuple": lambda values=(): values,
                **dict.fromkeys(("set", "frozenset", "list", "bytearray"), values_of),
            }.items()
        },
        **{(copyreg, "_reconstructor"): reconstructed for copyreg in ("copyreg", "copy_reg")},
        **{(copyreg, "__newobj__"): new for copyreg in ("copyreg", "copy_reg")},
    }
