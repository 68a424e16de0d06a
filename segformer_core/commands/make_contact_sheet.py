"""Put image, truth and prediction side by side, for a few images of a dataset.

segformer make_contact_sheet --data_path data/camvid --infer_output_path infer_result --output sheet.png
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segformer_core.commands.arguments import new_parser, number, path_argument, path_text
from segformer_core.data.dataset import IGNORED, Classes, Item, read_label, read_pair
from segformer_core.data.display import shown
from segformer_core.data.image_file import own_form
from segformer_core.data.layout import open_dataset
from segformer_core.errors import DataError
from segformer_core.evaluation.metrics import confusion_matrix, scores
from segformer_core.files import writable_directory
from segformer_core.inference.results import GRAY, TIFF_ENDINGS
from segformer_core.pictures import SheetRow, complaint, contact_sheet, write_png


def main(arguments: Sequence[str]) -> None:
    parser = new_parser("make_contact_sheet", __doc__)
    parser.add_argument("--data_path", required=True, type=path_text, help="the dataset")
    parser.add_argument("--dataset_file", default="", type=path_text, help="its YAML, if not data_path/dataset.yaml")
    parser.add_argument("--infer_output_path", required=True, type=path_argument, help="the folder infer wrote to")
    parser.add_argument("--output", required=True, type=path_argument, help="the PNG to write")
    parser.add_argument("--split", default="val", help="train or val (default %(default)s)")
    parser.add_argument("--count", default=6, type=number(1), help="rows, taken evenly (default %(default)s)")
    options = parser.parse_args(arguments)
    writable_directory(options.output.parent)
    dataset = open_dataset(options.data_path, options.split, options.dataset_file)
    count = min(options.count, len(dataset))
    items = [dataset.items[place * len(dataset) // count] for place in range(count)]
    rows = [sheet_row(item, dataset.classes, options.infer_output_path) for item in items]
    write_png(options.output, contact_sheet(rows, dataset.classes))
    if undrawn := complaint(dataset.classes.names):
        print(f"classes stand as numbers: {undrawn}")
    print(f"contact sheet: {options.output}")


def sheet_row(item: Item, classes: Classes, infer_output_path: Path) -> SheetRow:
    """An item with its prediction, captioned with its name and scores. Raises DataError."""
    named = [infer_output_path / f"{item.name}{ending}" for ending in (GRAY, TIFF_ENDINGS[GRAY])]
    predicted = max(filter(Path.is_file, named), key=lambda path: path.stat().st_mtime, default=None)
    if predicted is None:
        raise DataError(f"no prediction {named[0]}; run infer with that infer_output_path first")
    image, truth = read_pair(item, classes, own_form(item.image))
    prediction = read_label(predicted, classes.stored_as_indices())
    if prediction.shape != truth.shape:
        (height, width), (wanted_height, wanted_width) = prediction.shape, truth.shape
        raise DataError(f"{predicted} is {height}×{width} pixels; expected {wanted_height}×{wanted_width}, as {item.label}")
    return SheetRow(f"{item.name}   {_scored(truth, prediction, len(classes))}", shown(image), truth, prediction)


def _scored(truth: np.ndarray, prediction: np.ndarray, class_count: int) -> str:
    """mIoU and pixel accuracy; pixels without a prediction are left out, and their share is said."""
    counted, given = truth != IGNORED, prediction != IGNORED
    if not (counted & given).any():
        return "no pixel is scored"
    found = scores(confusion_matrix(np.where(given, truth, IGNORED).astype(np.uint8), prediction, class_count))
    without = 1 - given[counted].mean()
    return f"mIoU {found.miou:.3f}, pixel accuracy {found.aacc:.1%}" + (f", {without:.1%} without a class" if without else "")
