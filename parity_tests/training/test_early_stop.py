"""early_stop: after so many evaluations without a better mIoU the run saves and ends; the same command then does nothing."""

import math

import pytest

from parity_tests.training.loops import looped
from parity_tests.training.test_stop_requests import metrics, saved_in
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError
from segformer_core.interrupt import StopRequest

KEYS = {"max_steps": 10, "eval_interval_steps": 1, "save_interval_steps": 100, "early_stop": 2}


def scores(*values: float):
    left = list(values)
    return lambda name: {"miou": left.pop(0)}


@pytest.mark.parametrize(
    ("mious", "end"),
    [
        ([0.1, 0.2, 0.2, 0.19], 4),
        ([0.3, 0.2, 0.1], 3),
        ([0.3, 0.2, 0.31, 0.2, 0.3], 5),
        ([math.nan, math.nan, math.nan], 3),
        ([0.1 * step for step in range(1, 11)], 10),
    ],
)
def test_where_it_ends(mious, end, tmp_path, capsys):
    looped(tmp_path, StopRequest(), evaluate=scores(*mious), **KEYS)
    said = capsys.readouterr().out
    assert [entry["step"] for entry in metrics(tmp_path) if "miou" in entry] == list(range(1, end + 1))
    assert f"step{end}.safetensors" in saved_in(tmp_path)
    sentence = f"none of the last 2 evaluations was better than those before, so the run ends after step {end} of 10"
    assert (sentence in said) == (end < 10)


def test_the_same_command_trains_nothing_more_and_without_it_goes_on(tmp_path, capsys):
    looped(tmp_path, StopRequest(), evaluate=scores(0.3, 0.2, 0.1), **KEYS)
    taken: list[int] = []
    looped(tmp_path, StopRequest(), at=taken.append, evaluate=scores(), step=3, **KEYS)
    assert taken == [] and capsys.readouterr().out.count("so the run ends after step 3 of 10") == 2
    looped(tmp_path, StopRequest(), at=taken.append, evaluate=scores(*[0.1] * 7), step=3, **KEYS | {"early_stop": 0})
    assert taken == [1, 2, 3, 4, 5, 6, 7]


def test_a_resumed_run_counts_the_evaluations_before(tmp_path):
    looped(tmp_path, StopRequest(), evaluate=scores(0.3, 0.2), **KEYS | {"max_steps": 2})
    looped(tmp_path, StopRequest(), evaluate=scores(0.25), step=2, **KEYS)
    assert [entry["step"] for entry in metrics(tmp_path) if "miou" in entry] == [1, 2, 3]


def test_it_needs_evaluations():
    with pytest.raises(ConfigError, match="early_stop ends a run by its evaluations, and run_eval is False; set run_eval True"):
        load_config(["--early_stop", "3", "--run_eval", "False"])
