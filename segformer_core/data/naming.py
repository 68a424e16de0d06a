"""Names and colours of classes of which a file of weights says some or nothing."""

from collections.abc import Sequence

from segformer_core.data import cityscapes
from segformer_core.data.colours import class_colours
from segformer_core.data.dataset import Classes


def named_classes(names: Sequence[str], colours: Sequence[tuple[int, int, int]], count: int, source: str) -> Classes:
    """`count` classes by the names and colours that `source` states; each is empty or has `count` entries.

    Without names 19 classes are Cityscapes', and others class_0, class_1, …; without colours Cityscapes' names have its own, and
    others are given different ones.
    """
    if not names and count == len(cityscapes.CLASSES):
        names = cityscapes.CLASSES.names
    if not names:
        names = [f"class_{index}" for index in range(count)]
    if not colours:
        colours = (
            cityscapes.CLASSES.colours if _plain(names) == _plain(cityscapes.CLASSES.names) else class_colours([None] * count)
        )
    return Classes(tuple(names), tuple(colours), source=source)


def _plain(names: Sequence[str]) -> list[str]:
    return [name.casefold().replace("_", " ").strip() for name in names]
