"""Images in NumPy's own files, .npy: any number of channels and any depth."""

import io

import numpy as np

from segformer_core.errors import DataError, brief

MAGIC = b"\x93NUMPY"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npy_values(data: bytes, channels: int, source: object) -> np.ndarray:
    """(H, W, C) as stored, in the machine's byte order: from (H, W), (H, W, C) or (C, H, W). Raises DataError.

    Of three axes the last has the channels if it has `channels` of them, else the first. Nothing but numbers is read, and
    nothing larger than the file.
    """
    file = io.BytesIO(data)
    try:
        shape, by_columns, dtype = HEADERS[np.lib.format.read_magic(file)](file)
        if dtype.kind not in "uif":
            raise DataError(f"{source} holds {brief(str(dtype))} values; expected whole numbers or floats: convert it")
        stored = np.frombuffer(data, dtype, offset=file.tell(), count=int(np.prod(shape, dtype=object)))
        array = stored.reshape(shape, order="F" if by_columns else "C")
    except (ValueError, KeyError, OverflowError, SyntaxError, TypeError) as error:
        raise DataError(f"{source} is damaged, or no .npy file of numbers ({brief(str(error))}); replace it") from error
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim != 3:
        raise DataError(f"{source} is an array of {_words(shape)}; expected height × width, or with the channels first or last")
    elif array.shape[2] != channels and (array.shape[0] == channels or array.shape[2] > array.shape[0]):
        array = array.transpose(1, 2, 0)
    if not array.size:
        raise DataError(f"{source} is an array of {_words(shape)}, without a pixel; replace it")
    return np.ascontiguousarray(array, dtype.newbyteorder("="))


def _words(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
