"""Every dialect, as data. Names, layouts and constants were measured on the live models of each code base."""

from segformer_core.weights.dialects.encoders import MMSEG, MMSEG_BACKBONE, TIMM
from segformer_core.weights.dialects.huggingface import (
    TENSORFLOW,
    TENSORFLOW_BASE,
    TENSORFLOW_CLASSIFIER,
    TENSORFLOW_SHARED,
    TRANSFORMERS_4,
    TRANSFORMERS_4_BASE,
    TRANSFORMERS_5,
    TRANSFORMERS_5_BASE,
)
from segformer_core.weights.dialects.keras import (
    KERAS_BACKBONE,
    KERAS_CLASSIFIER,
    KERAS_PRESET,
    KERAS_PRESET_CLASSIFIER,
    KERAS_SEGMENTER,
)
from segformer_core.weights.dialects.nvlabs import (
    NVLABS,
    NVLABS_BACKBONE,
    PADDLE,
    PADDLE_BACKBONE,
    REIMPLEMENTATIONS,
    SMP,
    TAO,
    ZOO,
)
from segformer_core.weights.dialects.own import CANONICAL, MINDSPORE

DIALECTS = (
    CANONICAL,
    MINDSPORE,
    NVLABS,
    NVLABS_BACKBONE,
    TRANSFORMERS_4,
    TRANSFORMERS_4_BASE,
    TRANSFORMERS_5,
    TRANSFORMERS_5_BASE,
    SMP,
    MMSEG_BACKBONE,  # before MMSEG: files of the encoder alone have no prefix
    MMSEG,
    ZOO,
    PADDLE,
    PADDLE_BACKBONE,
    KERAS_SEGMENTER,
    KERAS_CLASSIFIER,
    KERAS_BACKBONE,
    KERAS_PRESET,
    KERAS_PRESET_CLASSIFIER,
    TENSORFLOW,
    TENSORFLOW_CLASSIFIER,
    TENSORFLOW_BASE,
    TENSORFLOW_SHARED,
    TIMM,
    TAO,
    *REIMPLEMENTATIONS,
)
"""In the order in which they are tried: of dialects that read a file in the same way, the first counts."""
