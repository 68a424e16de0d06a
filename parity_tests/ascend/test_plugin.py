"""MindSpore's Ascend plugin as a witness, and the library that stands in for what it needs of CANN."""

import ctypes
import re
import struct

import pytest

from parity_tests import ROOT
from parity_tests.ascend import stand_in_library
from parity_tests.ascend.kernel_table import NONE, NUMBERS, rows, unserved
from parity_tests.ascend.plugin import Served, asked, falls_back_to_the_host, plugin_folder, vendor_names
from parity_tests.ascend.stand_in_library import ROOM, ZEROS, write_library


def call(*types: str) -> str:
    return "(%1)\n      : (" + ", ".join(f"<Tensor[{kind}], (2, 3)>" for kind in types) + ") -> (<Tensor[Float64], (2, 3)>)"


def test_what_the_plugin_answers(need_plugin):
    """Of an operator with a kernel, of one that the graph engine alone has, of one of a CPU, and of none."""
    answers = asked(["GeluExt", "Conv2D", "MatMul", "Lstsq", "NoSuchOperator"])
    assert answers == {
        "GeluExt": Served(True, ""),
        "Conv2D": Served(False, "Conv2D"),
        "MatMul": Served(True, "MatMulV2"),
        "Lstsq": Served(False, ""),
        "NoSuchOperator": Served(False, ""),
    }
    calls = [(operator, call("Float16")) for operator in answers]
    problems = [problem.partition(" has no kernel in the Ascend plugin of MindSpore ")[0] for problem in unserved(calls, answers)]
    assert problems == ["Lstsq", "NoSuchOperator"]


def test_a_plugin_that_cannot_be_asked_is_an_error(need_plugin, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "no number")
    with pytest.raises(RuntimeError, match="the Ascend plugin ended with 1: .*PYTHONHASHSEED"):
        asked(["Conv2D"])


def test_numbers_are_the_hosts(need_plugin):
    assert falls_back_to_the_host(plugin_folder())
    answers = dict.fromkeys(NUMBERS, Served(False, ""))
    assert unserved([(operator, call()) for operator in NUMBERS], answers) == []
    (problem,) = unserved([("ScalarMul", call("Float16"))], answers)
    assert problem.startswith("ScalarMul takes a tensor")


def test_the_vendors_functions(need_plugin):
    names = vendor_names(plugin_folder())
    assert {"aclnnErf", "aclnnBatchMatMul", "aclnnFlashAttentionScore"} <= set(names) and len(names) > 300
    assert not [name for name in names if name.endswith("GetWorkspaceSize")]


def test_a_row_of_the_table():
    answers = {
        "Erf": Served(True, "Erf"),
        "SumExt": Served(True, ""),
        "Adam": Served(False, "ApplyAdamD"),
        "MakeTuple": Served(False, ""),
    }
    calls = [
        ("Erf", call("Float32")),
        ("Erf", call("Float16")),
        ("SumExt", call("Float16", "Int64")),
        ("MakeTuple", call("Bool")),
    ]
    assert rows([*calls, ("Adam", call())], answers, ["aclnnErf"]) == [
        ("Adam", NONE, "`ApplyAdamD`", "numbers"),
        ("Erf", "`aclnnErf`", "`Erf`", "Float16 Float32"),
        ("SumExt", "registered", NONE, "Float16 Int64"),
    ]


@pytest.mark.parametrize("page", ["ascend_kernels.md", "ascend_costs.md"])
def test_the_pages_are_of_the_version_that_the_suite_runs_with(page):
    wanted = re.search(r"^mindspore==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    stated = re.search(r"^MindSpore (\d+\.\d+\.\d+)[.,]", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert wanted and stated and stated[1] == wanted[1], "its command is on the page"


def test_functions_of_the_stand_in_give_its_zeros(need_plugin, tmp_path):
    names = [f"function_{index}" for index in range(300)]
    write_library(tmp_path / "libsome.so", names)
    library = ctypes.CDLL(str(tmp_path / "libsome.so"))
    zeros = (ctypes.c_char * ROOM).in_dll(library, ZEROS)
    for name in (names[0], names[-1]):
        function = library[name]
        function.restype = ctypes.c_void_p
        assert function(1, 2) == ctypes.addressof(zeros)
    assert not any(zeros.raw) and not hasattr(library, "function_300")
    zeros[ROOM - 1] = b"\x01"  # they can be written


def test_an_empty_stand_in_takes_the_place_of_a_library(need_plugin, tmp_path):
    write_library(tmp_path / "libnot_there.so", [])
    ctypes.CDLL(str(tmp_path / "libnot_there.so"), ctypes.RTLD_GLOBAL)
    ctypes.CDLL("libnot_there.so")  # by its name alone, as another library asks for it
    with pytest.raises(OSError, match="libnot_there_either.so"):
        ctypes.CDLL("libnot_there_either.so")


def test_the_code_of_a_function():
    """As an assembler writes it: lea rax, [rip + 0x1000]; ret."""
    assert stand_in_library.returns_address(0x1007).hex() == "488d0500100000c3"


def test_the_header_has_the_size_that_it_states(tmp_path):
    write_library(tmp_path / "libsome.so", ["name"])
    text = (tmp_path / "libsome.so").read_bytes()
    fields = struct.unpack_from(stand_in_library.HEADER, text)
    assert text.startswith(b"\x7fELF") and fields[8] == struct.calcsize(stand_in_library.HEADER) == 64
