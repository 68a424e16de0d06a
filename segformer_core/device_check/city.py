"""What the checks train on: the sample city, drawn once for all of them, and the recipe for it."""

import json
import sys
from pathlib import Path
from typing import Any

from segformer_core.device_check.workplace import Workplace
from segformer_core.sample_city.files import Recipe, make_sample_city

RECIPE = "configs/segformer.b0.sample.yaml"
SMALL_CITY = Recipe(train=8, val=2, height=64, width=128)
"""That of a dry run."""
SMALL = {"base_size": "[64,128]", "crop_size": "[64,64]", "dataset_num_parallel_workers": 0}
SECONDS = 600.0


def common_keys(place: Workplace) -> dict[str, object]:
    """The keys that every run on the city has; draws it if it is not there."""
    city = place.folder / "city"
    if not city.is_dir():
        make_sample_city(city, SMALL_CITY if place.dry_run else Recipe())
        place.run("labels", [sys.executable, "-m", "segformer_core", "convert_dataset", city], SECONDS)
    return {"config_path": RECIPE, "data_path": city, "device_target": place.target}


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
