"""What check_dataset says of images of other channels: mean and deviation of each, and values that a range does not fit."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from segformer_core.commands.check_dataset import main as check
from segformer_core.config.load import load_config


def dataset(root: Path, values: np.ndarray) -> Path:
    """Six images of the same values, as stored, and their labels."""
    label = (values[..., 0] > values[..., 0].mean()).astype(np.uint8)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(3):
            np.save(root / f"images/{split}/{split}{index}.npy", values)
            cv2.imwrite(str(root / f"labels/{split}/{split}{index}.png"), label)
    (root / "dataset.yaml").write_text("classes: [low, high]\n")
    return root


def test_mean_and_deviation_of_each_channel_go_into_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 4096, (64, 96, 5)).astype(np.uint16)
    values[..., 1] //= 2
    data = dataset(tmp_path / "set", values)
    check([str(data), "--in_channels", "5", "--image_range", "[0,4095]", "--recipe", "five.yaml"])
    recipe = load_config(["--config_path", "five.yaml"])
    scaled = values.reshape(-1, 5) * (255 / 4095)
    assert recipe.model.in_channels == 5 and recipe.data.image_range == (0, 4095)
    assert recipe.data.img_norm_mean == pytest.approx(scaled.mean(0), rel=1e-3)
    assert recipe.data.img_norm_std == pytest.approx(scaled.std(0), rel=1e-3)


def test_channels_that_a_range_makes_nearly_equal_are_named(tmp_path, capsys, monkeypatch):
    """Up to 10,000 of 65,535 in one channel; 100 in the other, which training's change of brightness would drown."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 10_000, (64, 96, 2)).astype(np.uint16)
    values[..., 1] //= 100
    check([str(dataset(tmp_path / "set", values)), "--in_channels", "2", "--image_range", "[0,65535]"])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 channel with nearly equal values on the scale 0..255 (standard deviation of channel 1: 0.11)" in said
    assert "up to 32 of 255, would drown them: narrow image_range, or set --photometric_distortion False" in said
