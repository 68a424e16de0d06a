"""Folders of weights: a transformers model, sharded or not, and a keras-hub preset."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from segformer_core.errors import WeightsError, brief
from segformer_core.files import special_file
from segformer_core.weights.containers.json_file import read_object
from segformer_core.weights.containers.stored import Content
from segformer_core.weights.containers.tree import name_of
from segformer_core.weights.dialects.keras import TASK

INDEX_SUFFIX = ".index.json"
MODEL_FILES = (
    *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
    *("tf_model.h5", "tf_model.h5.index.json", "model.weights.h5"),
)
"""Files that a folder may hold; the first in this order is read."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pdparams", ".h5", ".keras")
SHOWN = 3
PRESET_MODEL, PRESET_TASK = "model.weights.h5", "task.weights.h5"
MOST_SHARDS = 500
"""All are open at once."""

Open = Callable[[Path], AbstractContextManager[Content]]


@contextmanager
def opened(path: Path, open_file: Open) -> Iterator[Content]:
    """The model in a folder. Files may be symbolic links to files elsewhere: the hub's own cache is made of them."""
    file = next((path / name for name in MODEL_FILES if _is_file(path / name)), None)
    if file is None:
        raise WeightsError(f"folder {path} holds none of {', '.join(MODEL_FILES)}; {_instead(path)}")
    with ExitStack() as stack:
        content = stack.enter_context(open_file(file))
        tree, files = dict(content.tree), content.files
        if file.name == PRESET_MODEL and _is_file(path / PRESET_TASK):
            task = stack.enter_context(open_file(path / PRESET_TASK))
            tree |= {TASK + name: array for name, array in task.tree.items()}
            files += task.files
        yield Content(f"{content.container} in a folder", tree, content.metadata, files, content.inert)


def _instead(path: Path) -> str:
    """What a user may name in place of a folder without a model."""
    try:
        folders = sorted({file.parent for name in MODEL_FILES for file in path.glob(f"*/{name}")}, key=_age)
        files = sorted((file for file in path.iterdir() if file.suffix in SUFFIXES), key=_age)
    except OSError:
        return "name the weight file itself"
    if folders:
        inside = f"these folders in it do: {', '.join(folder.name for folder in folders[:SHOWN])}"
        return f"{inside}{', …' if len(folders) > SHOWN else ''}; name one, the newest is {folders[-1]}"
    if files:
        return f"name one of its weight files: {', '.join(map(str, files[:SHOWN]))}{', …' if len(files) > SHOWN else ''}"
    return "name the weight file itself"


def _age(path: Path) -> tuple[float, str]:
    """When a file or folder was last written, and its name."""
    return path.lstat().st_mtime, path.name


@contextmanager
def opened_index(path: Path, open_file: Open) -> Iterator[Content]:
    """The shards that an index lists, each a file beside it. Raises WeightsError if the index and the shards disagree.

    An index can name no file of another folder. A shard may be a symbolic link to one, which only the folder's owner can make:
    the hub's own cache is made of such links.
    """
    shard_of = _weight_map(path)
    names = sorted(set(shard_of.values()))
    if not names:
        raise WeightsError(f"{path} names no shards: its weight_map is empty; fetch it again")
    if len(names) > MOST_SHARDS:
        raise WeightsError(f"{path} names {len(names)} shards; expected {MOST_SHARDS} at most")
    for name in names:
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name or not name.isprintable():
            raise WeightsError(f"{path} names the shard {brief(name)}; expected files beside the index")
        if name.endswith(INDEX_SUFFIX):
            raise WeightsError(f"{path} names the shard {brief(name)}, an index too; expected files of weights beside it")
        if not _is_file(path.parent / name):
            what = "a folder" if (path.parent / name).is_dir() else "missing"
            raise WeightsError(f"{path} names the shard {brief(name)}, which is {what}; fetch all files of the model again")
    with ExitStack() as stack:
        shards = {name: stack.enter_context(open_file(path.parent / name)) for name in names}
        lost = [name for name, shard in shard_of.items() if name not in shards[shard].tree]
        if lost:
            raise WeightsError(f"{path} says that {lost[0]} lies in {shard_of[lost[0]]}, which does not hold it")
        tree = {name: shards[shard].tree[name] for name, shard in shard_of.items()}
        first = next(iter(shards.values()))
        files = tuple(file for shard in shards.values() for file in shard.files)
        inert = tuple(dict.fromkeys(name for shard in shards.values() for name in shard.inert))
        yield Content(f"{first.container}, {len(shards)} shards", tree, first.metadata, files, inert)


def _weight_map(path: Path) -> dict[str, str]:
    """The shard of each array."""
    shard_of: Any = read_object(path).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise WeightsError(
            f"{path} is not an index of shards (weight_map is {brief(shard_of)}); expected an object that names a file for "
            "each array"
        )
    return {name_of(name): shard for name, shard in shard_of.items()}


def _is_file(path: Path) -> bool:
    """Whether there is something to open: a special file is, so that it is refused by its name."""
    return path.is_file() or bool(special_file(path))
