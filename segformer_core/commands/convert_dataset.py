"""Make Cityscapes' label images: `segformer convert_dataset data/cityscapes --nproc 8`."""

import os
import time
from collections.abc import Sequence

from tqdm import tqdm

from segformer_core.commands.arguments import new_parser, number, path_argument
from segformer_core.data.conversion import convert_all, find_annotations
from segformer_core.errors import DataError, first_of


def main(arguments: Sequence[str]) -> None:
    parser = new_parser("convert_dataset", __doc__)
    parser.add_argument("data_path", type=path_argument, help="the folder that holds gtFine")
    parser.add_argument("--nproc", type=number(1), default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument("--force", action="store_true", help="convert what is up to date, too")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    annotations = find_annotations(options.data_path)
    results = list(
        tqdm(convert_all(annotations, options.nproc, options.force), total=len(annotations), unit="file", disable=None)
    )
    converted, errors = sum(result.converted for result in results), [result.error for result in results if result.error]
    print(
        f"{converted} converted, {len(results) - converted - len(errors)} up to date, {len(errors)} failed, "
        f"{time.perf_counter() - start:.1f} s"
    )
    if errors:
        raise DataError(first_of(errors))
