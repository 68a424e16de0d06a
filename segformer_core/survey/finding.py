"""One thing that is wrong with a dataset, or worth a look."""

from dataclasses import dataclass

from segformer_core.survey.pair import Record

NAMES = 5
"""Names that a sentence lists."""


@dataclass(frozen=True)
class Finding:
    """`wrong`: something would be trained wrongly. `details` has a sentence for each file, `records` the pairs to look at."""

    wrong: bool
    sentence: str
    details: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
