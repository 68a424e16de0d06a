"""The header of a recipe says how it is run and what came out: a command that parses, and a result or "not run"."""

import re
import shlex
from pathlib import Path

import pytest

from parity_tests import ROOT
from segformer_core.config.keys import Config
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.errors import ConfigError
from segformer_core.sample_city.files import Recipe

SHARED = "segformer.base.yaml"
"""Keys that recipes share; it is not run alone."""
RECIPES = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.name != SHARED)
TRAINING_IMAGES = {"data/cityscapes": 2975, "data/camvid": 367, "data/sample": Recipe().train}
"""Of the data sets' train splits; CamVid's as SegNet divides it."""


def header(path: Path) -> list[str]:
    """The comment at the start of a recipe, line by line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").strip() for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")]]


def commanded(lines: list[str], recipe: str) -> Config:
    """The configuration of the one command of a header, which must run `recipe`."""
    [command] = [line for line in lines if re.match(r"python -m |make ", line)]
    if command.startswith("make "):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE) and f"RECIPE := {recipe}\n" in makefile
        words = ["--config_path", recipe]
    else:
        program, *words = shlex.split(command)[2:]
        assert program in ("backend_mindspore.train", "backend_torch.train")
        assert words[:2] == ["--config_path", recipe]
    return load_config(words, READS["train"])


def check_result(lines: list[str], config: Config) -> None:
    """ "not run", or an mIoU and the number of steps that the keys give."""
    [start] = [index for index, line in enumerate(lines) if line.startswith("Result: ")]
    result = " ".join(lines[start:])
    if result.startswith("Result: not run"):
        return
    steps = config.training.max_steps
    if not steps:
        images = TRAINING_IMAGES[str(Path(config.data.data_path))]
        steps = config.training.epoch_size * (images // config.training.batch_size)
    assert re.match(r"Result: mIoU 0\.\d+ on ", result) and f"{steps} steps" in result, f"{steps} steps: {result}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_how_it_is_run_and_what_came_out(path):
    lines = header(path)
    check_result(lines, commanded(lines, f"configs/{path.name}"))


def test_the_shared_keys_state_the_steps_of_the_papers_recipe():
    config = load_config(["--config_path", f"configs/{SHARED}"])
    steps = config.training.max_steps
    epoch = TRAINING_IMAGES["data/cityscapes"] // config.training.batch_size
    text = " ".join(header(ROOT / "configs" / SHARED))
    assert f" {steps:,} steps: {steps // epoch} epochs of {epoch} steps and {steps % epoch} steps more" in text
    assert text.count(f" {config.training.save_interval_steps} steps") == 2
    assert config.evaluation.eval_interval_steps == config.training.save_interval_steps


CAMVID = "configs/segformer.b0.camvid.yaml"
COMMAND = f"python -m backend_torch.train --config_path {CAMVID} --data_path data/camvid"
RESULT = "Result: mIoU 0.566 on its 101 validation images after 4500 steps."


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([RESULT], ValueError),
        ([COMMAND + " --no_such_key 1", RESULT], ConfigError),
        ([COMMAND.replace("camvid.yaml", "sample.yaml"), RESULT], AssertionError),
        (["make test", RESULT], AssertionError),
        ([COMMAND], ValueError),
        ([COMMAND, RESULT.replace("4500", "4501")], AssertionError),
        ([COMMAND, "Result: good."], AssertionError),
    ],
)
def test_a_header_that_says_too_little_is_noticed(lines, error):
    with pytest.raises(error):
        check_result(lines, commanded(lines, CAMVID))


def test_a_sound_header_passes():
    check_result([COMMAND, RESULT], commanded([COMMAND, RESULT], CAMVID))
