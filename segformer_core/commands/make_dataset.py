"""Make a dataset from what you have: `segformer make_dataset mydata --images photos --masks masks`.

Reads flat folders of images and masks, COCO's and labelme's annotations, and VOC's layout. Writes the folder layout:
images/{train,val}, labels/{train,val} and dataset.yaml. The source is not touched. What is not plain, such as masks of 0 and 255,
is asked for.
"""

import re
import shlex
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segformer_core.commands.arguments import new_parser, number, path_argument, path_text
from segformer_core.config.files import OWN_RECIPE, find_config
from segformer_core.data.classes import FORMS, LARGEST_VALUE, Value
from segformer_core.data.description import is_colour, is_value
from segformer_core.data.draft import Class
from segformer_core.errors import ConfigError, DataError, brief
from segformer_core.making.classes import Stated, checked_classes, read_colours, read_lines, read_stated_file
from segformer_core.making.drawing import LATER, OVERLAPS, SMALLER
from segformer_core.making.example import Found
from segformer_core.making.make import Choices, make_from_annotations, make_from_masks
from segformer_core.making.sources import Half, Source
from segformer_core.making.splitting import SHARE, SplitRule
from segformer_core.making.voc import official_classes
from segformer_core.making.writing import COPY, WAYS, check_new

OFFICIAL = "voc"
"""As --classes: VOC's 21."""
NUMBERS = re.compile(r"-?[0-9]+(,-?[0-9]+)*")


def main(arguments: Sequence[str]) -> None:
    options = read_arguments(arguments)
    source = Source(
        Half(options.images, options.masks, options.coco, options.labelme),
        Half(options.val_images, options.val_masks, options.val_coco, options.val_labelme),
        options.voc,
        options.mask_suffix,
        options.image_suffix or "",
    )
    check_new(options.target, source.folders)
    rule = SplitRule(options.val, options.seed, options.val_last, options.val_list, options.group)
    stated = read_stated(options, source.annotated)
    comment = f"Made by: {shlex.join(['segformer', 'make_dataset', *arguments])}"
    found = source.find()
    if source.annotated:
        names = tuple(entry for entry in options.ignore or () if isinstance(entry, str))
        default = SMALLER if options.coco else LATER
        choices = Choices(names, options.unlabelled, options.overlap or default)
        make_from_annotations(options.target, found, rule, stated, choices, options.link, comment, print)
    else:
        refuse_given(options, ("unlabelled", "overlap"), "is for annotations")
        make_from_masks(options.target, found, rule, of_source(stated, found, options.voc), options.link, comment, print)
    target = shlex.quote(str(options.target))
    print(f"wrote {options.target}: images and labels of train and val, and dataset.yaml")
    print(f"next: python -m backend_torch.train --config_path {OWN_RECIPE} --data_path {target}")


def read_arguments(arguments: Sequence[str]) -> Namespace:
    parser = new_parser("make_dataset", __doc__)
    parser.add_argument("target", type=path_argument, help="the new folder")
    source = parser.add_argument_group("what you have")
    source.add_argument("--images", type=path_argument, help="folder of images, or of train and val folders of them")
    source.add_argument("--masks", type=path_argument, help="folder of masks; left out: they lie among the images")
    source.add_argument("--mask_suffix", help="what the masks' names add, such as _mask (default: found where it is plain)")
    source.add_argument("--image_suffix", help="what is cut off the images' names, such as _leftImg8bit")
    source.add_argument("--coco", type=path_argument, help="COCO file of instances; its images are below --images or beside it")
    source.add_argument("--labelme", type=path_argument, help="folder of labelme's files; the images are there or in --images")
    source.add_argument("--voc", type=path_argument, help="folder of JPEGImages, SegmentationClass and ImageSets")
    for word in ("images", "masks", "coco", "labelme"):
        source.add_argument(f"--val_{word}", type=path_argument, help=f"as --{word}, if val is apart")
    split = parser.add_argument_group("train and val")
    split.add_argument("--val", type=share, help=f"share of the images for val, drawn by their names (default {SHARE})")
    split.add_argument("--seed", type=number(0, 2**63), default=0, help="another draw (default %(default)s)")
    split.add_argument("--group", help="pattern whose first group names what stays together, such as '(video\\d+)_'")
    split.add_argument("--val_last", type=share, help="share for val: the last images in natural order, as for slices")
    split.add_argument("--val_list", type=path_argument, help="text file with the names of the val images, one a line")
    classes = parser.add_argument_group("classes")
    classes.add_argument("--dataset_file", type=path_text, default="", help="a dataset.yaml whose classes are taken over")
    classes.add_argument("--classes", help="names in the order of their indices: a,b,c or a text file of a name a line")
    classes.add_argument("--colours", type=path_argument, help="text file of lines `name r g b`, or CVAT's labelmap.txt")
    classes.add_argument("--label_map", type=label_map, help="stored values and classes, such as 0:background,255:object")
    classes.add_argument("--first_label", type=number(0, LARGEST_VALUE), help="stored value of the first class, if it is not 0")
    classes.add_argument(
        "--ignore", type=ignored, nargs="+", help="stored values, colours as r,g,b, or names of annotations, that do not count"
    )
    classes.add_argument("--label_form", choices=FORMS, help="whether masks store indices or colours (default: seen)")
    drawn = parser.add_argument_group("annotations of COCO and labelme")
    drawn.add_argument("--unlabelled", help="what a pixel without an annotation is: a class, or ignore (default: background)")
    drawn.add_argument("--overlap", choices=list(OVERLAPS), help="which annotation counts (default: COCO smaller, labelme later)")
    parser.add_argument("--link", choices=list(WAYS), default=COPY, help="link files in place of copies (default %(default)s)")
    return parser.parse_args(arguments)


