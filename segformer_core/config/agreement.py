"""A file and the configuration must describe the same network."""

from collections.abc import Mapping

from segformer_core.errors import WeightsError


def check_agreement(subject: str, pairs: Mapping[str, tuple[object, object]]) -> None:
    """Raise one WeightsError that lists the keys to set if a file differs from the configuration.

    `subject` begins the sentence: "x.pth has". `pairs` maps a configuration key to the file's value and the configuration's.
    """
    wrong = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    if wrong:
        in_file = ", ".join(f"{key} {value}" for key, (value, _) in wrong.items())
        configured = ", ".join(f"{key} {value}" for key, (_, value) in wrong.items())
        flags = " ".join(f"--{key} {value}" for key, (value, _) in wrong.items())
        raise WeightsError(f"{subject} {in_file}; the configuration has {configured}; set {flags}, or choose another file")
