"""Small JSON files beside weights, from anywhere: bounded, and a fault is one sentence."""

import json
from pathlib import Path
from typing import Any

from segformer_core.errors import WeightsError
from segformer_core.files import special_file
from segformer_core.weights.containers.limits import LONGEST_TEXT


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises WeightsError if it is no regular file, too large, damaged or something else."""
    kind = "a folder" if path.is_dir() else special_file(path)
    if kind:
        raise WeightsError(f"{path} is {kind}; expected a JSON file, as it was saved beside the weights")
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_TEXT + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    return parsed(data, str(path))


def parsed(data: bytes, source: str) -> dict[str, Any]:
    """The object in the bytes of a JSON file, which the error calls `source`. Raises WeightsError."""
    if len(data) > LONGEST_TEXT:
        raise WeightsError(f"{source} has more than {LONGEST_TEXT >> 20} MiB; expected a small JSON file: fetch it again")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{source} is damaged or no JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{source} holds a {type(content).__name__}; expected a JSON object: fetch it again")
    return content


def is_there(path: Path) -> bool:
    """Whether something has this name, also a link to nothing."""
    return path.exists() or path.is_symlink()
