"""SegFormer in PyTorch, on a CPU, a CUDA device or, with torch_npu, an Ascend: the reference."""

from pathlib import Path
from typing import NoReturn

from backend_torch.device import connect
from segformer_core import api
from segformer_core.inference.network import Network
from segformer_core.inference.video import frames

__all__ = ["frames", "load"]


def load(
    weights: str | Path,
    config_path: str | Path = "",
    *,
    base_size: api.Size | None = None,
    eval_mode: api.Mode | None = None,
    eval_crop_size: api.Size | None = None,
    eval_stride: api.Size | None = None,
    eval_blend: api.Blend | None = None,
    eval_scales: tuple[float, ...] | list[float] | None = None,
    eval_flip: bool | None = None,
    eval_size_divisor: int | None = None,
    eval_batch_size: int | None = None,
    image_range: tuple[float, float] | list[float] | None = None,
    img_norm_mean: tuple[float, ...] | list[float] | None = None,
    img_norm_std: tuple[float, ...] | list[float] | None = None,
    infer_threshold: float | None = None,
    dataset_file: str | Path | None = None,
    dataset_num_parallel_workers: api.Workers | None = None,
    ckpt_part: str | None = None,
    numerics: api.Numerics | None = None,
    device_target: api.Device | None = None,
    device_id: int | None = None,
    precision: api.Arithmetic | None = None,
    runtime: api.Runtime | None = None,
    execution_mode: api.Execution | None = None,
    compile: api.Compilation | bool | None = None,
    compile_cache: str | Path | None = None,
    **unknown: NoReturn,
) -> Network:
    """The network in a file, ready to label images: `network("street.jpg")`.

    The file is one of weights of any recognised form, a folder of transformers, `hf:owner/name`, or an exported file (`.onnx`,
    `.pt2`, and with MindSpore `.mindir`). Its network, classes and constants are read off it. An argument that is not given is
    as the file at `config_path` says, else as the weights say, else the key's default. Issues a UserWarning for a fault that
    leaves the file usable, such as a NaN. Raises UserError.

    base_size           height, width in pixels that an image is fitted into, its ratio kept: the size that the network sees
    eval_mode           whole: the network sees the fitted image; slide: windows of it; native: windows of the image's own size
    eval_crop_size      height, width of a window
    eval_stride         rows, columns from one window to the next
    eval_blend          mean over the windows, or feather: the nearer to a window's middle the more weight
    eval_scales         scales of base_size whose class probabilities are averaged
    eval_flip           average with the mirror image too
    eval_size_divisor   round the size that the network sees up to a multiple of this
    eval_batch_size     images of one size that the network labels together
    image_range         values of images with more than 8 bits that become 0 and 255, such as (0, 4095)
    img_norm_mean       subtracted from each channel, 0..255
    img_norm_std        divides each channel
    infer_threshold     a less probable label becomes 255; of two classes the least probability of class 1, 0..1
    dataset_file        YAML that names the classes and their colours
    dataset_num_parallel_workers  threads that read images ahead; auto: by the cores
    ckpt_part           of several networks in the file, the one below this key or prefix
    numerics            whose constants are used
    device_target       CPU, Ascend, or GPU or CUDA (PyTorch); an Ascend with PyTorch needs torch_npu
    device_id           number of the device, from 0
    precision           of matrix products and convolutions
    runtime             of an ONNX file: onnxruntime (auto), or openvino
    execution_mode      MindSpore's
    compile             True: PyTorch compiles with the first image; auto: on a CPU once it pays; False: nor has MindSpore kernels
    compile_cache       folder that keeps what is compiled
    """
    return api.load(connect, **locals())
