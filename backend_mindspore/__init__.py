"""SegFormer in MindSpore, on an Ascend or a CPU."""

from pathlib import Path

from backend_mindspore.device import connect
from segformer_core.inference import segmenter


def load(weights: str | Path, config_path: str | Path = "", **keys: object) -> segmenter.Segmenter:
    """The network in a weight file of any recognised form, ready to `segment` images.

    Variant, classes and constants are read off the file; how an image is put before the network (base_size, eval_mode,
    eval_scales, …) and the device are the configuration's, from a file and from `keys`. A fault that leaves the weights usable,
    such as a NaN, is a UserWarning. Raises UserError.
    """
    return segmenter.load(connect, weights, config_path, keys)
