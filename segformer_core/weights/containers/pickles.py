"""Reads pickles without running their code: only arrays are built; other objects are refused or stay inert."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from segformer_core.errors import WeightsError


class Inert:
    """Stands in for an object of a training run (a configuration, a log): it accepts every call and ignores it."""

    def __new__(cls, *_: Any, **__: Any) -> "Inert":
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass


INERT_MODULES = (
    *("argparse", "pathlib", "datetime", "collections", "enum", "typing", "types"),
    *("torch.nn", "torch.optim", "torch", "torch._C", "torch.distributed"),
    *("mmcv", "mmengine", "mmseg", "addict", "yacs", "omegaconf", "pytorch_lightning", "lightning", "timm", "transformers"),
    *("segmentation_models_pytorch", "torchmetrics", "numpy"),
)
"""Modules whose objects often lie beside the weights. Nothing is imported from them; objects of other modules are refused."""


class PickledDtype:
    """A numpy dtype as a pickle describes it."""

    def __init__(self, code: str, *_: Any):
        self.dtype = np.dtype(code) if isinstance(code, str) else np.dtype("O")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.dtype = np.dtype(state[1] + self.dtype.str[1:])  # native where it can be, unlike newbyteorder's


class PickledArray:
    """A numpy array as a pickle describes it."""

    array: np.ndarray

    def __init__(self, *_: Any):
        self.array = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, raw = state
        if kind.dtype.kind not in "fiub" or not isinstance(raw, bytes):
            self.array = np.empty(0, object)  # texts and objects: never a weight
            return
        self.array = np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _array_of_buffer(raw: bytes | bytearray, kind: PickledDtype, shape: tuple[int, ...], order: str) -> PickledArray:
    """An array as a pickle of protocol 5 describes it."""
    array = PickledArray()
    array.__setstate__((1, shape, kind, order == "F", bytes(raw)))
    return array


def _bytes_of_text(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise WeightsError(f"an array's bytes are encoded as {encoding!r}; expected latin1")
    return text.encode("latin1")


Replacements = dict[tuple[str, str], Any]
"""(module, name) of an object that a pickle imports -> what is used in its place."""

ARRAYS: Replacements = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _bytes_of_text,
    ("numpy", "dtype"): PickledDtype,
    ("numpy", "ndarray"): PickledArray,
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
}
"""For what a pickle of numpy arrays imports."""


class SafeUnpickler(pickle.Unpickler):
    """Unpickles with replacements instead of imports; `stored` turns a persistent id into a storage."""

    def __init__(self, file: IO[bytes], source: str, replacements: Replacements, stored: Callable[[Any], Any] | None = None):
        super().__init__(file, encoding="latin1")
        self.source, self.replacements, self.stored = source, ARRAYS | replacements, stored

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.replacements:
            return self.replacements[module, name]
        if any(module == inert or module.startswith(f"{inert}.") for inert in INERT_MODULES):
            return type(name, (Inert,), {"__module__": module})
        raise WeightsError(
            f"{self.source} is a pickle that would call {module}.{name}, which no weights need; nothing of it "
            "was run; do not trust the file"
        )

    def persistent_load(self, pid: Any) -> Any:
        if self.stored is None:
            raise WeightsError(f"{self.source} is a pickle that refers to storages outside it; it is not a weight file")
        return self.stored(pid)


def unpickle(unpickler: SafeUnpickler) -> Any:
    """The unpickled object. Raises WeightsError for a damaged or hostile pickle."""
    try:
        return unpickler.load()
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        raise WeightsError(f"{unpickler.source} is damaged ({type(error).__name__}: {error}); fetch or write it again") from error
