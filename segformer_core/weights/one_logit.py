"""Networks of one logit a pixel, the object's: as segmentation_models_pytorch and many tutorials train two classes.

The sigmoid of a logit x is the softmax of (0, x), and x > 0 is where the arg-max of (0, x) is 1. So such a network becomes one
of two classes by a row of zeros before the classifier's, and all that follows is right: labels, means over scales and mirror
images, export.
"""

from dataclasses import replace

import numpy as np

from segformer_core.spec.model import DECODE_HEAD
from segformer_core.weights.reading import Weights

CLASSIFIER = f"{DECODE_HEAD}linear_pred."
BACKGROUND, OBJECT = "background", "object"
SENTENCE = "it has one logit a pixel (sigmoid): computed as two classes, background (0) and the object (1)"


def as_two_classes(weights: Weights) -> Weights:
    """The same network with a class of logit 0 before its only one; a network of several classes as it is."""
    if weights.architecture.class_count != 1:
        return weights
    atoms = {
        name: np.concatenate((np.zeros_like(array), array)) if name.startswith(CLASSIFIER) else array
        for name, array in weights.atoms.items()
    }
    names = (BACKGROUND, *(weights.stated.classes or (OBJECT,)))
    stated = replace(weights.stated, classes=names if len({*names}) == len(names) else (), colours=())
    architecture = replace(weights.architecture, class_count=2)
    return replace(weights, architecture=architecture, atoms=atoms, stated=stated, notes=(*weights.notes, SENTENCE))
