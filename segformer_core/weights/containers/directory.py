"""Folders of weights: a transformers model, sharded or not, and a keras-hub preset."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.stored import Content
from segformer_core.weights.dialects.keras import TASK

INDEX_SUFFIX = ".index.json"
MODEL_FILES = (
    *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
    *("tf_model.h5", "model.weights.h5"),
)
"""Files that a folder may hold; the first in this order is read."""
PRESET_MODEL, PRESET_TASK = "model.weights.h5", "task.weights.h5"

Open = Callable[[Path], AbstractContextManager[Content]]


@contextmanager
def opened(path: Path, open_file: Open) -> Iterator[Content]:
    """The model in a folder."""
    file = next((path / name for name in MODEL_FILES if (path / name).is_file()), None)
    if file is None:
        raise WeightsError(f"folder {path} holds none of {', '.join(MODEL_FILES)}; name the weight file itself")
    with ExitStack() as stack:
        content = stack.enter_context(open_file(file))
        tree, files = dict(content.tree), content.files
        if file.name == PRESET_MODEL and (path / PRESET_TASK).is_file():
            task = stack.enter_context(open_file(path / PRESET_TASK))
            tree |= {TASK + name: array for name, array in task.tree.items()}
            files += task.files
        yield Content(f"{content.container} in a folder", tree, content.metadata, files)


@contextmanager
def opened_index(path: Path, open_file: Open) -> Iterator[Content]:
    """The shards that an index lists. Raises WeightsError if the index and the shards disagree."""
    try:
        shard_of = json.loads(path.read_text())["weight_map"]
        names = set(shard_of.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is not an index of shards ({error}); expected a JSON object with weight_map") from error
    outside = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise WeightsError(f"{path} names the shard {outside[0]!r}; expected files beside the index")
    with ExitStack() as stack:
        shards = {name: stack.enter_context(open_file(path.parent / name)) for name in sorted(names)}
        lost = [name for name, shard in shard_of.items() if name not in shards[shard].tree]
        if lost:
            raise WeightsError(f"{path} says that {lost[0]} lies in {shard_of[lost[0]]}, which does not hold it")
        tree = {name: shards[shard].tree[name] for name, shard in shard_of.items()}
        first = next(iter(shards.values()))
        files = tuple(file for shard in shards.values() for file in shard.files)
        yield Content(f"{first.container}, {len(shards)} shards", tree, first.metadata, files)
