"""The usual names of a pretrained encoder's file. Where a configuration file names one, another one may stand in for it."""

import re
from pathlib import Path

from segformer_core.errors import WeightsError

USUAL_NAMES = ("mit_{}.safetensors", "mit_{}.pth", "mit_{}.ckpt", "ms_pretrained_{}.ckpt")
"""In the order in which they are tried; {} is b0 … b5. The paper's authors name their file as the second, the original
repository as the last."""
PUBLISHED = USUAL_NAMES[1]
PATTERN = re.compile("|".join(re.escape(name).replace(r"\{\}", "(b[0-5])") for name in USUAL_NAMES))


def usual_file(path: str) -> str:
    """`path`, or if there is nothing and its name is a usual one, the first file beside it that has another usual name.

    Raises WeightsError if there is none.
    """
    place = Path(path)
    usual = PATTERN.fullmatch(place.name)
    if place.exists() or not usual:
        return path
    variant = next(filter(None, usual.groups()))
    names = [name.format(variant) for name in USUAL_NAMES if name.format(variant) != place.name]
    for name in names:
        if place.with_name(name).exists():
            return str(place.with_name(name))
    raise WeightsError(
        f"no such weight file: {path}, and none of {', '.join(names)} beside it; take --pretrained_ckpt_path "
        f"hf:nvidia/mit-{variant}, or download {PUBLISHED.format(variant)} into {place.parent} "
        "(https://github.com/NVlabs/SegFormer links to it), or train without pretrained weights: --load_ckpt False"
    )
