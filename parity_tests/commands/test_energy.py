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
    assert meter() == pytest.approx(1.75)
    zone(tmp_path, "intel-rapl:1", 2_250_000)
    assert meter() == pytest.approx(2.75)


def test_where_nothing_tells(tmp_path, monkeypatch):
    assert energy_meter("CPU", tmp_path) is None
    zone(tmp_path, "intel-rapl:0", "")  # as for a user who may not read it, text is missing
    assert energy_meter("CPU", tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_meter("CUDA", tmp_path) is None


def test_a_card_counts_in_millijoules(monkeypatch):
    asked = []
    card = SimpleNamespace(
        nvmlInit=lambda: asked.append("init"),
        nvmlDeviceGetHandleByIndex=lambda index: ("card", index),
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {("card", 0): 1500}[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", card)
    assert energy_meter("GPU")() == 1.5 and asked == ["init"]
