"""Make Cityscapes' label images: `python tools/convert_dataset.py data/cityscapes --nproc 8`."""

import argparse
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segformer_core.data.conversion import convert_all, find_polygons
from segformer_core.errors import DataError, UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("data_path", type=Path, help="the folder that holds gtFine")
    parser.add_argument("--nproc", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument("--force", action="store_true", help="convert what is up to date, too")
    options = parser.parse_args()
    if options.nproc < 1:
        raise DataError(f"--nproc is {options.nproc}; expected at least 1")
    start = time.perf_counter()
    polygons = find_polygons(options.data_path)
    results = list(tqdm(convert_all(polygons, options.nproc, options.force), total=len(polygons), unit="file", disable=None))
    converted, errors = sum(result.converted for result in results), [result.error for result in results if result.error]
    print(
        f"{converted} converted, {len(results) - converted - len(errors)} up to date, {len(errors)} failed, "
        f"{time.perf_counter() - start:.1f} s"
    )
    if errors:
        raise DataError("; ".join(sorted(errors)[:3]) + ("" if len(errors) < 4 else f"; and {len(errors) - 3} more"))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
