"""Which file to write: its form, its path, and whether the installed packages can write it."""

from pathlib import Path

from segformer_core.config.keys import Config
from segformer_core.errors import BackendError, ConfigError, UserError, brief
from segformer_core.export.packages import need_packages, packages_to_run
from segformer_core.files import temporary_name
from segformer_core.protocol.fit import next_multiple
from segformer_core.protocol.form import FOLDERS, FORMATS, INT8, LABELS, OF_SUFFIX, Form
from segformer_core.spec.model import SMALLEST_INPUT, SegFormer

SIDECAR = ".json"
"""The suffix of a description's file name: net.onnx.json describes net.onnx."""
LONGEST_FILE_NAME = 255
"""Bytes, on every file system of Linux."""
LARGEST_PROCESS = 2**22
"""The largest number of a process, which a temporary file has in its name."""


def choose_size(config: Config) -> tuple[int, int]:
    """Height and width of the file's images in pixels; where the configuration has 0, the recipe's. Raises ConfigError."""
    export = config.export
    asked, divisor = list(config.data.base_size), config.evaluation.eval_size_divisor
    base = [next_multiple(side, divisor) for side in asked]
    size = export.export_height or base[0], export.export_width or base[1]
    if min(size) < SMALLEST_INPUT:
        raise ConfigError(
            f"export_height and export_width are {size[0]} and {size[1]}; expected at least {SMALLEST_INPUT} each, or 0 for the "
            f"recipe's base_size {asked}{'' if base == asked else f', which eval_size_divisor {divisor} rounds up to {base}'}"
        )
    return size


def choose_form(config: Config, spec: SegFormer, backend: str, device: str) -> Form:
    """What the file is to be. Raises UserError if the backend, its device or the installed packages cannot write it."""
    export = config.export
    name = choose_format(export.export_format, backend, device)
    need_packages(name, FORMATS[name].writers + packages_to_run(name, config.runtime.runtime))
    form = Form(
        format=name,
        size=choose_size(config),
        dynamic=export.export_dynamic,
        precision=export.export_precision,
        preprocess=export.export_preprocess,
        labels=export.export_preprocess if export.export_output == "auto" else export.export_output == LABELS,
        mean=config.data.img_norm_mean,
        std=config.data.img_norm_std,
        class_count=spec.class_count,
    )
    if form.precision == INT8 and name != "ONNX":
        raise ConfigError(f"export_precision is int8, and {name} files have none; use python -m backend_torch.export for ONNX")
    check_images(form, config.data.image_range)
    return form


def choose_format(asked: str, backend: str, device: str) -> str:
    """The format of the file for what is `asked`; `auto` is the backend's first.

    Raises UserError if the backend or its device cannot write it.
    """
    own = [name for name, entry in FORMATS.items() if entry.backend == backend]
    name = own[0] if asked == "auto" else FOLDERS.get(asked, asked)
    if name not in own:
        *others, last = *own, *(folder for folder, inside in FOLDERS.items() if inside in own)
        raise ConfigError(
            f"backend_{backend} writes {', '.join(others)} and {last}; for export_format {asked} use python -m "
            f"backend_{FORMATS[name].backend}.export"
        )
    if FORMATS[name].only_on not in ("", device):
        raise BackendError(
            f"{name} can only be written on an {FORMATS[name].only_on} and this is a {device}; use --export_format MINDIR here, "
            "then on the host the line for converter_lite that its description holds, or export ONNX with backend_torch for atc"
        )
    return name


def check_images(form: Form, image_range: tuple[float, ...]) -> None:
    """Raises ConfigError unless a file of this form can take the network's images."""
    if form.preprocess and image_range:
        raise ConfigError(
            f"export_preprocess is True and image_range {list(image_range)}; a file that normalises images takes 8 bits a "
            "channel, and these images have more: export without export_preprocess"
        )
    if form.dynamic and min(form.size) < form.smallest:
        raise ConfigError(
            f"a {form.format} file of any size takes images of at least {form.smallest}×{form.smallest} pixels, and these are "
            f"{form.size[0]}×{form.size[1]}"
        )


def target(config: Config, form: Form, stem: str) -> Path:
    """The file to write: export_path itself, or `stem` with the format's suffix if export_path is a folder.

    Raises UserError if the file or its description exists, if the suffix is that of another format, or if the name is none.
    """
    export = config.export
    check_stem(stem, temporary_name(Path(f"{form.suffix}{SIDECAR}"), LARGEST_PROCESS).name)
    path = Path(export.export_path or ".")
    if path.suffix in OF_SUFFIX and path.suffix != form.suffix:
        raise ConfigError(f"export_path is {path}; expected the suffix {form.suffix} for a file of {form.format}, or a folder")
    if path.suffix != form.suffix or path.is_dir():
        path = path / f"{stem}{form.suffix}"
    if not export.export_force:
        check_absent(path, sidecar_path(path))
    return path


def check_stem(stem: str, around: str) -> None:
    """Raises ConfigError unless `stem` is a file's name also with the characters `around` it."""
    longest = LONGEST_FILE_NAME - len(around)
    if Path(stem).name != stem or stem == ".." or any(mark == "\0" or "\ud800" <= mark <= "\udfff" for mark in stem):
        raise ConfigError(f"export_name is {brief(stem)}; expected a name without a folder, which export_path can name")
    if len(stem.encode()) > longest:
        raise ConfigError(f"export_name is {brief(stem)}, of {len(stem.encode())} bytes; expected at most {longest}")


def check_absent(*paths: Path) -> None:
    """Raises UserError if one of them exists."""
    for path in paths:
        if path.exists():
            raise UserError(f"{path} exists and is kept; choose another --export_path, or --force to replace it")


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)
