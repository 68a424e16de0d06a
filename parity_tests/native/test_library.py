"""How the library of kernels comes to be, and what a learner does where it cannot."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.conftest import need
from parity_tests.native.calls import path
from parity_tests.support import CONFIG, assert_close, hot_arrays, mindspore_learner, mindspore_runtime, random_images
from segformer_core.spec.model import VARIANTS, Variant, segformer

SPEC = segformer(Variant(VARIANTS["b0"].widths, (1, 1, 1, 1), VARIANTS["b0"].decoder_width))
TO_OUTPUT = 'while [ "$1" != -o ]; do shift; done'
NONE = "MindSpore's own operators compute everything, which is slower: "


@pytest.fixture(scope="module")
def ready() -> str:
    """A library that has been compiled."""
    need("mindspore")
    return path()


@pytest.fixture(autouse=True)
def user(ready, tmp_path, monkeypatch) -> Iterator[Path]:
    """Somebody's home folder, with a compiler that is quick, and a program that has just been started."""
    from backend_mindspore.native import library

    monkeypatch.setattr(library, "_known", {})
    library._folder_of_this_run.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", a_compiler(tmp_path, f'{TO_OUTPUT}; cp "{ready}" "$2"'))
    yield tmp_path
    library._folder_of_this_run.cache_clear()


def made(**runtime: object) -> tuple[str, list[str]]:
    """The library that a network would call, and what is said."""
    from backend_mindspore.native.library import library_for

    lines: list[str] = []
    return library_for(replace(mindspore_runtime("graph"), **runtime), lines.append), lines


def again(**runtime: object) -> tuple[str, list[str]]:
    """The same in the user's next program."""
    from backend_mindspore.native import library

    library._known.clear()
    return made(**runtime)


def in_a_program() -> tuple[str, str]:
    """The library that another program finds or makes, and whether it is there as long as the program runs."""
    code = "from parity_tests.native.calls import path; import os; print(found := path(), os.path.isfile(found))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found, there = done.stdout.split()
    return found, there


def a_compiler(folder: Path, body: str) -> str:
    path = folder / f"compiler{len(list(folder.glob('compiler*')))}"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_compiled_once_for_a_user(user):
    found, lines = made()
    folder = user / "cache" / "segformer-twins" / "native"
    assert Path(found).parent == folder and [entry.name for entry in folder.iterdir()] == [Path(found).name]
    assert lines == [f"compiling the kernels for this processor (seconds); they are kept in {folder} …"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made() == (found, []) and again() == (found, [])


def test_with_a_compile_cache_it_lies_there(user):
    """Graphs that are kept there name it."""
    found, _ = made(compile_cache=str(user / "kept"))
    assert Path(found).parent == user / "kept" / "native" and not (user / "cache").exists()
    assert made()[0] != found


def test_another_source_compiler_option_or_processor_is_another_library(user, monkeypatch):
    from backend_mindspore.native import library

    paths = [made()[0]]
    compiler = a_compiler(user, Path(os.environ["CXX"]).read_text())
    monkeypatch.setenv("CXX", compiler)
    paths.append(again()[0])
    monkeypatch.setenv("CXX", f"{compiler} -g0")
    paths.append(again()[0])
    processors = user / "cpuinfo"
    processors.write_text("processor\t: 0\nmodel\t\t: 1\nflags\t\t: sse\n\nprocessor\t: 1\n")
    monkeypatch.setattr(library, "PROCESSORS", processors)
    paths.append(again()[0])
    processors.write_text("processor\t: 7\nmodel\t\t: 1\nflags\t\t: sse\n\n")
    assert again()[0] == paths[-1], "which of the processors it is does not matter"
    copy = user / "sources"
    copy.mkdir()
    for source in library.HERE.glob("*.[ch]*"):
        (copy / source.name).write_bytes(source.read_bytes())
    (copy / "kernel.h").write_text((copy / "kernel.h").read_text() + "// changed\n")
    monkeypatch.setattr(library, "HERE", copy)
    paths.append(again()[0])
    assert len(set(paths)) == len(paths) and all(Path(found).is_file() for found in paths)


def test_false_and_an_ascend_have_none(monkeypatch):
    import mindspore as ms

    assert made(compile="False") == ("", [])
    monkeypatch.setattr(ms, "get_context", lambda name: "Ascend")
    assert made() == ("", [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "there is no C++ compiler 'no-such-compiler'; install it, or set compile False"),
        ('"', """CXX is '"', which is no command (No closing quotation); name a C++ compiler"""),
        ("exit 3", "the C++ compiler {} fails (exit 3); name another by CXX, or set compile False"),
        ("echo 'x.cpp:1: error: no' >&2; exit 1", "the C++ compiler {} fails (x.cpp:1: error: no); name another by CXX"),
        ("exit 0", "the kernels cannot be kept and loaded in "),
        (f'{TO_OUTPUT}; echo no library > "$2"', "the kernels cannot be kept and loaded in "),
        ("sleep 9", "the C++ compiler {} takes over 0.2 s; name another by CXX"),
    ],
)  # fmt: skip
def test_without_a_compiler_one_line_says_so(body, said, user, monkeypatch):
    """And the network computes the same."""
    named = {None: "no-such-compiler", '"': '"'}
    compiler = named[body] if body in named else a_compiler(user, body)
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr("backend_mindspore.native.library.PATIENCE", 0.2 if body == "sleep 9" else 60)
    found, lines = made()
    assert found == "" and lines[-1].startswith(NONE + said.format(compiler)), lines
    assert made() == ("", lines[-1:]), "each learner says it; nothing is tried again"
    assert not [entry for entry in (user / "cache").rglob("*") if entry.is_file()]