def read_stated(options: Namespace, annotated: bool) -> Stated:
    """What the options say of the classes, over what --dataset_file says. Raises UserError."""
    if annotated:
        refuse_given(options, ("first_label", "label_map", "label_form", "mask_suffix", "image_suffix"), "is for masks")
    if options.first_label is not None and options.label_map is not None:
        raise ConfigError("--first_label and --label_map both say which value is which class; keep one of them")
    stated = read_stated_file(find_config(options.dataset_file)) if options.dataset_file else Stated()
    classes, source = stated.classes, stated.source
    if options.colours:
        classes, source = read_colours(options.colours), str(options.colours)
    if options.classes == OFFICIAL:
        classes, source = official_classes(), "--classes"
    elif options.classes:
        names = checked_classes([Class(name) for name in _names(options.classes)], "--classes")
        colours = {one.name: one.colour for one in classes or ()}
        classes, source = tuple(Class(one.name, colours.get(one.name)) for one in names), "--classes"
    values = None if options.ignore is None else tuple(entry for entry in options.ignore if not isinstance(entry, str))
    first, mapping = options.first_label, options.label_map
    if first is None and mapping is None:
        first, mapping = stated.first_label, stated.label_map
    names_given = [entry for entry in options.ignore or () if isinstance(entry, str)]
    if bool(names_given if not annotated else values):
        wrong = names_given[0] if names_given and not annotated else values
        raise ConfigError(
            f"--ignore {wrong}: expected {'names of annotations' if annotated else 'stored values, such as 255, or 0,0,0'}"
        )
    return Stated(
        classes,
        stated.ignore if values is None else values,
        first,
        mapping,
        options.label_form or stated.label_form,
        source,
    )


def refuse_given(options: Namespace, names: Sequence[str], why: str) -> None:
    """Raises ConfigError if one of these options was given."""
    for name in names:
        if getattr(options, name) is not None:
            raise ConfigError(f"--{name} {why}; leave it out")


def of_source(stated: Stated, found: Found, voc: Path | None) -> Stated:
    """The classes that the source itself names, if the user names none. Raises DataError if VOC's layout names none."""
    if stated.classes or stated.label_map:
        return stated
    if voc and not found.classes:
        raise DataError(
            f"nothing names the classes of {voc}: if they are VOC's 21, say --classes {OFFICIAL}; else name them, as "
            "--classes a,b,c"
        )
    return replace(stated, classes=found.classes or None, source=str(voc)) if voc else stated


def _names(text: str) -> list[str]:
    path = path_argument(text) if "," not in text else None
    if path is not None and path.is_file():
        return [line for line in read_lines(path) if line]
    return [name.strip() for name in text.split(",")]


def share(text: str) -> float:
    """A `type` of numbers between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise ArgumentTypeError(f"{brief(text)} is no share; expected a number between 0 and 1, such as {SHARE}")
    return value


def ignored(text: str) -> Value | str:
    """A `type` of stored values, an index or a colour as r,g,b; or of names."""
    if not NUMBERS.fullmatch(text):
        return text
    parts = [int(part) if part.isascii() and part.isdecimal() and len(part) < 6 else -1 for part in text.split(",")]
    if len(parts) == 1 and is_value(parts[0]):
        return parts[0]
    if is_colour(parts):
        return parts[0], parts[1], parts[2]
    raise ArgumentTypeError(f"{brief(text)} is no stored value; expected an index such as 255, or a colour such as 0,0,0")


def label_map(text: str) -> dict[int, str]:
    """A `type` of label maps: 0:background,255:object."""
    pairs = [entry.partition(":") for entry in text.split(",")]
    if not all(value.strip().isdecimal() and name.strip() for value, _, name in pairs):
        raise ArgumentTypeError(f"{brief(text)} is no label map; expected stored values and classes, 0:background,255:object")
    values = [int(value) for value, _, _ in pairs]
    if len(set(values)) < len(values):
        raise ArgumentTypeError(f"{brief(text)} holds a value twice; expected each once")
    if not all(map(is_value, values)):
        raise ArgumentTypeError(f"{brief(text)} maps {max(values)}; expected stored values 0..{LARGEST_VALUE}")
    return {value: name.strip() for value, (_, _, name) in zip(values, pairs, strict=True)}
