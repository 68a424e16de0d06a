"""What is installed: every package, the recipes, and a suite that does not skip what it must run."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from parity_tests import conftest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("segformer_core", "backend_torch", "backend_mindspore", "tools")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The unpacked wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in tracked or [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_holds_every_module_and_recipe(wheel):
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert (wheel / path.relative_to(ROOT)).is_file(), path
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert (wheel / path.relative_to(ROOT)).is_file(), path
    assert not (wheel / "parity_tests").exists()


def test_installed_recipes_are_found_from_anywhere(wheel, tmp_path):
    program = (
        "import segformer_core.config as c; config = c.load_config(['--config_path', 'configs/segformer.b0.camvid.yaml']); "
        "print(c.__file__, config.data.dataset_file, c.find_config(config.data.dataset_file))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(wheel)}, capture_output=True, text=True, check=True
    )
    module, _, found = done.stdout.split()
    assert module.startswith(str(wheel)) and found == str(wheel / "configs/datasets/camvid.yaml")


def test_a_required_framework_that_is_missing_fails_and_is_not_skipped(monkeypatch):
    monkeypatch.setattr(conftest, "REQUIRED", ["no_such_framework"])
    with pytest.raises(pytest.fail.Exception, match="SEGFORMER_BACKENDS requires it"):
        conftest.need("no_such_framework")
    monkeypatch.setattr(conftest, "REQUIRED", [])
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        conftest.need("no_such_framework")
