"""Images of 1, 4 and 10 channels through both backends: logits, gradients, how RGB weights start them, and every command."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.support import (
    assert_close,
    check_control,
    check_difference,
    difference,
    gradients,
    hot_arrays,
    logits,
    mindspore_learner,
    random_batch,
    random_images,
    random_masks,
    torch_learner,
)
from parity_tests.training_runs import FULL, SMALL, flags, long
from segformer_core.cli import COMMANDS
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.data.transforms import distort, normalise, resize_image
from segformer_core.errors import ConfigError, DataError, WeightsError
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_pretrained
from segformer_core.weights.stem import STEM, with_stem
from segformer_core.weights.store import save_weights

COUNTS = [1, 4, 10]
SEED = 9
"""Of a batch without a number so near 0 before the ReLU that the frameworks, or two processors, round it to different sides."""
FLOOR = 2e-3
"""Of the largest gradient. That of stages.3.norm.bias is less than 1e-3 of it, and float32 is 1.1e-4 of this from float64."""


@pytest.mark.compares("mindspore, graph", "torch")
@pytest.mark.parametrize("channels", [pytest.param(count, marks=() if count == 4 else long) for count in COUNTS])
def test_logits_and_gradients_of_other_channels_agree(channels, need_torch, need_mindspore):
    spec = segformer("b0", class_count=7, in_channels=channels)
    arrays, images = hot_arrays(spec), random_images(1, 64, 96, channels=channels)
    torch_twin, mindspore_twin = torch_learner(spec, arrays), mindspore_learner(spec, arrays)
    assert_close(f"logits of {channels} channels", logits(mindspore_twin, images), logits(torch_twin, images), "logits")
    batch, masks = random_batch(spec, 2, 75, 107, SEED), random_masks(spec, 2, SEED)
    loss, want = gradients(torch_twin, batch, masks)
    other_loss, got = gradients(mindspore_twin, batch, masks)
    assert_close("loss", np.array(other_loss), np.array(loss), "loss")
    assert want[STEM].shape == (32, channels, 7, 7) and got.keys() == want.keys()
    largest = max(float(np.abs(value).max()) for value in want.values())
    for name, value in want.items():
        scale = max(float(np.abs(value).max()), FLOOR * largest)
        check_difference(name, difference(got[name], value) / scale, "gradients")
    if channels > 1:
        check_control("two channels swapped", difference(want[STEM][:, ::-1], want[STEM]) / np.abs(want[STEM]).max(), "gradients")


@pytest.mark.parametrize("channels", COUNTS)
def test_a_mean_stem_sees_equal_channels_as_rgb_weights_did(channels, need_torch):
    """Also where a zero outside the image meets the stem, as mean and deviation are the same for all channels."""
    rgb, spec = segformer("b0", class_count=3), segformer("b0", class_count=3, in_channels=channels)
    arrays, gray = hot_arrays(rgb), random_images(1, 64, 96, channels=1)
    started = with_stem(arrays, channels, "mean")
    want = logits(torch_learner(rgb, arrays), np.repeat(gray, 3, axis=1))
    assert_close("logits", logits(torch_learner(spec, started), np.repeat(gray, channels, axis=1)), want, "logits")
    other = logits(torch_learner(spec, started | {STEM: started[STEM] * 1.01}), np.repeat(gray, channels, axis=1))
    check_control("a scale of 1.01", difference(other, want), "logits")


def test_a_first_stem_sees_the_first_three_channels_alone(need_torch):
    rgb, spec = segformer("b0", class_count=3), segformer("b0", class_count=3, in_channels=10)
    arrays, images = hot_arrays(rgb), random_images(1, 64, 96, channels=10)
    started = with_stem(arrays, 10, "first")
    assert np.array_equal(started[STEM][:, :3], arrays[STEM]) and not started[STEM][:, 3:].any()
    want = logits(torch_learner(rgb, arrays), np.ascontiguousarray(images[:, :3]))
    assert_close("logits", logits(torch_learner(spec, started), images), want, "logits")
    assert np.array_equal(with_stem(arrays, 1, "first")[STEM], arrays[STEM][:, :1])


def test_pretrained_weights_say_how_their_stem_starts(tmp_path):
    rgb, path = segformer("b0", class_count=3), tmp_path / "rgb.safetensors"
    arrays = hot_arrays(rgb)
    save_weights(path, rgb, arrays)
    for rule, words in (
        ("mean", "each of the 4 starts with the sum over R, G and B"),
        ("first", "the other 1 start at zero"),
    ):
        spec = segformer("b0", class_count=3, in_channels=4)
        loaded, sentence = load_pretrained(str(path), spec, init_arrays(spec, 0), stem_init=rule)
        assert words in sentence and f"(stem_init {rule})" in sentence
        by_hand = arrays[STEM].sum(1) / 4 if rule == "mean" else arrays[STEM][:, 0]
        np.testing.assert_allclose(loaded[STEM][:, 0], by_hand, rtol=1e-5, atol=1e-6)
    four = segformer("b0", class_count=3, in_channels=4)
    save_weights(path, four, hot_arrays(four))
    with pytest.raises(WeightsError, match="has in_channels 4; the configuration has in_channels 3; set --in_channels 4"):
        load_pretrained(str(path), rgb, init_arrays(rgb, 0))


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 10])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_augmentation_of_other_channels_is_that_of_each_alone(channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels)).astype(dtype)
    apart = [np.ascontiguousarray(image[..., band : band + 1]) for band in range(channels)]
    for seed in range(8):
        whole = distort(image, np.random.default_rng(seed))
        alone = [distort(band, np.random.default_rng(seed)) for band in apart]
        assert whole.dtype == dtype and np.array_equal(whole, np.concatenate(alone, axis=2))
    means, stds = np.arange(1.0, channels + 1), np.arange(2.0, channels + 2)
    np.testing.assert_allclose(normalise(image, means, stds), (image - means) / stds, rtol=1e-5, atol=1e-5)
    resized = resize_image(image, (13, 17))
    assert resized.shape == (13, 17, channels)
    together = np.concatenate([resize_image(band, (13, 17)) for band in apart], axis=2)
    assert np.abs(resized.astype(float) - together).max() <= 1e-3


def test_floats_of_three_channels_are_distorted_as_bytes_are():
    image = np.random.default_rng(1).integers(60, 160, (20, 30, 3)).astype(np.uint8)
    for seed in range(20):
        bytes_, floats = (distort(image.astype(kind), np.random.default_rng(seed)) for kind in (np.uint8, np.float32))
        assert np.abs(np.clip(floats, 0, 255) - bytes_).mean() < 4, seed


def test_a_missing_value_becomes_the_mean_and_spoils_no_other():
    image = np.full((8, 8, 2), 100, np.float32)
    image[2, 3, 1] = np.nan
    normalised = normalise(distort(image, np.random.default_rng(3)), (10.0, 20.0), (1.0, 2.0))
    assert np.isfinite(normalised).all() and normalised[2, 3, 1] == 0 and np.count_nonzero(normalised == 0) == 1


def folder(root: Path, channels: int) -> Path:
    """A dataset of arrays: 12-bit data in which the label is band 0 above its middle."""
    (root / "dataset.yaml").parent.mkdir(parents=True)
    (root / "dataset.yaml").write_text("classes: [low, high]\n")
    rng = np.random.default_rng(channels)
    for split, count in (("train", 4), ("val", 2)):
        for place in range(count):
            values = cv2.resize(rng.uniform(0, 4095, (4, 6, channels)), (96, 64), interpolation=cv2.INTER_LINEAR)
            values = values.reshape(64, 96, channels).astype(np.uint16)
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            np.save(root / f"images/{split}/{split}_{place}.npy", values)
            cv2.imwrite(str(root / f"labels/{split}/{split}_{place}.png"), (values[..., 0] > 2047).astype(np.uint8))
    return root


def keys_of(channels: int) -> dict:
    return SMALL | {
        "class_num": 0, "in_channels": channels, "img_norm_mean": [127.0] * channels, "img_norm_std": [60.0] * channels,
        "image_range": [0, 4095], "batch_size": 2, "max_steps": 2, "warmup_steps": 0, "dataset_num_parallel_workers": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("backend", "channels"), [("torch", 1), ("torch", 10), *([("mindspore", 4)] if FULL else [])])
def test_a_network_trains_labels_and_is_exported(backend, channels, tmp_path, monkeypatch):
    """`infer` needs no key: the weights have channels, range and normalisation."""
    need(backend)
    monkeypatch.chdir(tmp_path)
    data, keys = folder(tmp_path / "data", channels), keys_of(channels)

    def run(command: str, **more: object) -> None:
        COMMANDS[command](load_config(flags(more), READS[command]), connector(backend))

    run("train", **keys, data_path=data, checkpoint_path="runs")
    weights = "runs/segformer_mit_b0_best.safetensors"
    target = {"device_target": "CPU", "data_path": data}
    run("evaluate", **target, eval_ckpt_path=weights, report="page")
    run("infer", device_target="CPU", data_path=data / "images/val/val_0.npy", infer_ckpt_path=weights, infer_output_path="masks")
    assert cv2.imread("masks/val_0_gray.png", cv2.IMREAD_UNCHANGED).shape == (64, 96)
    assert cv2.imread("masks/val_0_overlap.png").shape == (64, 96, 3)
    with pytest.raises(ConfigError, match=r"export_preprocess is True and image_range \[0\.0, 4095\.0\]; a file that normalises"):
        run("export", **target, export_ckpt_path=weights, export_preprocess=True)
    run("export", **target, export_ckpt_path=weights, export_path="file", export_name="net")
    written = next(path for path in Path("file").iterdir() if path.suffix != ".json")
    assert f'"channels": {channels}' in Path(f"{written}.json").read_text()
    run("evaluate", **target, eval_ckpt_path=written, eval_output_path="again")


def test_training_asks_for_the_range_before_its_first_step(tmp_path, monkeypatch):
    need("torch")
    monkeypatch.chdir(tmp_path)
    keys = keys_of(4) | {"image_range": [], "data_path": folder(tmp_path / "data", 4), "checkpoint_path": "runs"}
    with pytest.raises(
        DataError, match=r"no value above \d+, so it may be nearly black: set image_range: \[0, 4095\].*6 of 6 images"
    ):
        COMMANDS["train"](load_config(flags(keys), READS["train"]), connector("torch"))
    assert not list(Path("runs").glob("*.safetensors"))


def test_a_normalisation_of_other_channels_names_check_dataset(tmp_path):
    from segformer_core.commands.opening import network

    config = load_config(["--in_channels", "4", "--class_num", "2", "--data_path", "mine"])
    sentence = r"img_norm_mean has 3 numbers and in_channels is 4; .* segformer check_dataset mine --in_channels 4 measures them"
    with pytest.raises(ConfigError, match=sentence):
        network(config)
    assert network(replace(config, model=replace(config.model, in_channels=3))).in_channels == 3
