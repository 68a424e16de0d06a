"""The training objective: which losses, each with its weight, as the key `loss` names them."""

import math
from dataclasses import dataclass, fields
from typing import Any

from segformer_core.errors import ConfigError, brief


@dataclass(frozen=True)
class Objective:
    """The weight of each loss in the sum; 0: it takes no part.

    Cross-entropy and focal loss are sums over pixels, Dice and Lovász-softmax are over the regions of a whole batch.
    """

    ce: float = 0.0
    dice: float = 0.0
    focal: float = 0.0
    lovasz: float = 0.0

    @property
    def over_pixels(self) -> bool:
        """Whether some loss is a sum over pixels, which may be chosen and weighed."""
        return self.ce > 0 or self.focal > 0

    @property
    def over_regions(self) -> tuple[str, ...]:
        """The losses that need the whole batch at once."""
        return tuple(name for name in ("dice", "lovasz") if getattr(self, name) > 0)


SMALLEST_DOUBT = 2.0**-24
"""The smallest 1 - p in the power of the focal loss; float32 has no number between it and 0 that 1 - p can be."""

NAMES = tuple(item.name for item in fields(Objective))
EXPECTED = f"expected one of {', '.join(NAMES)}, or several with their weights: {{ce: 1, dice: 0.5}}"


def objective(text: str, subject: str = "loss") -> Objective:
    """`ce`, `ce, dice` or `{ce: 1, dice: 0.5}` -> the weights; 1 where none is given.

    Raises ConfigError for an unknown or repeated name, or a weight that is not above 0; `subject` begins its sentence.
    """
    weights: dict[str, float] = {}
    for part in text.strip().strip("{}[]()").split(","):
        name, colon, number = (word.strip(" '\"") for word in part.partition(":"))
        name = name.lower()
        if name not in NAMES or (colon and not number):
            raise ConfigError(f"{subject} is {brief(text)}; {EXPECTED}")
        if name in weights:
            raise ConfigError(f"{subject} is {brief(text)}, which names {name} twice; {EXPECTED}")
        weights[name] = _weight(number) if colon else 1.0
        if not 0 < weights[name] < math.inf:
            raise ConfigError(f"{subject} is {brief(text)}; expected weights above 0: leave out a loss that is not wanted")
    return Objective(**weights)


def written(value: Any, subject: str) -> str:
    """`loss` in its one spelling, `ce, dice: 0.5`, from text, a list or a mapping. Raises ConfigError."""
    text = _text(value)
    if text is None:
        raise ConfigError(f"{subject} is {brief(value)}; {EXPECTED}")
    weights = objective(text, subject)
    shown = {name: weight for name in NAMES if (weight := getattr(weights, name))}
    return ", ".join(name if weight == 1 else f"{name}: {repr(weight).removesuffix('.0')}" for name, weight in shown.items())


def _text(value: Any) -> str | None:
    """The text that a list, or a mapping with weights, stands for; None if it stands for none."""
    parts = [_part(part) for part in (value if isinstance(value, list) else [value])]
    return None if None in parts else ", ".join(map(str, parts))


def _part(value: Any) -> str | None:
    """A name, or a mapping of names and weights, as text. It goes no deeper: aliases within each other may be endless."""
    if isinstance(value, dict) and all(weight is None or type(weight) in (int, float, str) for weight in value.values()):
        return ", ".join(str(name) if weight is None else f"{name}: {weight}" for name, weight in value.items())
    return value if isinstance(value, str) else None


def _weight(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
