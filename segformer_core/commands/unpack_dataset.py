"""Copy a data set so that training reads it faster: `segformer unpack_dataset data/cityscapes fast/cityscapes`.

The copy has the layout, the names and the pixels of the data set, which each file is read back for. Its PNGs, images and labels,
are not compressed: they are still PNGs, with little to decode, and larger. Other images, such as JPEGs, are copied as they are.
It holds what a training reads: dataset.yaml, lists of names, and images and labels of each split that has labels.

What is there already, with the time of its source, is left out, so the next run finishes an interrupted one. Nothing is written
into the data set.
"""

import time
from collections.abc import Sequence

from tqdm import tqdm

from segformer_core.commands.arguments import add_workers, new_parser, path_argument, path_text
from segformer_core.data.unpacking import check_room, files_to_write, find_files, in_gb, size_of, unpack_all
from segformer_core.errors import DataError, first_of, plural


def main(arguments: Sequence[str]) -> None:
    parser = new_parser("unpack_dataset", __doc__)
    parser.add_argument("data_path", type=path_argument, help="the dataset's folder")
    parser.add_argument("copy_path", type=path_argument, help="the folder of the copy, new or of an earlier run")
    parser.add_argument("--dataset_file", default="", type=path_text, help="its YAML, if not data_path/dataset.yaml")
    add_workers(parser)
    options = parser.parse_args(arguments)
    start, root, copy = time.perf_counter(), options.data_path, options.copy_path
    files, splits = find_files(root, options.dataset_file)
    wanted = files_to_write(root, copy, files)
    needed = sum(size_of(root / path) for path in wanted)
    free = check_room(needed, copy)
    print(f"{', '.join(splits)}: {plural(len(wanted), 'file')} to write, about {in_gb(needed)}; {in_gb(free)} are free")
    results = list(tqdm(unpack_all(root, copy, wanted, options.workers), total=len(wanted), unit="file", disable=None))
    errors = [result.error for result in results if result.error]
    unpacked = sum(result.unpacked for result in results)
    print(
        f"{unpacked} unpacked, {len(results) - unpacked - len(errors)} copied, {len(files) - len(wanted)} up to date, "
        f"{len(errors)} failed; {in_gb(sum(result.size for result in results))} written in {time.perf_counter() - start:.1f} s"
    )
    if errors:
        raise DataError(first_of(errors))
