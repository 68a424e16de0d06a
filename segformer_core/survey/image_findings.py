"""What is wrong with the values of a dataset's images, and what is only worth a look."""

from collections.abc import Iterator

import numpy as np

from segformer_core.config.keys import DataConfig
from segformer_core.data.image_form import LARGEST, RGB, RGB_CHANNELS
from segformer_core.data.transforms import BRIGHTNESS
from segformer_core.errors import plural
from segformer_core.survey.finding import NAMES, Finding
from segformer_core.survey.moments import SMALLEST_STD
from segformer_core.survey.survey import Survey, listed

FAR = 1.0
"""Standard deviations of ImageNet that a channel's mean may be away from ImageNet's."""

NARROW = 2.0
"""How much smaller than ImageNet's a channel's standard deviation may be."""

NEARLY_EQUAL = 1.0
"""Standard deviation, of 0..255, below which a channel is nearly the same everywhere."""


def image_range(survey: Survey) -> Iterator[Finding]:
    """Which of the files' values become 0 and 255, where nobody has said it; and whether that leaves the images on the scale."""
    asking = tuple(record for record in survey.records if record.asks)
    if asking:
        yield Finding(
            True,
            f"{plural(len(asking), 'image')} need an image_range: {asking[0].fault}; check again with --image_range LOW,HIGH",
            records=asking,
        )
    if survey.form.range is None or not survey.measured:
        return
    mean, std = survey.mean_and_std()
    outside = [f"{channel}: {value:.1f}" for channel, value in enumerate(mean) if not 0 <= value <= LARGEST]
    if outside:
        low, high = survey.form.range
        yield Finding(
            True,
            f"image_range [{low:g}, {high:g}] does not fit: on the scale 0..255 it makes, the mean of "
            f"{plural(len(outside), 'channel')} lies outside (channel {listed(outside, NAMES)}); choose LOW and HIGH so that "
            "most values lie between them",
        )
    dark = [f"{channel}: {value:.2f}" for channel, value in enumerate(std) if 0 < value < NEARLY_EQUAL]
    if dark:
        yield Finding(
            False,
            f"{plural(len(dark), 'channel')} with nearly equal values on the scale 0..255 (standard deviation of channel "
            f"{listed(dark, NAMES)}): is image_range much wider than they need? Training's change of brightness, up to "
            f"{BRIGHTNESS:.0f} of 255, would drown them: narrow image_range, or set --photometric_distortion False",
        )


def constant_channels(survey: Survey) -> Iterator[Finding]:
    if not survey.measured:
        return
    constant = [str(channel) for channel, std in enumerate(survey.mean_and_std()[1]) if std < SMALLEST_STD]
    if constant and survey.form.channels != RGB_CHANNELS:
        yield Finding(
            False, f"the same value everywhere, so that there is nothing to learn from: channel {listed(constant, NAMES)}"
        )


def statistics(survey: Survey) -> Iterator[Finding]:
    """Pixels far from ImageNet's, for which pretrained weights are made. Of other images the proposal has mean and deviation."""
    if not survey.measured or survey.form != RGB:
        return
    mean, std = survey.mean_and_std()
    config = DataConfig()
    distance = np.abs(mean - config.img_norm_mean) / config.img_norm_std
    narrow = std * NARROW < config.img_norm_std
    if distance.max() > FAR or narrow.any():
        keys = [f"img_norm_{name}: [{', '.join(f'{part:.1f}' for part in of)}]" for name, of in (("mean", mean), ("std", std))]
        yield Finding(
            False,
            f"the images' mean and standard deviation are far from ImageNet's; in a run from random weights {' and '.join(keys)} "
            "may help, pretrained weights want ImageNet's, which are the defaults",
        )
