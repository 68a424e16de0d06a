"""Imports point one way: core <- backends <- tools, parity_tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "segformer_core": {"torch", "mindspore", "transformers", "backend_torch", "backend_mindspore", "tools", "parity_tests"},
    "backend_torch": {"mindspore", "transformers", "backend_mindspore", "tools", "parity_tests"},
    "backend_mindspore": {"torch", "transformers", "backend_torch", "tools", "parity_tests"},
    "tools": {"parity_tests"},
}


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        wrong = imported(file.read_text(encoding="utf-8")) & FORBIDDEN[package]
        assert not wrong, f"{file.relative_to(ROOT)} imports {', '.join(wrong)}"


def test_the_walk_sees_an_import_in_a_function():
    assert imported("def f():\n    from torch.nn import Linear\n    import mindspore.nn as nn\n") == {"torch", "mindspore"}


def test_core_loads_no_framework():
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in (ROOT / "segformer_core").rglob("*.py")
        if file.name != "__init__.py"
    ]
    assert "segformer_core.cli" in modules
    program = f"import sys, {', '.join(modules)}; sys.exit(bool({{'torch', 'mindspore', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
