"""Paint image, truth and prediction side by side: `python tools/make_contact_sheet.py --data_path … --infer_output_path … --output sheet.png`."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segformer_core.data import open_dataset
from segformer_core.data.dataset import read_label, read_pair
from segformer_core.errors import DataError, UserError
from segformer_core.inference import GRAY, write_png
from segformer_core.pictures import SheetRow, contact_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data_path", required=True, help="the dataset")
    parser.add_argument("--dataset_file", default="", help="a folder dataset's YAML, if not dataset.yaml in data_path")
    parser.add_argument("--infer_output_path", required=True, type=Path, help="where infer wrote its gray pictures")
    parser.add_argument("--output", required=True, type=Path, help="the PNG to write")
    parser.add_argument("--split", default="val", help="train or val")
    parser.add_argument("--count", default=6, type=int, help="rows, spread evenly over the split")
    options = parser.parse_args()
    dataset = open_dataset(options.data_path, options.split, options.dataset_file)
    step = max(len(dataset) // options.count, 1)
    rows = []
    for item in dataset.items[::step][: options.count]:
        predicted = options.infer_output_path / f"{item.name}{GRAY}"
        if not predicted.is_file():
            raise DataError(f"no prediction {predicted}; run infer on {options.data_path} with --infer_output_path {options.infer_output_path} first")
        rows.append(SheetRow(item.name, *read_pair(item, dataset.classes), read_label(predicted, dataset.classes)))
    write_png(options.output, contact_sheet(rows, dataset.classes))
    print(f"contact sheet: {options.output}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
