"""backend_mindspore is built on what survives in MindSpore: nothing that it announces to remove, or to give another meaning."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests import ROOT

pytestmark = pytest.mark.usefixtures("need_mindspore")
ANNOUNCED = re.compile(r"after version 2\.9|deprecated|will be removed|removed in future|announced", re.IGNORECASE)
"""What MindSpore's documentation says of a name that will not stay as it is."""

RENAMED = "an argument gets another name, and it is given by position"
ADDED = "arguments are added to it, which are not used"
KEPT = {
    "ms.get_context": "device_target is asked for before a device is set, which `get_current_device` does not allow",
    "ms.export": "only AIR goes: MINDIR is the default",
    "ms.set_context": "`mode` has no other place; `jit_config` is set on the first Ascend alone, whose MindSpore keeps it",
    "ops.add": ADDED,
    "ops.chunk": RENAMED,
    "ops.concat": RENAMED,
    "ops.cumsum": RENAMED,
    "ops.gelu": "`approximate` is given by name",
    "ops.mean": RENAMED,
    "ops.narrow": RENAMED,
    "ops.permute": RENAMED,
    "ops.split": RENAMED,
    "ops.sqrt": RENAMED,
    "ops.squeeze": RENAMED,
    "ops.stack": RENAMED,
    "ops.where": ADDED,
    "ops.zeros": "`dtype` is given by name, and the size as a tuple",
}
"""Name with an announcement -> why it may stay. 2.10 announces these; an earlier MindSpore fewer."""


def used_names(path: Path) -> set[str]:
    """`ms.…`, `nn.…`, `ops.…` and so on: what a file takes from MindSpore's modules."""
    modules = {"ms", "nn", "ops", "mint", "communication", "amp"}
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts, node = [node.attr, *parts], node.value
        if parts and isinstance(node, ast.Name) and node.id in modules:
            names |= {".".join((node.id, *parts[:end])) for end in range(1, len(parts) + 1)}
    return names


def announced(names: set[str]) -> set[str]:
    import mindspore

    found = set()
    for name in names:
        member = mindspore
        for part in name.removeprefix("ms.").split("."):
            member = getattr(member, part, None)
        if callable(member) and ANNOUNCED.search(getattr(member, "__doc__", None) or ""):
            found.add(name)
    return found


def test_nothing_is_used_that_will_go():
    names = set().union(*(used_names(path) for path in (ROOT / "backend_mindspore").glob("*.py")))
    assert len(names) > 80
    assert announced(names) - KEPT.keys() == set(), "see KEPT: use what stays, or name the reason there"
    assert KEPT.keys() - names == set(), "these are used no more"


def test_what_will_go_is_found(tmp_path):
    (tmp_path / "a.py").write_text("nn.BatchNorm2d(3)\nms.set_auto_parallel_context()\nx = ops.relu(ops.MatMul()(y, z))\n")
    names = used_names(tmp_path / "a.py")
    assert names == {"nn.BatchNorm2d", "ms.set_auto_parallel_context", "ops.relu", "ops.MatMul"}
    import mindspore

    recent = tuple(map(int, mindspore.__version__.split(".")[:2])) >= (2, 10)
    assert announced(names) == ({"nn.BatchNorm2d", "ms.set_auto_parallel_context"} if recent else announced(names))


def test_the_networks_layers_are_ours():
    from backend_mindspore.model import SegFormer
    from segformer_core.spec.model import segformer

    cells = {type(cell) for _, cell in SegFormer(segformer("b0")).cells_and_names()}
    assert {f"{kind.__module__}.{kind.__name__}" for kind in cells if not kind.__module__.startswith("backend_mindspore.")} == {
        "mindspore.nn.layer.container.CellList"
    }


def test_a_training_step_warns_of_nothing():
    words = [sys.executable, "-m", "parity_tests.ascend.one_step"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "loss" in done.stdout, said
    assert not ANNOUNCED.search(said), said
