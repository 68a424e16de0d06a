"""A run on the copy that `segformer unpack_dataset` makes of its data set is the same run."""

import pytest

from parity_tests.training_runs import EPOCHS, SLOW_IN_MINDSPORE, assert_same_run, run
from segformer_core.cli import DONE, program


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_a_run_on_the_copy_is_the_same_to_the_bit(backend, run_keys, undisturbed, tmp_path):
    want, _ = undisturbed(backend)
    assert program(["unpack_dataset", str(run_keys["data_path"]), str(tmp_path / "fast")]) == DONE
    run(f"backend_{backend}", run_keys | {"data_path": tmp_path / "fast", "checkpoint_path": tmp_path / "run"})
    assert_same_run(tmp_path / "run", want, EPOCHS)
