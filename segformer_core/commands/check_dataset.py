"""Read every image and label of a dataset, and say what would be trained wrongly: `segformer check_dataset data/mydata`.

Counts the pixels of each class in train and val (and test, if it has labels), names every file that cannot be used, classes that
cannot be learnt or measured, images that are in two splits, and proposes the keys of a recipe. Writes report.html to look at.

--write makes a dataset.yaml, if there is none, with a class for each value in the labels, and a recipe with the proposal.

Exit code 1: something would be trained wrongly. 0: nothing would; hints may be worth a look.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from segformer_core.commands.arguments import add_workers, new_parser, number, path_argument, path_text
from segformer_core.config.keys import MOST_CHANNELS
from segformer_core.config.together import check_range
from segformer_core.config.values import COMMAND_LINE, check_value, parse_flag
from segformer_core.survey.report import Wanted, check_dataset


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    text = options.image_range.strip("[] ")
    image_range = check_value("image_range", parse_flag("image_range", f"[{text}]"), COMMAND_LINE)
    check_range(image_range)
    wanted = Wanted(options.report, options.write, options.recipe, options.force, options.in_channels, image_range)
    return check_dataset(options.data_path, options.dataset_file, options.workers, wanted, print)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("check_dataset", __doc__)
    parser.add_argument("data_path", type=path_text, help="the dataset's folder")
    parser.add_argument("--dataset_file", default="", type=path_text, help="its YAML, if not data_path/dataset.yaml")
    parser.add_argument(
        "--report", default=Path("dataset_report"), type=path_argument, help="folder for report.html (default %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="write a dataset.yaml, if there is none, and a recipe")
    parser.add_argument("--recipe", type=path_argument, help="the recipe to write (default with --write: FOLDER_recipe.yaml)")
    parser.add_argument("--force", action="store_true", help="replace a recipe, or a report.html that is none of ours")
    parser.add_argument(
        "--in_channels", type=number(0, MOST_CHANNELS), default=0, help="channels of an image (default: as the files say)"
    )
    parser.add_argument(
        "--image_range", default="", help="LOW,HIGH: the values of files with more than 8 bits that become 0 and 255"
    )
    add_workers(parser)
    return parser
