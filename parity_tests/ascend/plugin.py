"""The Ascend plugin of the installed MindSpore, asked which operators it has a kernel for.

`python -m parity_tests.ascend.plugin NAME…` loads the plugin and calls two of its functions: the one that finds a kernel of
CANN's operator library (`aclnn…`), and the one that finds the adapter to an operator of CANN's graph engine. What the plugin
needs of CANN and the driver, which this machine lacks, is stood in by functions that do nothing. `asked` runs it, since whatever
goes wrong in the plugin ends the process. All this is for MACHINE alone: others pass arguments otherwise.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from parity_tests import ROOT
from parity_tests.ascend.stand_in_library import ZEROS, write_library

MACHINE = "x86_64"
OPERATORS, RESOURCES = PARTS = ("libmindspore_ops_ascend.so", "ascend/libmindspore_ascend_res_manager.so")
"""The libraries of the plugin that have the two functions, by their place in its folder."""

HAS_KERNEL = "_ZN9mindspore6kernel19IsRegisteredAclnnOpERKSs"
"""bool IsRegisteredAclnnOp(const std::string &)"""
FIND_ADAPTER = "_ZN9mindspore6device6ascend11FindAdapterERKSsb"
"""std::shared_ptr<OpAdapter> FindAdapter(const std::string &, bool training)"""
ADAPTER_CLASS = re.compile(r"OpAdapterI\w+?(\d+)cz(\w+)")
"""The adapter's class, as the compiler writes it: the graph engine's operator behind `cz`, and the length of both before it."""

FALLS_BACK = b"IsKernelSelectBackoffOp"
"""MindSpore's function that lets the host compute what an Ascend has no kernel for."""

OF_MINDSPORE = ("libmindspore_cluster.so", "libmindspore_ops_host.so")
"""Libraries of MindSpore that the plugin uses besides those that it names."""
WORD = ctypes.sizeof(ctypes.c_void_p)
TABLE_OF_ERRORS = 1
"""The word of the zeros in which the tree of the graph engine's table of errors begins. An empty std::map ends there, too."""


class Served(NamedTuple):
    """How the plugin serves an operator."""

    kernel: bool
    """One of CANN's operator library is registered under its name."""
    adapter: str
    """The operator of CANN's graph engine that it becomes, or nothing."""


