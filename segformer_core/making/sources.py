"""Which kind of source the options name, and its two halves where train and val are given apart."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segformer_core.errors import ConfigError, DataError
from segformer_core.making.coco import find_coco
from segformer_core.making.example import TRAIN, VAL, Found
from segformer_core.making.labelme import find_labelme
from segformer_core.making.pairing import find_pairs
from segformer_core.making.voc import find_voc


@dataclass(frozen=True)
class Half:
    """The files of the whole source, or of its val half."""

    images: Path | None = None
    masks: Path | None = None
    coco: Path | None = None
    labelme: Path | None = None

    def __bool__(self) -> bool:
        return any((self.images, self.masks, self.coco, self.labelme))

    @property
    def folders(self) -> list[Path]:
        return [folder for folder in (self.images, self.masks, self.labelme) if folder]


@dataclass(frozen=True)
class Source:
    """What the user has. `val` is empty where it is to be split; `voc` stands alone."""

    whole: Half
    val: Half = Half()
    voc: Path | None = None
    mask_suffix: str | None = None
    image_suffix: str = ""

    @property
    def annotated(self) -> bool:
        """Whether labels are drawn from annotations; else they are files of masks."""
        return bool(self.whole.coco or self.whole.labelme)

    @property
    def folders(self) -> list[Path]:
        return [*self.whole.folders, *self.val.folders, *filter(None, [self.voc])]

    def find(self) -> Found:
        """Raises UserError."""
        if self.voc:
            if self.whole or self.val:
                raise ConfigError("--voc names the whole source; leave --images, --masks, --coco and --labelme out")
            return find_voc(self.voc)
        if not self.val:
            return self._kind(self.whole)("")
        if not self.whole:
            raise ConfigError("options of val name the second half of a source; give the first one without val_")
        train, val = self._kind(self.whole)(TRAIN), self._kind(self.val)(VAL)
        if bool(self.val.coco) != bool(self.whole.coco) or bool(self.val.labelme) != bool(self.whole.labelme):
            raise ConfigError("train and val are of different kinds; give both as --coco, both as --labelme, or both as masks")
        if self.whole.coco and train.classes != val.classes:
            raise DataError(
                f"{self.whole.coco} and {self.val.coco} have different categories; expected the same, with the same ids"
            )
        classes = {one.name: one for one in (*train.classes, *val.classes)}
        if self.whole.labelme:
            classes = {name: classes[name] for name in sorted(classes, key=lambda name: (name != "_background_", name))}
        return Found(
            (*train.examples, *val.examples),
            f"{train.what}; val: {val.what}",
            (*train.notes, *val.notes),
            tuple(classes.values()),
            train.used | val.used,
        )

    def _kind(self, half: Half) -> Callable[[str], Found]:
        if half.coco and half.labelme:
            raise ConfigError("--coco and --labelme are two sources; keep one, or make two data sets")
        if (half.coco or half.labelme) and half.masks:
            raise ConfigError(f"--masks and {'--coco' if half.coco else '--labelme'} both give the labels; keep one of them")
        if half.coco:
            coco, beside = half.coco, half.images or half.coco.parent
            return lambda split: find_coco(coco, beside, split)
        if half.labelme:
            labelme = half.labelme
            return lambda split: find_labelme(labelme, half.images, split)
        if not half.images:
            raise ConfigError("there are no images; give --images DIR and --masks DIR, --coco FILE, --labelme DIR or --voc DIR")
        images = half.images
        return lambda split: find_pairs(images, half.masks, self.mask_suffix, self.image_suffix, split)
