"""Label maps as the Cityscapes server expects them: full-size PNGs of label ids, all in one zip."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import trainId2label

from segformer_core.data import cityscapes
from segformer_core.data.dataset import Dataset, Item
from segformer_core.errors import DataError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.pictures import write_png

SUFFIX = "_pred_labelIds.png"
ARCHIVE = "submission.zip"


class Submission:
    """`write` saves one image's labels, `finish` makes the zip. Raises DataError unless the dataset has Cityscapes' classes."""

    def __init__(self, folder: Path, dataset: Dataset):
        if dataset.classes != cityscapes.CLASSES:
            raise DataError(
                f"save_submission needs Cityscapes' {len(cityscapes.CLASSES)} classes, but the dataset has its own "
                f"({', '.join(dataset.classes.names)}); leave save_submission empty"
            )
        self.folder = writable_directory(folder)
        self.paths = [self.folder / _name(item) for item in dataset.items]
        self.label_ids = np.zeros(256, np.uint8)
        for train_id in range(len(cityscapes.CLASSES)):
            self.label_ids[train_id] = trainId2label[train_id].id

    def write(self, item: Item, labels: np.ndarray) -> None:
        """Save (H, W) uint8 train ids, at the image's own size, as label ids."""
        write_png(self.folder / _name(item), cv2.LUT(labels, self.label_ids))

    def finish(self) -> Path:
        """Zip the label maps of all images. Every process must have written its maps before."""
        archive = self.folder / ARCHIVE
        atomic_write(archive, self._zip)
        return archive

    def _zip(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # PNGs are already compressed
            for map_ in self.paths:
                archive.write(map_, map_.name)


def _name(item: Item) -> str:
    return item.image.name.removesuffix(cityscapes.IMAGE_SUFFIX) + SUFFIX
