"""Tensors that share a storage: a small file may state many; weights that share are read."""

import pickle

import numpy as np
import pytest

from parity_tests.conftest import need
from segformer_core.errors import WeightsError
from segformer_core.weights import containers

MEBIBYTE = 2**20
FORMS = {"zip": True, "legacy": False}


def saved(path, tensors, form):
    import torch

    torch.save(tensors, path, _use_new_zipfile_serialization=FORMS[form])
    return path


@pytest.mark.parametrize("form", FORMS)
def test_many_tensors_that_repeat_one_number_are_refused(form, tmp_path):
    need("torch")
    import torch

    one = torch.zeros(1)
    path = saved(tmp_path / "x.pth", {str(i): one.expand(1024, 1024) for i in range(200)}, form)
    assert path.stat().st_size < MEBIBYTE
    with pytest.raises(WeightsError, match="unpacks to 800 MiB, which no weights need"), containers.opened(path):
        pass


def test_a_pickle_that_refers_to_one_array_many_times_is_refused(tmp_path):
    path, array = tmp_path / "x.pdparams", np.zeros(MEBIBYTE, np.float32)
    path.write_bytes(pickle.dumps({str(i): array for i in range(200)}, protocol=4))
    with pytest.raises(WeightsError, match="unpacks to 800 MiB, which no weights need"), containers.opened(path):
        pass


@pytest.mark.parametrize("form", FORMS)
def test_copies_that_share_their_storages_are_read(form, tmp_path):
    """A network, its average over time before the first step, and one large storage that all are views of."""
    need("torch")
    import torch

    whole = torch.arange(8 * MEBIBYTE, dtype=torch.float32)  # 32 MiB
    state = {f"w{i}": whole[i * MEBIBYTE : (i + 1) * MEBIBYTE] for i in range(8)}
    path = saved(tmp_path / "x.pth", {"model": state, "ema": dict(state), "teacher": dict(state), "tied": whole}, form)
    with containers.opened(path) as content:
        assert content.tree["teacher"]["w7"].load()[0] == 7 * MEBIBYTE
        assert content.tree["tied"].shape == (8 * MEBIBYTE,)
