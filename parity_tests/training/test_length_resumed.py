"""The length of a run, in epochs or in steps, is one of the values that a resumed run must agree in."""

import pytest

from parity_tests.training.test_checkpoints import Weights, checkpoints_in, configured, refuse_line
from segformer_core.config.keys import Config
from segformer_core.errors import TrainingError


def of_length(steps: int, epochs: int = 200) -> Config:
    return configured(max_steps=steps, epoch_size=epochs)


def test_an_older_checkpoint_is_of_a_run_by_epochs(tmp_path):
    """It knows no max_steps. One sentence names all that it takes to go on with it, its number of epochs too."""
    older = checkpoints_in(tmp_path)
    del older.decisive["max_steps"]
    older.save(Weights(), 1, 10)
    assert checkpoints_in(tmp_path).to_resume("auto", refuse_line).step == 10
    sentence = "of another run: epoch_size is 200 there and 40 here, max_steps is 0 there and 300 here; use the same values"
    with pytest.raises(TrainingError, match=sentence):
        checkpoints_in(tmp_path, of_length(300, epochs=40)).to_resume("auto", refuse_line)


def test_where_steps_are_counted_epochs_decide_nothing(tmp_path):
    checkpoints_in(tmp_path, of_length(300, epochs=40)).save(Weights(), "step10", 10)
    assert checkpoints_in(tmp_path, of_length(300, epochs=50)).to_resume("auto", refuse_line).step == 10
    for config, sentence in (
        (of_length(301, epochs=40), "another run: max_steps is 300 there and 301 here; "),
        (of_length(0, epochs=40), "another run: max_steps is 300 there and 0 here; "),
        (of_length(0, epochs=50), "another run: epoch_size is 40 there and 50 here, max_steps is 300 there and 0 here; "),
    ):
        with pytest.raises(TrainingError, match=sentence):
            checkpoints_in(tmp_path, config).to_resume("auto", refuse_line)
