"""Imports point down: parity_tests and tools -> backends -> core, and within the core from each room to those below it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from parity_tests import ROOT

FLOORS = (
    {"parity_tests", "tools", "segformer_core.__main__"},
    {"backend_mindspore", "backend_torch"},
    {"segformer_core.cli"},
    {"segformer_core.api", "segformer_core.commands"},
    {"segformer_core.export"},
    {"segformer_core.evaluation"},
    {"segformer_core.training", "segformer_core.inference", "segformer_core.survey", "segformer_core.device_check"},
    {"segformer_core.protocol", "segformer_core.pictures", "segformer_core.making"},
    {"segformer_core.weights", "segformer_core.data", "segformer_core.sample_city"},
    {
        "segformer_core.config",
        "segformer_core.spec",
        "segformer_core.files",
        "segformer_core.rank_table",
        "segformer_core.memory",
        "segformer_core.output",
    },
    {
        "segformer_core",
        "segformer_core.seeds",
        "segformer_core.errors",
        "segformer_core.pace",
        "segformer_core.pages",
        "segformer_core.paths",
        "segformer_core.interrupt",
    },
)
"""The rooms of the house, the top floor first; `segformer_core` alone is the package's version.

A room imports only itself and rooms of lower floors: so neither backend knows the other, and nobody depends on the tests.
"""

FRAMEWORKS = {"torch", "mindspore", "transformers"}
OWN_FRAMEWORKS = {"backend_torch": {"torch"}, "backend_mindspore": {"mindspore"}}
PEERS = {"backend_torch.transformers_peer": {"transformers"}}
"""Files that may import one more framework, because they exist for it."""


def floor(room: str) -> int:
    return next(len(FLOORS) - index for index, rooms in enumerate(FLOORS) if room in rooms)


def room_of(module: str) -> str:
    """The room of a module of ours; of the core, its sub-package or file."""
    package, _, rest = module.partition(".")
    return f"{package}.{rest.partition('.')[0]}" if package == "segformer_core" and rest else package


def imported(source: str) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "segformer_core" else {module}
    return names


def ours(module: str) -> bool:
    return module.partition(".")[0] in {room.partition(".")[0] for rooms in FLOORS for room in rooms}


def upward(module: str, source: str) -> list[str]:
    """The imports of a module that do not point down."""
    room = room_of(module)
    targets = {room_of(name) for name in imported(source) if ours(name)} - {room}
    return sorted(f"{module} -> {target}" for target in targets if floor(target) >= floor(room))


def strange_frameworks(module: str, source: str) -> list[str]:
    """The frameworks that a module imports and must not."""
    used = {name.partition(".")[0] for name in imported(source)} & FRAMEWORKS
    return sorted(used - OWN_FRAMEWORKS.get(module.partition(".")[0], set()) - PEERS.get(module, set()))


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Name and source."""
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    for path in paths:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("package", ["segformer_core", "backend_torch", "backend_mindspore", "tools", "parity_tests"])
def test_imports_point_down(package):
    wrong = [arrow for name, source in modules(package) for arrow in upward(name, source)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["segformer_core", "backend_torch", "backend_mindspore", "tools"])
def test_a_framework_is_imported_by_its_own_backend_only(package):
    wrong = {name: strange for name, source in modules(package) if (strange := strange_frameworks(name, source))}
    assert not wrong


@pytest.mark.parametrize(
    ("module", "source", "arrow"),
    [
        ("segformer_core.protocol.plan", "def f():\n    from segformer_core.evaluation.metrics import scores", "evaluation"),
        ("segformer_core.data.folder", "import segformer_core.weights.store", "weights"),
        ("segformer_core.errors", "from segformer_core import cli", "cli"),
        ("segformer_core.export.export", "from backend_torch.model import SegFormer", "backend_torch"),
        ("backend_torch.model", "from backend_mindspore import model", "backend_mindspore"),
        ("tools.benchmark", "from parity_tests import support", "parity_tests"),
    ],
)
def test_the_walk_sees_an_arrow_that_points_up_or_sideways(module, source, arrow):
    [found] = upward(module, source)
    assert found.startswith(f"{module} -> ") and found.endswith(arrow)


def test_the_walk_lets_arrows_down_pass():
    assert upward("segformer_core.commands.train", "from segformer_core.training import loop\nimport numpy, segformer_core") == []


def test_the_walk_sees_a_framework_in_a_function():
    source = "def f():\n    from torch.nn import Linear\n    import mindspore.nn as nn\n    import transformers"
    assert strange_frameworks("segformer_core.cli", source) == ["mindspore", "torch", "transformers"]
    assert strange_frameworks("backend_torch.transformers_peer", source) == ["mindspore"]


def test_core_loads_no_framework():
    names = [name for name, _ in modules("segformer_core") if name != "segformer_core.__main__"]
    assert "segformer_core.commands.benchmark" in names
    program = f"import sys, {', '.join(names)}; sys.exit(bool({{'torch', 'mindspore', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def rooms_imported() -> dict[str, set[str]]:
    """Room -> the rooms of lower floors that it imports."""
    arrows: dict[str, set[str]] = {}
    for package in ("segformer_core", "backend_torch", "backend_mindspore", "tools"):
        for name, source in modules(package):
            room = room_of(name)
            arrows.setdefault(room, set()).update({room_of(found) for found in imported(source) if ours(found)} - {room})
    return arrows


def test_the_drawing_in_words_is_that_of_the_code():
    """docs/architecture.md: floor, room and imports of every room."""
    table = re.findall(
        r"^\| (\d+) \| `(\S+)` \| .* \| (.*) \|$", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    arrows = rooms_imported()
    rooms = sorted((room for rooms in FLOORS for room in rooms - {"parity_tests"}), key=lambda room: (-floor(room), room))
    shown = {room: ", ".join(sorted(arrows.get(room, ()))).replace("segformer_core.", "") or "–" for room in rooms}
    assert table == [(str(floor(room)), room, shown[room]) for room in rooms]
