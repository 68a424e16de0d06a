"""Command lines, ready to paste, that convert an exported file with other tools."""

from pathlib import Path

from segformer_core.protocol.form import IMAGES, Form

SOC_VERSION = "<soc_version>"
"""The user replaces it with `Ascend` and the name that `npu-smi info` shows on the host: Ascend310P3, Ascend910B4, …"""
LARGEST_BATCH = 8


def converter_lines(path: Path, form: Form) -> dict[str, str]:
    """Tool -> command line, to be run in the file's folder."""
    return {tool: line(path.name, path.name.removesuffix(path.suffix), form) for tool, line in LINES[form.format].items()}


def _atc_onnx(file: str, stem: str, form: Form) -> str:
    return (
        f"atc --framework=5 --model={file} --output={stem} --input_format={'ND' if form.preprocess else 'NCHW'} "
        f'--input_shape="{IMAGES}:{_joined(form.input_shape, ",")}" --soc_version={SOC_VERSION}'
    )


def _atc_air(file: str, stem: str, form: Form) -> str:
    return f"atc --framework=1 --model={file} --output={stem} --soc_version={SOC_VERSION}"


def _lite_mindir(file: str, stem: str, form: Form) -> str:
    return _lite("MINDIR", file, stem, form)


def _lite_onnx(file: str, stem: str, form: Form) -> str:
    return _lite("ONNX", file, stem, form)


def _lite(kind: str, file: str, stem: str, form: Form) -> str:
    shape = f' --inputShape="{IMAGES}:{_joined(form.input_shape, ",")}"' if form.dynamic else ""
    return (
        f"converter_lite --fmk={kind} --modelFile={file} --outputFile={stem}_lite --saveType=MINDIR "
        f"--optimize=ascend_oriented{shape}"
    )


def _trtexec(file: str, stem: str, form: Form) -> str:
    line = f"trtexec --onnx={file} --saveEngine={stem}.engine"
    if form.precision == "fp16":
        line += " --fp16"
    if form.dynamic:
        shape = _joined(form.input_shape[1:], "x")
        batches = {"minShapes": 1, "optShapes": 1, "maxShapes": LARGEST_BATCH}
        line += "".join(f" --{option}={IMAGES}:{batch}x{shape}" for option, batch in batches.items())
    return line


def _joined(shape: tuple[int, ...], mark: str) -> str:
    return mark.join(map(str, shape))


LINES = {
    "ONNX": {"atc": _atc_onnx, "converter_lite": _lite_onnx, "trtexec": _trtexec},
    "MINDIR": {"converter_lite": _lite_mindir},
    "AIR": {"atc": _atc_air},
    "TORCH": {},
}
