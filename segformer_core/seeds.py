"""One random generator for each purpose, so that no two purposes draw the same numbers."""

import numpy as np

PURPOSES = ("first weights", "order", "augmentation", "masks")


def generator(purpose: str, *key: int) -> np.random.Generator:
    """The generator of (purpose, key). Equal arguments give the same numbers in every process and every run.

    The key's length is part of the seed, because NumPy treats (1, 2) and (1, 2, 0) as the same seed.
    """
    return np.random.default_rng((PURPOSES.index(purpose) + 1, *key, len(key)))
