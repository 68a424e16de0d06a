"""Command lines, ready to paste, that convert an exported file with other tools and keep its types.

By themselves atc and converter_lite compute in fp16, and trtexec in TF32: then the file's proof says nothing of what they make.
"""

import shlex
from pathlib import Path

from segformer_core.protocol.form import IMAGES, INT8, Form

SOC_VERSION = "<soc_version>"
"""The user replaces it with `Ascend` and the name that `npu-smi info` shows on the host: Ascend310P3, Ascend910B4, …"""
LARGEST_BATCH, LARGEST_SCALE = 4, 2
"""What a file of any size is compiled for: up to so many images, with sides up to so many times those of the form."""
KEEP_TYPES = "--precision_mode_v2=origin"
"""Of atc: each operator in the type that the file gives it, in place of fp16."""
LITE_SETTINGS = r"[ascend_context]\nprecision_mode=enforce_origin\n"
"""The same for converter_lite, which takes it from a file."""


def converter_lines(path: Path, form: Form) -> dict[str, str]:
    """Tool -> command line, to be run in the file's folder. None takes a file of int8."""
    if form.precision == INT8:  # each tool quantises in its own way, from a file of fp32
        return {}
    file, stem = shlex.quote(path.name), shlex.quote(path.name.removesuffix(path.suffix))
    return {tool: line(file, stem, form) for tool, line in LINES[form.format].items()}


def _atc_onnx(file: str, stem: str, form: Form) -> str:
    return (
        f"atc --framework=5 --model={file} --output={stem} --input_format={'ND' if form.preprocess else 'NCHW'} "
        f'--input_shape="{IMAGES}:{_joined(form.input_shape, ",")}" --soc_version={SOC_VERSION} {KEEP_TYPES}'
    )


def _atc_air(file: str, stem: str, form: Form) -> str:
    return f"atc --framework=1 --model={file} --output={stem} --soc_version={SOC_VERSION} {KEEP_TYPES}"


def _lite_mindir(file: str, stem: str, form: Form) -> str:
    return _lite("MINDIR", file, stem, form)


def _lite_onnx(file: str, stem: str, form: Form) -> str:
    return _lite("ONNX", file, stem, form)


def _lite(kind: str, file: str, stem: str, form: Form) -> str:
    shape = f' --inputShape="{IMAGES}:{_joined(form.input_shape, ",")}"' if form.dynamic else ""
    settings = f"{stem}_lite.cfg"
    return (
        f"printf '{LITE_SETTINGS}' > {settings} && converter_lite --fmk={kind} --modelFile={file} --outputFile={stem}_lite "
        f"--saveType=MINDIR --optimize=ascend_oriented --configFile={settings}{shape}"
    )


def _trtexec(file: str, stem: str, form: Form) -> str:
    line = f"trtexec --onnx={file} --saveEngine={stem}.engine {'--stronglyTyped' if form.precision == 'fp16' else '--noTF32'}"
    if form.dynamic:
        smallest, largest = (form.smallest, form.smallest), tuple(LARGEST_SCALE * side for side in form.size)
        shapes = {"minShapes": (1, *smallest), "optShapes": (1, *form.size), "maxShapes": (LARGEST_BATCH, *largest)}
        line += "".join(f" --{option}={IMAGES}:{_joined(_with_axes(form, axes), 'x')}" for option, axes in shapes.items())
    return line


def _with_axes(form: Form, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The input's shape with these lengths of batch, height and width."""
    shape = list(form.input_shape)
    for axis, length in zip(form.input_axes.values(), axes, strict=True):
        shape[axis] = length
    return tuple(shape)


def _joined(shape: tuple[int, ...], mark: str) -> str:
    return mark.join(map(str, shape))


LINES = {
    "ONNX": {"atc": _atc_onnx, "converter_lite": _lite_onnx, "trtexec": _trtexec},
    "MINDIR": {"converter_lite": _lite_mindir},
    "AIR": {"atc": _atc_air},
    "TORCH": {},
}
