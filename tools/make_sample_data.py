"""Write a small made-up city in Cityscapes' layout: `python tools/make_sample_data.py data/sample`."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from segformer_core.errors import UserError
from segformer_core.sample_city.files import Recipe, make_sample_city


def main() -> int:
    default = Recipe()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    parser.add_argument("--train", type=int, default=default.train, help="training images (default %(default)s)")
    parser.add_argument("--val", type=int, default=default.val, help="validation images (default %(default)s)")
    parser.add_argument("--height", type=int, default=default.height, help="pixels (default %(default)s)")
    parser.add_argument("--width", type=int, default=default.width, help="pixels (default %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="another city (default %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a sample city made with other options")
    options = parser.parse_args()
    recipe = Recipe(options.train, options.val, options.height, options.width, options.seed)
    try:
        drawn = make_sample_city(options.folder, recipe, options.force)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = f"{recipe.train} training and {recipe.val} validation images of {recipe.height}x{recipe.width}"
    print(f"wrote {drawn} images in {options.folder}: {size}" if drawn else f"{options.folder} is up to date: {size}")
    print(f"next: python tools/convert_dataset.py {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
