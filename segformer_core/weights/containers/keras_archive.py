"""The .keras archive of Keras 3: a zip of config.json, metadata.json and model.weights.h5."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from segformer_core.weights.containers import hdf5_file
from segformer_core.weights.containers.stored import Content
from segformer_core.weights.containers.zip_archive import ZipArchive

WEIGHTS, CONFIG = "model.weights.h5", "config.json"


def is_one(names: list[str]) -> bool:
    return WEIGHTS in names and CONFIG in names


@contextmanager
def opened(archive: ZipArchive) -> Iterator[Content]:
    """The arrays of the weights inside, which are unpacked in memory, by the names of a file of the whole model.

    The metadata hold the text of config.json under that name.
    """
    stated = {CONFIG: archive.read(CONFIG).decode(errors="replace")}
    with hdf5_file.opened(archive.path, archive.read(WEIGHTS), "Keras archive") as content:
        yield replace(content, metadata=stated)
