"""The energy that a machine's own counters say it took, where it has some."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ZONES = Path("/sys/class/powercap")
COUNTERS, PACKAGE = "intel-rapl:?", "package"
"""One folder for each processor, whose name begins so, on Intel's and AMD's alike. Only the administrator may read them."""

Meter = Callable[[], float]
"""-> joules since some moment."""


def energy_meter(device_target: str, zones: Path = ZONES) -> Meter | None:
    """Of all processors, or on CUDA of the first card; None where nothing tells."""
    return card_meter() if device_target.lower() in ("cuda", "gpu") else processor_meter(zones)


def processor_meter(zones: Path) -> Meter | None:
    """RAPL's counters, in microjoules."""
    counters = [Counter(zone) for zone in sorted(zones.glob(COUNTERS)) if is_package(zone)]
    if not counters or not all(counter.readable() for counter in counters):
        return None
    return lambda: sum(counter() for counter in counters)


def is_package(zone: Path) -> bool:
    """Not `psys`, which holds a laptop's processor as well."""
    name = zone / "name"
    return name.is_file() and name.read_text().startswith(PACKAGE)


def card_meter() -> Meter | None:
    """NVML's counter, in millijoules, by the package nvidia-ml-py where it is installed."""
    try:
        pynvml = import_module("pynvml")
        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    except Exception:  # no package, no driver, or a card without the counter
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3


class Counter:
    """A counter of RAPL that starts again at 0 when it is full."""

    def __init__(self, zone: Path):
        self.now, self.full = zone / "energy_uj", zone / "max_energy_range_uj"
        self.last, self.total = 0, 0

    def readable(self) -> bool:
        try:
            self.last = int(self.now.read_text())
            return int(self.full.read_text()) > 0
        except (OSError, ValueError):
            return False

    def __call__(self) -> float:
        now = int(self.now.read_text())
        self.total += (now - self.last) % (int(self.full.read_text()) + 1)
        self.last = now
        return self.total / 1e6
