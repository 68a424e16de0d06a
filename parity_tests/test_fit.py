"""How an image of any size is fitted to a network and to a file of one size: against literal values."""

import numpy as np
import pytest

from parity_tests.export.export_files import form
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.errors import DataError
from segformer_core.protocol.fit import Fit, Takes, cut, padded
from segformer_core.protocol.plan import make_plan

BASE = (512, 1024)


@pytest.mark.parametrize(
    ("image", "free", "framed"),
    [
        ((1024, 2048), (512, 1024), (512, 1024)),
        ((360, 480), (512, 683), (512, 683)),
        ((480, 360), (683, 512), (512, 384)),  # a frame does not turn
        ((333, 777), (439, 1024), (439, 1024)),
        ((1000, 1999), (512, 1023), (512, 1023)),
        ((20, 4000), (32, 1024), (32, 1024)),  # the network takes no less than 32
        ((4000, 20), (1024, 32), (512, 32)),
        ((1, 1), (512, 512), (512, 512)),
    ],
)
def test_the_size_at_which_an_image_is_seen(image, free, framed):
    assert Fit(BASE).size(image) == free
    assert Fit(BASE, frame=BASE).size(image) == framed


@pytest.mark.parametrize(
    ("fit", "image", "seen"),
    [
        (Fit((500, 1000), 32, 32, (512, 1024)), (500, 1000), (512, 1024)),
        (Fit((500, 1000), 32, 32, (512, 1024)), (600, 800), (512, 672)),
        (Fit((500, 1000), 32), (800, 600), (672, 512)),
        (Fit((500, 1000), 64, 32, (500, 1000)), (500, 700), (500, 704)),  # 512 would be more than the frame
        (Fit((64, 96), 1, 64), (10, 96), (64, 96)),
        (Fit((512, 2048), 1, 32, (512, 512)), (600, 800), (384, 512)),
        (Fit((256, 256), 1, 32, (512, 512)), (600, 800), (192, 256)),
    ],
)
def test_multiples_and_limits(fit, image, seen):
    assert fit.size(image) == seen


def test_an_image_lies_in_the_upper_left_corner_of_its_frame():
    images = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
    whole = padded(images, (6, 9), (1.0, 2.0, 3.0))
    assert whole.shape == (2, 3, 6, 9) and whole.dtype == np.float32
    assert (whole[:, :, :5, :7] == images).all()
    assert (whole[:, :, 5:] == np.array([1, 2, 3])[:, None, None]).all() and (whole[:, 2, :, 7:] == 3).all()
    assert padded(images, (5, 7), (1.0, 2.0, 3.0)) is images


def test_of_the_output_the_images_part_is_kept():
    logits = np.arange(64).reshape(1, 1, 8, 8)
    assert (cut(logits, (13, 16), labels=False) == logits[:, :, :4, :4]).all()
    labels = np.arange(32 * 32).reshape(1, 32, 32)
    assert (cut(labels, (13, 16), labels=True) == labels[:, :13, :16]).all()


def test_a_file_that_takes_pixels_is_padded_with_the_nearest_ones():
    assert form().padding == (0.0, 0.0, 0.0)
    assert form(preprocess=True).padding == (124.0, 116.0, 104.0)
    assert form(preprocess=True, mean=(300.0, -2.0, 1.0)).padding == (255.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "takes"),
    [
        ({}, Takes(32, (64, 96))),
        ({"dynamic": True}, Takes(32)),
        ({"format": "TORCH", "dynamic": True}, Takes(64)),
    ],
)
def test_what_a_file_takes(changes, takes):
    assert (
        form(**{"name": changes.get("format", "ONNX")} | {key: value for key, value in changes.items() if key != "format"}).takes
        == takes
    )


@pytest.mark.parametrize(
    ("base_size", "multiple", "used"),
    [((64, 96), 1, (64, 96)), ((50, 90), 32, (50, 90)), ((128, 192), 1, (64, 96)), ((96, 64), 1, (64, 96))],
)
def test_a_file_of_another_size_than_the_recipes_has_its_own_base_size(base_size, multiple, used):
    assert form().fit(base_size, multiple) == Fit(used, multiple, 32, (64, 96))
    assert form(dynamic=True).fit(base_size, multiple) == Fit(base_size, multiple, 32)


def test_windows_smaller_than_a_file_are_padded_and_larger_ones_are_refused():
    """A window is cut to an image that is smaller."""

    def crop(size: tuple[int, int], window: tuple[int, int], takes: Takes) -> tuple[int, int]:
        evaluation = EvaluationConfig(eval_mode="native", eval_crop_size=window, eval_stride=(32, 32))
        return make_plan(size, DataConfig(), evaluation, takes).views[0].crop

    frame = Takes(frame=(64, 96))
    assert crop((360, 480), (64, 96), frame) == (64, 96)
    assert crop((360, 480), (64, 64), frame) == (64, 64)
    assert crop((50, 480), (64, 96), frame) == (50, 96)
    assert crop((50, 90), (1024, 1024), frame) == (50, 90)
    with pytest.raises(
        DataError, match=r"^the file takes images of 64×96 pixels, and it would get windows of 128×96 pixels; use --eval_c"
    ):
        crop((360, 480), (128, 96), frame)
    with pytest.raises(
        DataError, match=r"at least 64×64 pixels, and it would get windows of 48×96 pixels; set a larger eval_crop_size"
    ):
        crop((360, 480), (48, 96), Takes(64))
