"""The randomness of a training step, drawn here so that both frameworks run the same stochastic training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.seeds import generator
from segformer_core.spec.model import SegFormer


@dataclass(frozen=True)
class KeepMasks:
    """0 where something is dropped, 1 / (1 - rate) where it is kept, so that means are unchanged. float32.

    paths     (blocks, 2, B, 1, 1): stochastic depth of the attention and the mix-FFN branch of each block and sample
    channels  (B, decoder width, 1, 1): dropout of whole channels before the classifier
    """

    paths: np.ndarray
    channels: np.ndarray


def draw_keep_masks(spec: SegFormer, seed: int, step: int, samples: Sequence[int]) -> KeepMasks:
    """Masks of training step `step` for the batch's `samples` (their places in the whole batch, over all devices).

    Each sample has a generator of its own, seeded by (seed, step, sample): neither the batch's other samples nor the number
    of devices changes what is drawn, and resuming needs no generator state.
    """
    path_rates = np.repeat([block.drop_path for block in spec.blocks], 2)
    draws = [generator("masks", seed, step, sample) for sample in samples]
    paths = np.stack([_keep(rng, path_rates) for rng in draws], axis=1)
    channels = np.stack([_keep(rng, np.full(spec.decoder_width, spec.decode_head.dropout)) for rng in draws])
    return KeepMasks(
        paths=paths.reshape(len(spec.blocks), 2, len(draws), 1, 1),
        channels=channels.reshape(len(draws), spec.decoder_width, 1, 1),
    )


def _keep(rng: np.random.Generator, rates: np.ndarray) -> np.ndarray:
    return ((rng.random(rates.shape) >= rates) / (1.0 - rates)).astype(np.float32)
