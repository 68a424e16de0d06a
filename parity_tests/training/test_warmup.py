"""The warm-up: whole steps or a share of the run, and never as long as the run."""

import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.training.test_checkpoints import Weights
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.config.keys import OptimizerConfig
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.schedule import check_warmup, learning_rate, warmup, warmup_warning


@pytest.mark.parametrize(
    ("given", "steps", "wanted"),
    [
        (1500, 160000, 1500),
        (0, 100, 0),
        (1, 100, 1),
        (0.1, 100, 10),
        (0.29, 100, 29),
        (0.1, 4, 0),
        (0.4, 10, 4),
        (0.999, 3, 2),
        (0.999, 1, 0),
    ],
)
def test_a_share_becomes_whole_steps(given, steps, wanted):
    optimizer = load_config(["--warmup_steps", str(given)]).optimizer
    assert optimizer.warmup_steps == given and warmup(steps, optimizer) == wanted
    check_warmup(steps, optimizer)
    whole = OptimizerConfig(warmup_steps=wanted)
    for step in range(min(steps, 50)):
        assert learning_rate(step, steps, optimizer) == learning_rate(step, steps, whole)


def test_a_tenth_of_ten_steps_by_hand():
    """lr 1, two of ten steps: (1 - step / 10) times a line from the ratio 0.5 to 1."""
    optimizer = OptimizerConfig(lr=1.0, warmup_steps=0.2, warmup_ratio=0.5)
    assert [learning_rate(step, 10, optimizer) for step in range(4)] == pytest.approx([0.5, 0.9 * 0.75, 0.8, 0.7])


@pytest.mark.parametrize("text", ["1500", "1500.0", "1.5e3"])
def test_whole_numbers_stay_whole(text):
    steps = load_config(["--warmup_steps", text]).optimizer.warmup_steps
    assert steps == 1500 and type(steps) is int


@pytest.mark.parametrize("text", ["1.5", "fast", "True", "[1]", ".nan"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(
        ConfigError, match="warmup_steps in the command line is .*; expected (a whole number of steps, or|at leas)"
    ):
        load_config(["--warmup_steps", text])


@pytest.mark.parametrize(("given", "steps"), [(1500, 60), (60, 60), (1, 1)])
def test_a_warmup_as_long_as_the_run_says_what_to_set(given, steps):
    with pytest.raises(ConfigError) as raised:
        check_warmup(steps, OptimizerConfig(warmup_steps=given))
    assert str(raised.value) == (
        f"warmup_steps is {given} and the run has {steps} steps: the learning rate would never reach lr; set --warmup_steps 0.1, "
        "a tenth of the run, or a smaller number"
    )


class Reached(Exception):
    """Everything before the framework is done."""


def reached(runtime):
    raise Reached


def test_the_command_refuses_before_the_first_step_and_only_then(tmp_path, monkeypatch, capsys):
    """The issue's trap: the default in a run of 60 steps. A run that an older version has begun so goes on."""
    monkeypatch.chdir(tmp_path)
    write_folder_dataset(tmp_path / "set")
    keys = {key: value for key, value in SMALL.items() if key != "warmup_steps"}
    keys |= {"data_path": "set", "max_steps": 60, "checkpoint_path": "run"}
    assert main("train", reached, flags(keys)) == USERS_MISTAKE
    assert capsys.readouterr().err.startswith("error: warmup_steps is 1500 and the run has 60 steps: ")
    with pytest.raises(Reached):
        main("train", reached, flags(keys | {"warmup_steps": 0.1}))
    Checkpoints("run", segformer("b0", 3), load_config(flags(keys)), {"images in the training set": 4}).save(Weights(), 1, 2)
    with pytest.raises(Reached):
        main("train", reached, flags(keys))


@pytest.mark.parametrize(("given", "steps", "rising"), [(31, 60, 31), (0.6, 50, 30)])
def test_a_warmup_of_more_than_half_of_the_run_is_warned_of(given, steps, rising):
    sentence = (
        f"the warm-up takes {rising} of the run's {steps} steps, and the learning rate stays far below lr, since it falls "
        "towards 0 over the whole run; set --warmup_steps 0.1, a tenth of the run"
    )
    assert warmup_warning(steps, OptimizerConfig(warmup_steps=given)) == sentence
    assert warmup_warning(60, OptimizerConfig(warmup_steps=30)) == "" == warmup_warning(10, OptimizerConfig(warmup_steps=0.5))


def test_a_resumed_run_has_the_warmup_as_it_was_given(tmp_path, capsys):
    root = write_folder_dataset(tmp_path / "set")
    keys = SMALL | {"data_path": root, "max_steps": 60, "checkpoint_path": tmp_path / "run"}
    about = {"images in the training set": 4}
    saved = Checkpoints(str(tmp_path / "run"), segformer("b0", 3), load_config(flags(keys | {"warmup_steps": 6})), about)
    saved.save(Weights(), 1, 2)
    assert main("train", reached, flags(keys | {"warmup_steps": 0.1})) == USERS_MISTAKE
    assert "is of another run: warmup_steps is 6 there and 0.1 here; use the same values" in capsys.readouterr().err
