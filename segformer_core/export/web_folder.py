"""A folder that labels images in a browser: an ONNX file, its description, a page, and the runtime that the page runs it with."""

import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from segformer_core import pages
from segformer_core.config.keys import Config
from segformer_core.data.image_form import RGB_CHANNELS
from segformer_core.errors import ConfigError
from segformer_core.export.choice import check_absent, check_stem, sidecar_path
from segformer_core.export.web_runtime import FILES, PACKAGE
from segformer_core.files import atomic_write, writable_directory
from segformer_core.pages import COLOURS
from segformer_core.protocol.form import OF_SUFFIX, WEB, Form

NETWORK = "network.onnx"
"""The name by which the page knows the file."""
FOLDER_SUFFIX = ".web"
PAGE = ("fitting.js", "texts.js", COLOURS, "style.css", "worker.js", "page.js", "index.html")
LICENCE = "LICENSE-onnxruntime"
"""ONNX Runtime's, which npm's package does not hold; it lies beside the runtime as LICENSE."""


def web_target(config: Config, stem: str) -> Path:
    """The ONNX file to write: in the folder export_path, or in NAME.web.

    Raises UserError if one of the folder's files exists, or if the folder's name is none.
    """
    export = config.export
    folder = Path(export.export_path)
    if not export.export_path:
        check_stem(stem, FOLDER_SUFFIX)
        folder = Path(f"{stem}{FOLDER_SUFFIX}")
    elif folder.suffix in OF_SUFFIX or folder.is_file():
        raise ConfigError(f"export_path is {folder}; expected a folder for {WEB}, which is a page and all that it needs")
    path = folder / NETWORK
    if not export.export_force:
        check_absent(path, sidecar_path(path), *(folder / name for name in (*PAGE, PACKAGE)))
    return path


def check_browser(form: Form, image_range: tuple[float, ...]) -> None:
    """Raises ConfigError unless the network takes what a browser gives: three channels of 8 bits."""
    if form.channels != RGB_CHANNELS or image_range:
        what = f"image_range {list(image_range)}" if image_range else f"in_channels {form.channels}"
        raise ConfigError(
            f"export_format is {WEB}, and the network's images have {what}; a browser gives RGB of 8 bits: export ONNX for them"
        )


def write_page(folder: Path, runtime: Mapping[str, bytes]) -> None:
    """Write the page and its `runtime` (see `runtime_files`) beside the network; index.html comes last. Raises UserError."""
    ours = files(__package__).joinpath("web")
    place = writable_directory(folder / PACKAGE)
    for name in FILES:
        _write(place / name, runtime[name])
    _write(place / "LICENSE", ours.joinpath(LICENCE).read_bytes())
    for name in PAGE:
        _write(folder / name, (files(pages) if name == COLOURS else ours).joinpath(name).read_bytes())


def how_to_serve(folder: Path) -> str:
    return f"python -m http.server --directory {shlex.quote(str(folder))}, then open http://localhost:8000"


def _write(path: Path, data: bytes) -> None:
    atomic_write(path, lambda temporary: temporary.write_bytes(data))
