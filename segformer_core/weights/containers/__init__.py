"""Files that hold arrays under any names: recognised by their first bytes, read lazily, written from numpy."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from segformer_core.errors import WeightsError
from segformer_core.files import special_file
from segformer_core.weights.containers import (
    directory,
    hdf5_file,
    keras_archive,
    mindspore_file,
    paddle_file,
    safetensors_file,
    torch_file,
)
from segformer_core.weights.containers.other_files import FIRST_BYTES, refuse_archive, refuse_foreign
from segformer_core.weights.containers.stored import Content
from segformer_core.weights.containers.zip_archive import opened_archive

HDF5_MAGIC = b"\x89HDF"
PICKLE_MAGIC = b"\x80"
ZIP_MAGIC = b"PK\x03\x04"

TORCH_SUFFIXES = (".pth", ".pt", ".bin")
WRITTEN_SUFFIXES = (*TORCH_SUFFIXES, ".safetensors", ".ckpt", ".pdparams", ".h5")

READ_SUFFIXES = (*WRITTEN_SUFFIXES, ".keras")


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """The arrays of a file or directory, readable while it is open. Raises WeightsError if it is missing, damaged or unknown.

    Only regular files are opened, also behind a symbolic link: from a pipe or a device, reading might never end.
    """
    try:
        if not path.exists():
            raise WeightsError(f"no such weight file: {path}")
        if kind := special_file(path):
            raise WeightsError(f"{path} is {kind}; expected a file or a folder of weights")
        with _form(path) as content:
            yield content
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path} needs more memory than this machine has; use one with more, or check the file") from error


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str, metadata: Mapping[str, str]) -> None:
    """Write one file in the form that its suffix names, floats as `type_name`. Only safetensors keeps the metadata."""
    if path.suffix in TORCH_SUFFIXES:
        torch_file.write(path, arrays, type_name)
    elif path.suffix == ".safetensors":
        safetensors_file.write(path, arrays, type_name, metadata)
    elif path.suffix == ".ckpt":
        mindspore_file.write(path, arrays, type_name)
    elif path.suffix == ".pdparams":
        paddle_file.write(path, arrays, type_name)
    elif path.suffix == ".h5":
        hdf5_file.write(path, arrays, type_name)
    else:
        raise WeightsError(f"cannot tell what form {path} should have; end it in one of {', '.join(WRITTEN_SUFFIXES)}")


def _form(path: Path) -> AbstractContextManager[Content]:
    """The reader for what the first bytes, or else the suffix, say. Raises WeightsError for a file of no known kind."""
    if path.is_dir():
        return directory.opened(path, opened)
    with path.open("rb") as file:
        first = file.read(FIRST_BYTES)
    if not first:
        raise WeightsError(f"{path} is empty; fetch or write it again")
    refuse_foreign(path, first)
    if path.name.endswith(directory.INDEX_SUFFIX):
        return directory.opened_index(path, opened)
    if first.startswith(ZIP_MAGIC):
        return _in_zip(path)
    if first.startswith(torch_file.LEGACY_MAGIC):
        return torch_file.opened_legacy(path)
    if first.startswith(HDF5_MAGIC):
        return hdf5_file.opened(path)
    if path.suffix == ".safetensors" or safetensors_file.starts_like_one(first):  # its first byte may be that of a pickle
        return safetensors_file.opened(path)
    if first.startswith(PICKLE_MAGIC):
        return paddle_file.opened(path)
    if path.suffix == ".tlt":
        raise WeightsError(f"{path} is an encrypted TAO file; decrypt it with TAO and its key, then convert the .pth")
    if path.suffix in (".ckpt", ""):
        return mindspore_file.opened(path)
    raise WeightsError(f"{path} is damaged, or a weight file of no known kind; expected one of {', '.join(READ_SUFFIXES)}")


@contextmanager
def _in_zip(path: Path) -> Iterator[Content]:
    with opened_archive(path) as archive:
        if keras_archive.is_one(archive.names):
            reader = keras_archive.opened
        elif len(torch_file.pickles(archive.names)) == 1:
            reader = torch_file.opened_zip
        else:
            raise refuse_archive(path, archive.names, (*READ_SUFFIXES, ".npz"))
        with reader(archive) as content:
            yield content
