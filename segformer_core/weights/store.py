"""Weight files in our own form: safetensors with canonical names, PyTorch's layout and the network's identity as metadata."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

from segformer_core.errors import WeightsError
from segformer_core.files import atomic_write
from segformer_core.spec.arrays import check_arrays
from segformer_core.spec.model import SegFormer

SUFFIX = ".safetensors"
FORMAT = "segformer_core 1"
HEAD = "decode_head."


def save_weights(path: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], **metadata: str) -> None:
    """Write all arrays of `spec`, atomically. Raises WeightsError for a wrong set of arrays, OSError if it cannot write."""
    check_arrays(spec, arrays, "the set of arrays to save")
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    described = {"format": FORMAT, **spec.identity(), **metadata}
    atomic_write(path, lambda temporary: save_file(contiguous, temporary, metadata=described))


def read_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Every array of a safetensors file and its metadata. Raises WeightsError if it is missing or unreadable."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no such weight file: {path}")
    if path.suffix != SUFFIX:
        raise WeightsError(f"{path} is not a {SUFFIX} file; convert it to one first")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file ({error}); fetch or write it again") from error


def load_weights(path: str | Path, spec: SegFormer) -> dict[str, np.ndarray]:
    """The arrays of a file that holds exactly `spec`. Raises WeightsError that lists every difference."""
    arrays, metadata = read_weights(path)
    _check_numerics(path, spec, metadata)
    check_arrays(spec, arrays, str(path))
    return arrays


def load_pretrained(path: str | Path, spec: SegFormer, fresh: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """The arrays to start training from, and a sentence that says what was loaded.

    The one allowed partial load: if the file's classifier has another number of classes, its encoder is taken and the head
    stays as in `fresh`. Anything else that differs raises WeightsError.
    """
    arrays, metadata = read_weights(path)
    _check_numerics(path, spec, metadata)
    found = _class_count(arrays)
    if found is None or found == spec.class_count:
        check_arrays(spec, arrays, str(path))
        return arrays, f"loaded all {len(arrays)} arrays of {path}"
    encoder = {name: array for name, array in arrays.items() if not name.startswith(HEAD)}
    head = {name: array for name, array in fresh.items() if name.startswith(HEAD)}
    check_arrays(spec, encoder | head, str(path))
    return encoder | head, (
        f"loaded the encoder of {path} ({len(encoder)} arrays); its head has {found} classes and class_num is "
        f"{spec.class_count}, so the head starts fresh ({len(head)} arrays)"
    )


def _class_count(arrays: Mapping[str, np.ndarray]) -> int | None:
    classifier = arrays.get(f"{HEAD}linear_pred.weight")
    return None if classifier is None else classifier.shape[0]


def _check_numerics(path: str | Path, spec: SegFormer, metadata: Mapping[str, str]) -> None:
    numerics = metadata.get("numerics", spec.numerics)
    if numerics != spec.numerics:
        raise WeightsError(
            f"{path} was trained with numerics {numerics!r} and numerics is {spec.numerics!r}; set numerics: {numerics}"
        )
