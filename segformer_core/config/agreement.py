"""A file and the configuration must describe the same network."""

from collections.abc import Mapping

from segformer_core.errors import WeightsError

CUSTOM = "mit_custom"
"""The backbone, as a file's, that is none of the paper's."""

OTHER_CLASSES = (
    "the data has as many classes as class_num says, and these weights label others: choose weights that were trained on this "
    "data, train on it with this file as --pretrained_ckpt_path, or name the data of these weights with --data_path and "
    "--dataset_file"
)
OTHER_ENCODER = "its encoder is none of mit_b0 … mit_b5, which only `load` of the Python API takes: choose another file"


def check_agreement(subject: str, pairs: Mapping[str, tuple[object, object]], data_classes: bool = False) -> None:
    """Raise one WeightsError that says what to do if a file differs from the configuration: which keys to set, where that helps.

    `subject` begins the sentence: "x.pth has". `pairs` maps a configuration key to the file's value and the configuration's.
    `data_classes`: class_num is that of a dataset at hand, so another one would not help.
    """
    wrong = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    if wrong:
        in_file = ", ".join(f"{key} {value}" for key, (value, _) in wrong.items())
        configured = ", ".join(f"{key} {value}" for key, (_, value) in wrong.items())
        advice = _advice(wrong, data_classes)
        raise WeightsError(f"{subject} {in_file}; the configuration has {configured}; {advice}")


def _advice(wrong: Mapping[str, tuple[object, object]], data_classes: bool) -> str:
    """What to do, which no later check refuses."""
    if wrong.get("backbone", ("",))[0] == CUSTOM:
        return OTHER_ENCODER
    if data_classes and "class_num" in wrong:
        return OTHER_CLASSES
    return f"set {' '.join(f'--{key} {value}' for key, (value, _) in wrong.items())}, or choose another file"
