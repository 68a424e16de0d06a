"""What is often mistaken for the weights of a SegFormer: refused by name."""

import re
from collections.abc import Iterable

from segformer_core.errors import WeightsError
from segformer_core.weights.dialect import Shapes
from segformer_core.weights.dialects.own import MINDSPORE_TRAINING

TRAINING = re.compile(
    r"(^|[./:])(\w+_)?optimizers?(_\w+)?[./]|[./]exp_avg(_sq)?$|[./]momentum_buffer$|"
    + "|".join(map("^{}".format, MINDSPORE_TRAINING))
)
"""Names of what a training run needs to go on: moments, counters."""

PROFILER = re.compile(r"(^|[./])total_(ops|params)$")

NAMED = {
    r"^mit\.stages\.0\.1\.weight$": "is of lucidrains/segformer-pytorch, another network (InstanceNorm, keys and values from one "
    "strided convolution, no bias in attention): it cannot be converted",
    r"(^|\.)segformer_encoder\.embed_1\.patch_embeddings\.weight$": "is a SegFormer3D, a network for volumes: it cannot be "
    "converted",
    r"(^|[./])lora_(A|B|embedding_A|embedding_B|magnitude_vector)([./]|$)": "holds a LoRA that is not merged into the weights "
    "({}); merge it where it was made (in peft: model.merge_and_unload()), save that network and convert it",
    r"(^|[./])(SCB|absmax|quant_map|qweight|qzeros|zero_point|weight_scale(_inv)?|_packed_params)([./]|$)": "is of a quantised "
    "model ({}), whose numbers need scales that lie beside them; convert the weights from before it was quantised",
}
"""Pattern of a name -> what a file is that has such a name; {} stands for the name."""


def refuse_other_networks(shapes: Shapes, source: str) -> None:
    """Raise WeightsError for what has a SegFormer's names, or its title, but is no SegFormer that we can compute."""
    for pattern, sentence in NAMED.items():
        name = next(filter(re.compile(pattern).search, shapes), None)
        if name is not None:
            raise WeightsError(f"{source} {sentence.format(name)}")
    wide = [name for name, shape in shapes.items() if name.endswith("mlp.fc1.weight") and shape and shape[0] == 8 * shape[-1]]
    if wide:
        raise WeightsError(
            f"{source} is a PVTv2-B0…B4 ({wide[0]} widens its input eightfold), not MiT, which widens it fourfold everywhere: it "
            "cannot be converted"
        )


def refuse_unknown(names: Iterable[str], source: str, family: str) -> None:
    """Raise WeightsError for arrays among which there is no network at all."""
    names = list(names)
    state = [name for name in names if TRAINING.search(name)]
    if 2 * len(state) > len(names):
        raise WeightsError(
            f"{source} holds the state of an optimizer ({state[0]}) and no network; name the file with the weights, which most "
            "programs write beside it"
        )
    first = ", ".join(names[:3]) or "none"
    network = "any known SegFormer" if family == "auto" else f"{family}'s SegFormer"
    raise WeightsError(f"{source} does not hold the weights of {network}; its first names are: {first}")
