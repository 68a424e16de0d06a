"""How many workers `auto` is: affinity, a container's quota, and the other processes of the host count."""

import os

import pytest

from segformer_core.config.load import load_config
from segformer_core.config.workers import auto_workers
from segformer_core.errors import ConfigError

TORCHRUN, MSRUN, TABLE = ({name: "4"} for name in ("LOCAL_WORLD_SIZE", "MS_WORKER_NUM", "RANK_SIZE"))


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(32)), raising=False)


@pytest.mark.parametrize(
    ("environment", "workers"),
    [({}, 16), (TORCHRUN, 7), (MSRUN, 7), (TABLE, 7), (TORCHRUN | {"MS_WORKER_NUM": "16"}, 7), ({"RANK_SIZE": "64"}, 1)]
    + [({"RANK_SIZE": text}, 16) for text in ("", "0", "many")],
)
def test_cores_are_shared_out(cores, tmp_path, environment, workers):
    assert auto_workers(environment, tmp_path) == workers


@pytest.mark.parametrize(
    ("files", "workers"),
    [
        ({"cpu.max": "800000 100000\n"}, 7),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "390000 100000\n"}, 2),
        ({"cpu.max": "100000 0\n"}, 16),
        ({"cpu.max": "1200000 100000\n"}, 11),
        ({"cpu.max": "9900000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu.max": ""}, 16),
    ],
)
def test_a_containers_quota_counts(cores, tmp_path, files, workers):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert auto_workers({}, tmp_path) == workers


def test_the_key_takes_the_word_and_numbers(tmp_path):
    flag = "--dataset_num_parallel_workers"
    assert load_config([flag, "auto"]).data.dataset_num_parallel_workers == auto_workers()
    (tmp_path / "own.yaml").write_text("dataset_num_parallel_workers: auto\n")
    assert load_config(["--config_path", str(tmp_path / "own.yaml")]).data.dataset_num_parallel_workers == auto_workers()
    assert load_config([flag, "3"]).data.dataset_num_parallel_workers == 3
    with pytest.raises(ConfigError, match="expected a whole number or auto"):
        load_config([flag, "all"])
