"""What is installed: three packages of ours with the recipes in one of them, and programs that run without the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT, conftest
from segformer_core.cli import PROGRAMS, USERS_MISTAKE
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

PACKAGES = ("segformer_core", "backend_torch", "backend_mindspore")
SMALL = ["--base_size", "[32,64]", "--crop_size", "[32,64]", "--dataset_num_parallel_workers", "0", "--device_target", "CPU"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in names or [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment with the wheel, and with this environment's libraries but not the checkout."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    place = sysconfig.get_path("purelib", vars={"base": str(environment)})
    (Path(place) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # whose own .pth files are not read
    python = environment / "bin/python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True)
    return environment / "bin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def run(folder: Path, *command: object) -> str:
    """What a command that must succeed prints, run where nothing of the checkout is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_our_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    for package in PACKAGES:
        files = {path for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert {str(path.relative_to(ROOT)) for path in files} <= set(names)
        assert f"{package}/py.typed" in names
    recipes = {f"segformer_core/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert len(recipes) > 10 and recipes <= set(names)


def test_installed_recipes_are_found_from_anywhere(installed, folder):
    program = (
        "from segformer_core.config import files, load; "
        "config = load.load_config(['--config_path', 'configs/segformer.b0.camvid.yaml']); "
        "print(files.__file__, files.find_config(config.data.dataset_file))"
    )
    module, recipe = run(folder, installed / "python", "-c", program).split()
    package = installed.parent / "lib"
    assert package in Path(module).parents and package in Path(recipe).parents
    assert recipe.endswith("segformer_core/configs/datasets/camvid.yaml")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_installed_program_says_what_it_does(installed, folder, name):
    assert run(folder, installed / "segformer", name, "--help").strip()
    assert PROGRAMS[name] in run(folder, installed / "python", "-m", "segformer_core", "--help")


def test_the_program_alone_lists_its_commands(installed):
    done = subprocess.run([installed / "segformer"], capture_output=True, text=True, check=False)
    assert done.returncode == USERS_MISTAKE and all(name in done.stderr for name in PROGRAMS)


def test_the_commands_run_from_an_installed_copy(installed, folder, need_torch):
    """Data, training, evaluation, inference, a contact sheet, conversion and export."""
    segformer, python = installed / "segformer", installed / "python"
    run(folder, segformer, "make_sample_data", "city", "--train", 2, "--val", 1, "--height", 64, "--width", 128)
    run(folder, segformer, "convert_dataset", "city", "--nproc", 1)
    keys = ["--data_path", "city", *SMALL]
    best = "run/segformer_mit_b0_best.safetensors"
    recipe = ["--load_ckpt", False, "--batch_size", 2, "--epoch_size", 1, "--warmup_steps", 0, "--checkpoint_path", "run"]
    assert "best so far" in run(folder, python, "-m", "backend_torch.train", *keys, *recipe)
    assert "===> mIoU:" in run(
        folder, python, "-m", "backend_torch.evaluate", *keys, "--eval_ckpt_path", best, "--report", "page"
    )
    assert (folder / "page/report.html").is_file()
    run(folder, python, "-m", "backend_torch.infer", *keys, "--infer_ckpt_path", best)
    sheet = ["--infer_output_path", "infer_result", "--output", "sheet.png"]
    run(folder, segformer, "make_contact_sheet", "--data_path", "city", *sheet)
    assert (folder / "sheet.png").is_file()
    run(folder, segformer, "convert_model", best, "mindspore.ckpt")
    exported = run(folder, python, "-m", "backend_torch.export", *keys, "--export_ckpt_path", "mindspore.ckpt")
    assert "proved: " in exported and list(folder.glob("*.onnx"))


def test_mindspore_runs_from_an_installed_copy(installed, folder, need_mindspore):
    spec = segformer("b0")
    save_weights(folder / "weights.safetensors", spec, init_arrays(spec, 0))
    program = (
        "from backend_mindspore import load; import numpy as np; network = load('weights.safetensors', base_size=[32, 32]); "
    )
    program += "print(network.segment(np.zeros((32, 32, 3), np.uint8)).shape)"
    assert run(folder, installed / "python", "-c", program).splitlines()[-1] == str(np.zeros((32, 32)).shape)


def test_a_required_framework_that_is_missing_fails_and_is_not_skipped(monkeypatch):
    monkeypatch.setattr(conftest, "REQUIRED", ["no_such_framework"])
    with pytest.raises(pytest.fail.Exception, match="SEGFORMER_BACKENDS requires it"):
        conftest.need("no_such_framework")
    monkeypatch.setattr(conftest, "REQUIRED", [])
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        conftest.need("no_such_framework")
