"""An exported file's network, run with every value rounded to a lower type: what a backend is asked, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.protocol.form import Form
from segformer_core.spec.model import SegFormer


@dataclass(frozen=True)
class Rounded:
    """What came out where the weights and the output of every operator were rounded to one type.

    `scores`: for each batch the (N, K, h, w) float32 of which a label is the arg-max, infinite or NaN behind an overflow.
    `largest`: layer -> its largest absolute value, before it is rounded. `overflow`: the first layer, in the order of computing,
    with a value that the type does not hold; empty if there is none.
    """

    scores: tuple[np.ndarray, ...]
    largest: Mapping[str, float]
    overflow: str


Probe = Callable[[SegFormer, Mapping[str, np.ndarray], Form, Sequence[np.ndarray], Sequence[str]], Mapping[str, Rounded]]
"""(spec, arrays, form, batches, types): the file's graph, of one size and fp32, run on its inputs once for each type."""
