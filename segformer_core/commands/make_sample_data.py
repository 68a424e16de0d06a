"""Write a small made-up city in Cityscapes' layout: `segformer make_sample_data data/sample`."""

from collections.abc import Sequence

from segformer_core.commands.arguments import new_parser, number, path_argument
from segformer_core.sample_city.files import Recipe, make_sample_city


def main(arguments: Sequence[str]) -> None:
    default = Recipe()
    parser = new_parser("make_sample_data", __doc__)
    parser.add_argument("folder", type=path_argument, help="where to write; made if it is not there")
    parser.add_argument("--train", type=number(0), default=default.train, help="training images (default %(default)s)")
    parser.add_argument("--val", type=number(0), default=default.val, help="validation images (default %(default)s)")
    parser.add_argument("--height", type=number(0), default=default.height, help="pixels (default %(default)s)")
    parser.add_argument("--width", type=number(0), default=default.width, help="pixels (default %(default)s)")
    parser.add_argument("--seed", type=number(0, 2**63), default=default.seed, help="another city (default %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a sample city made with other options")
    options = parser.parse_args(arguments)
    recipe = Recipe(options.train, options.val, options.height, options.width, options.seed)
    drawn = make_sample_city(options.folder, recipe, options.force)
    size = f"{recipe.train} training and {recipe.val} validation images of {recipe.height}x{recipe.width}"
    print(f"wrote {drawn} images in {options.folder}: {size}" if drawn else f"{options.folder} is up to date: {size}")
    print(f"next: python -m segformer_core convert_dataset {options.folder}")
