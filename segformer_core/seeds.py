"""One generator for each purpose, so that no two of them ever draw the same numbers."""

import numpy as np

PURPOSES = ("first weights", "order", "augmentation", "masks")


def generator(purpose: str, *key: int) -> np.random.Generator:
    """The generator of (purpose, key): the same wherever and whenever it is asked for.

    The key's length is part of the seed, because NumPy takes (1, 2) and (1, 2, 0) for the same.
    """
    return np.random.default_rng((PURPOSES.index(purpose) + 1, *key, len(key)))
