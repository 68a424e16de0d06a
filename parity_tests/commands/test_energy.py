"""Joules from the counters of a machine."""

import sys
from types import SimpleNamespace

import pytest

from segformer_core.commands.energy import energy_meter


def zone(folder, name: str, now: object, full: object = 10_000_000, kind: str = "package-0"):
    path = folder / name
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{kind}\n")
    (path / "energy_uj").write_text(f"{now}\n")
    (path / "max_energy_range_uj").write_text(f"{full}\n")
    return path


def test_processors_are_added_and_a_full_counter_starts_again(tmp_path):
    """Parts of a processor (`intel-rapl:0:0`) are in its own counter already, and a processor in that of the system."""
    zone(tmp_path, "intel-rapl:0", 9_000_000)
    zone(tmp_path, "intel-rapl:1", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", 5)
    zone(tmp_path, "intel-rapl:2", 1, kind="psys")
    meter = energy_meter("CPU", tmp_path)
    assert meter() == 0
    zone(tmp_path, "intel-rapl:0", 500_000 - 1)
    zone(tmp_path, "intel-rapl:1", 1_250_000)
    zone(tmp_path, "intel-rapl:0:0", 9_000)
    zone(tmp_path, "intel-rapl:2", 5_000_000, kind="psys")
    assert meter() == pytest.approx(1.75, rel=1e-9), "0 is a number of the counter's, too"
    zone(tmp_path, "intel-rapl:1", 2_250_000)
    assert meter() == pytest.approx(2.75)


def test_where_no_processor_tells(tmp_path):
    (tmp_path / "intel-rapl:9").mkdir()
    assert energy_meter("CPU", tmp_path) is None
    zone(tmp_path, "intel-rapl:0", 1)
    for broken in ({"now": ""}, {"now": 1, "full": 0}):
        zone(tmp_path, "intel-rapl:1", **broken)
        assert energy_meter("CPU", tmp_path) is None, "not all processors are counted"
    zone(tmp_path, "intel-rapl:1", 1)
    assert energy_meter("CPU", tmp_path) is not None
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()  # as a file that the user may not read, an OSError
    assert energy_meter("CPU", tmp_path) is None


def card(**functions):
    """A stand-in for pynvml, with a card that has taken 1500 mJ."""
    of_a_card = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: ("card", index),
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: {("card", 0): 1500}[handle],
    }
    return SimpleNamespace(**of_a_card | functions)


@pytest.mark.parametrize("target", ["GPU", "CUDA"])
def test_a_card_counts_in_millijoules(target, monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "pynvml", card(nvmlInit=lambda: asked.append("init")))
    assert energy_meter(target)() == 1.5 and asked == ["init"]


def refuse(*_):
    raise RuntimeError("NVML: not supported")


@pytest.mark.parametrize(
    "package", [None, card(nvmlInit=refuse), card(nvmlDeviceGetTotalEnergyConsumption=refuse)], ids=["none", "no driver", "old"]
)
def test_where_no_card_tells(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", package)
    assert energy_meter("CUDA") is None