def asked(operators: Iterable[str]) -> dict[str, Served]:
    """Operator -> what the plugin answers. Raises RuntimeError if the plugin cannot be asked."""
    process = subprocess.run(
        [sys.executable, "-m", "parity_tests.ascend.plugin", *sorted(operators)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "GLOG_v": "3"},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise RuntimeError(f"the Ascend plugin ended with {process.returncode}: {process.stderr.strip()}")
    return {name: Served(*answer) for name, answer in json.loads(process.stdout.splitlines()[-1]).items()}


def vendor_names(folder: Path) -> tuple[str, ...]:
    """The names of CANN's functions that the plugin calls, `aclnn…`, as its library of operators holds them."""
    found = re.findall(rb"\0(aclnn[A-Z]\w+)(?=\0)", (folder / OPERATORS).read_bytes())
    return tuple(sorted({name.decode() for name in found if not name.endswith(b"GetWorkspaceSize")}))


def falls_back_to_the_host(folder: Path) -> bool:
    """The plugin lets the host compute what it has no kernel for."""
    return FALLS_BACK in (folder / "libmindspore_ascend.so.2").read_bytes()


def plugin_folder() -> Path:
    import mindspore

    return Path(mindspore.__file__).parent / "lib" / "plugin"


class Plugin:
    """The plugin, loaded into this process."""

    def __init__(self, folder: Path):
        needed, defined, undefined = zip(*(_described(folder / part) for part in PARTS), strict=True)
        with tempfile.TemporaryDirectory() as temporary:
            for name in dict.fromkeys((*OF_MINDSPORE, *(name for names in needed for name in names))):
                _load(name, (folder.parent, folder), Path(temporary))
            everything = ctypes.CDLL(None)
            missing = set().union(*undefined).difference(*defined)
            functions = Path(temporary, "libstand_in.so")
            write_library(functions, sorted(name for name in missing if not hasattr(everything, name)))
            zeros = (ctypes.c_void_p * 8).in_dll(ctypes.CDLL(str(functions), ctypes.RTLD_GLOBAL), ZEROS)
            zeros[TABLE_OF_ERRORS + 2] = zeros[TABLE_OF_ERRORS + 3] = ctypes.addressof(zeros) + TABLE_OF_ERRORS * WORD
            for part in PARTS:  # side by side, since each needs the other and looks for it beside itself
                Path(temporary, Path(part).name).symlink_to(folder / part)
            library = ctypes.CDLL(str(Path(temporary, OPERATORS)))
            resources = ctypes.CDLL(str(Path(temporary, Path(RESOURCES).name)))
        self._has_kernel = _function(library, HAS_KERNEL, ctypes.c_bool, 1)
        self._find_adapter = _function(resources, FIND_ADAPTER, None, 2)

    def served(self, operator: str) -> Served:
        pair = (ctypes.c_void_p * 2)()  # std::shared_ptr: the object, and the count of its users
        text = _String(operator)
        self._find_adapter(ctypes.addressof(pair), text.address, False)
        return Served(self._has_kernel(text.address), _adapted(pair[0]) if pair[0] else "")


class _String:
    """A std::string of the layout that MindSpore is compiled with: length, capacity and users, then the text."""

    def __init__(self, text: str):
        data = text.encode()
        self._buffer = ctypes.create_string_buffer(len(data).to_bytes(8, "little") * 2 + bytes(8) + data)
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._buffer) + 24)
        self.address = ctypes.addressof(self._pointer)


def _function(library: ctypes.CDLL, name: str, result: Any, pointers: int) -> Any:
    function = library[name]
    function.restype = result
    function.argtypes = [ctypes.c_void_p] * pointers + ([ctypes.c_bool] if result is None else [])
    return function


def _adapted(adapter: int) -> str:
    """The name of the adapter's class, which its first pointer leads to, holds that of the graph engine's operator."""
    kind = ctypes.c_void_p.from_address((ctypes.c_void_p.from_address(adapter).value or 0) - 8).value or 0
    name = (ctypes.c_char_p.from_address(kind + 8).value or b"").decode()
    match = ADAPTER_CLASS.search(name)
    return match[2][: int(match[1]) - len("cz")] if match else name


def _described(library: Path) -> tuple[list[str], set[str], set[str]]:
    """The libraries that it needs, and the names that it defines and does not define."""
    with open(library, "rb") as file:
        elf = ELFFile(file)
        dynamic, symbols = elf.get_section_by_name(".dynamic"), elf.get_section_by_name(".dynsym")
        assert isinstance(dynamic, DynamicSection) and isinstance(symbols, SymbolTableSection), library
        needed = [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]
        defined, undefined = set[str](), set[str]()
        for symbol in symbols.iter_symbols():
            (undefined if symbol["st_shndx"] == "SHN_UNDEF" else defined).add(symbol.name)
    return needed, defined, undefined - {""}


def _load(name: str, folders: Iterable[Path], temporary: Path) -> None:
    """Load MindSpore's library or the system's; an empty one for what is neither. Parts of the plugin itself come later."""
    if any(part.endswith(name) for part in PARTS):
        return
    for place in (*(str(folder / name) for folder in folders if (folder / name).exists()), name):
        try:
            ctypes.CDLL(place, ctypes.RTLD_GLOBAL)
            return
        except OSError:
            continue
    write_library(temporary / name, [])
    ctypes.CDLL(str(temporary / name), ctypes.RTLD_GLOBAL)


def main(operators: Iterable[str]) -> None:
    plugin = Plugin(plugin_folder())
    print(json.dumps({operator: plugin.served(operator) for operator in operators}))


if __name__ == "__main__":
    main(sys.argv[1:])
