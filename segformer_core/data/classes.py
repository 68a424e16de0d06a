"""The classes of a data set: names, colours, and how its label files store them."""

from dataclasses import dataclass, field, replace

import numpy as np

from segformer_core.data.colours import RGB

Value = int | RGB
"""What a label file stores in a pixel."""

IGNORED = 255
"""The label, everywhere in the project, of a pixel that counts neither in the loss nor in a score."""

LARGEST_VALUE = 2**16 - 1
"""That a label file can store."""

AUTO, INDICES, COLOURS = FORMS = ("auto", "indices", "colours")


@dataclass(frozen=True)
class Labelling:
    """What the label files of a data set store.

    form        indices, colours, or auto: each file shows it
    stated      whether the description states the form; if not, the data set's own labels have shown it
    values      (stored value, class index); empty: the index is what is stored
    ignore      stored values of pixels that do not count; None: 255, unless that is a class's
    colours     (RGB, class index) of the classes whose colour the description names
    ignored_colours  RGB of pixels that do not count
    mapped      whether `values` come from a label_map
    """

    form: str = AUTO
    stated: bool = False
    values: tuple[tuple[int, int], ...] = ()
    ignore: tuple[int, ...] | None = None
    colours: tuple[tuple[RGB, int], ...] = ()
    ignored_colours: tuple[RGB, ...] = ()
    mapped: bool = False

    def class_values(self, count: int) -> dict[int, int]:
        """Stored value -> class index, of `count` classes."""
        return dict(self.values or ((index, index) for index in range(count)))

    def ignored_values(self, count: int) -> tuple[int, ...]:
        """The stored values of pixels that do not count."""
        if self.ignore is not None:
            return self.ignore
        return () if IGNORED in self.class_values(count) else (IGNORED,)


@dataclass(frozen=True)
class Classes:
    """Names and RGB colours by class index, and how label files store them.

    `source` is the file that names them; empty: they are Cityscapes', since no file names others.
    """

    names: tuple[str, ...]
    colours: tuple[RGB, ...]
    labelling: Labelling = field(default=Labelling(), compare=False)
    source: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB by label; black where there is no class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colours
        return palette

    def stored_as_indices(self) -> "Classes":
        """The same classes for label files that hold their indices, and 255 where ignored: those that `infer` writes."""
        return replace(self, labelling=Labelling(INDICES))
