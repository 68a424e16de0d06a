"""Any image as a picture: for pages, overlays and contact sheets, never for the network."""

import numpy as np

from segformer_core.data.image_form import LARGEST, RGB_CHANNELS


def shown(image: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) uint8, or floats on the scale 0..255 -> (H, W, 3) uint8 RGB.

    One channel is gray, of two the first is, of more the first three are red, green and blue. Floats are clipped and rounded;
    NaN is black. An RGB image of 8 bits is returned as it is.
    """
    pixels = image[..., None] if image.ndim == 2 else image
    pixels = pixels[..., :RGB_CHANNELS] if pixels.shape[2] >= RGB_CHANNELS else pixels[..., :1]
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels, nan=0.0), 0, LARGEST)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], RGB_CHANNELS)))