def test_a_learner_without_a_compiler_computes_the_same(monkeypatch):
    images, arrays = random_images(1, 45, 70), hot_arrays(SPEC)
    want = mindspore_learner(SPEC, arrays, mode="pynative").forward(images)
    monkeypatch.setenv("CXX", "no-such-compiler")
    from backend_mindspore.native import library

    library._known.clear()
    lines: list[str] = []
    got = mindspore_learner(SPEC, arrays, mode="pynative", log=lines.append).forward(images)
    assert lines[0].startswith(NONE) and not np.array_equal(got, want)
    assert_close("logits", got, want, "logits")


def test_a_folder_that_others_can_write_is_not_used(user):
    """They could put a library there, which would be run."""
    folder = Path(made()[0]).parent
    folder.chmod(0o777)
    elsewhere, lines = again()
    assert Path(elsewhere).parent != folder and str(Path(elsewhere).parent) in lines[0]
    assert stat.S_IMODE(Path(elsewhere).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("obstacle", ["a file", "a link to itself", "a full name"])
def test_where_nothing_can_be_kept_it_lives_as_long_as_the_program(obstacle, user, monkeypatch):
    cache = user / "cache"
    if obstacle == "a file":
        cache.write_text("")
    elif obstacle == "a link to itself":
        cache.symlink_to(cache)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(user / ("x" * 300)))
    found, there = in_a_program()
    assert there == "True" and not Path(found).parent.exists()


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_damaged_library_is_made_again(content):
    found, _ = in_a_program()
    Path(found).write_bytes(content)
    assert in_a_program() == (found, "True") and Path(found).read_bytes()[:4] == b"\x7fELF"


def test_a_library_that_has_gone_is_made_again():
    found, _ = made()
    Path(found).unlink()
    assert made()[0] == found and Path(found).is_file()


def test_threads_that_compile_at_once_get_the_same():
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: made(), range(4)))
    assert len({found for found, _ in results}) == 1 and sum(len(lines) for _, lines in results) == 1
    assert [entry.name for entry in Path(results[0][0]).parent.iterdir()] == [Path(results[0][0]).name]


def test_a_folder_with_a_colon_is_not_used(user):
    """MindSpore would look for the file that ends there."""
    found, _ = made(compile_cache=str(user / "at 12:30"))
    assert found and ":" not in found


def test_a_folder_that_could_be_replaced_is_not_used(user):
    """Whoever can write in the folder above can put another in its place, unless it is one like /tmp."""
    open_to_all = user / "all"
    open_to_all.mkdir()
    for mode, used in ((0o777, False), (0o1777, True), (0o755, True)):
        open_to_all.chmod(mode)
        found, _ = again(compile_cache=str(open_to_all))
        assert (Path(found).parent.parent == open_to_all) == used


def test_no_graph_is_kept_that_names_a_library_of_this_run_alone(user):
    from backend_mindspore.native import library

    config = replace(CONFIG, runtime=replace(CONFIG.runtime, compile_cache=str(user / "kept")))
    assert mindspore_learner(SPEC, hot_arrays(SPEC), config).compiling.cache == str(user / "kept")
    (user / "kept" / "native").chmod(0o777)
    library._known.clear()
    learner = mindspore_learner(SPEC, hot_arrays(SPEC), config)
    assert learner.library and learner.compiling.cache == ""


def test_networks_that_are_made_elsewhere_call_no_library(ready):
    """An exported file is for other machines."""
    from backend_mindspore.model import SegFormer
    from backend_mindspore.native.library import calls_to

    def called(model) -> set[str]:
        return {type(cell).__module__ for _, cell in model.cells_and_names()}

    home = "backend_mindspore.native.cells"
    with calls_to(ready):
        assert home in called(SegFormer(SPEC))
        with calls_to(""):
            assert home not in called(SegFormer(SPEC))
        assert home in called(SegFormer(SPEC))
    assert home not in called(SegFormer(SPEC))


@pytest.mark.parametrize(
    ("named", "want"),
    [("3", 3), ("3,2", 3), (" 2 ", 2), ("0", None), ("many", None), ("", None), (None, None)],
)  # fmt: skip
def test_threads_are_those_of_the_variable_or_the_cores(named, want, monkeypatch):
    from backend_mindspore.native.library import threads

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if named is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", named)
    assert threads() == (want or len(os.sched_getaffinity(0)))
