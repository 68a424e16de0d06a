"""Convert weights between every SegFormer code base: `segformer convert_model INPUT OUTPUT [--to FORMAT]`.

Without --to the suffix of OUTPUT decides: .safetensors canonical, .ckpt mindspore, .pth .pt .bin nvlabs, .pdparams paddle,
.h5 keras, no suffix a transformers folder. The original repository's spelling works too:
`--pt_model_path=A.pth --ms_model_path=B.ckpt`, and with --to_pt in the other direction.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segformer_core.commands.arguments import new_parser, path_text
from segformer_core.config.files import find_config
from segformer_core.data import cityscapes
from segformer_core.data.dataset import Classes
from segformer_core.data.description import read_classes
from segformer_core.errors import ConfigError, plural
from segformer_core.spec.model import NUMERICS
from segformer_core.weights.containers.stored import WRITTEN_TYPES
from segformer_core.weights.hub import local_path, stated_numerics
from segformer_core.weights.numerics import IMPORTED, differences
from segformer_core.weights.reading import Weights, left_out, read
from segformer_core.weights.writing import FAMILIES, plan_writing, write

CITYSCAPES = "cityscapes"
"""As --dataset_file: the 19 train classes, for which there is no file."""


def main(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    source, target = _ends(options)
    profile = options.profile or stated_numerics(source)
    weights = read(local_path(source), options.source_format, options.drop_head, profile, options.part)
    weights = replace(weights, source=source)  # of the hub its name, not that of the folder in the cache
    if options.dataset_file:
        weights = named(weights, options.dataset_file)
    _report(source, weights)
    planned = plan_writing(weights, target, options.to, options.drop_head)
    for sentence in planned.dropped:
        print(f"  left out: {sentence}")
    for sentence in differences(weights.numerics, planned.dialect):
        print(f"  differs:  {sentence}")
    written = ", ".join(map(str, planned.files))
    form = f"{planned.dialect.title}, {planned.architecture}, {options.dtype}"
    if options.dry_run:
        print(f"would write {written}: {form}")
        return
    write(weights, target, planned, options.dtype, options.force)
    print(f"wrote {written}: {form}")


def named(weights: Weights, dataset_file: str) -> Weights:
    """The weights with the names of a dataset's classes. Raises UserError."""
    path = Path(dataset_file)
    classes: Classes = cityscapes.CLASSES if dataset_file == CITYSCAPES else read_classes(find_config(dataset_file))
    count = weights.architecture.class_count
    if len(classes) != count:
        there = plural(count, "class") if count else "no classes"
        raise ConfigError(f"{path} names {plural(len(classes), 'class')} and {weights.source} has {there}; name its own")
    return replace(weights, stated=replace(weights.stated, classes=classes.names, colours=classes.colours))


def _report(source: str, weights: Weights) -> None:
    print(f"read {source}: {weights.dialect.title} ({weights.container}), {weights.architecture}, {len(weights.atoms)} arrays")
    origin = "stated" if weights.numerics_stated else f"as {weights.dialect.name} computes; --profile names another"
    print(f"  numerics: {weights.numerics} ({origin})")
    if weights.stated.classes:
        print(f"  classes:  {', '.join(weights.stated.classes[:3])}{', …' if len(weights.stated.classes) > 3 else ''}")
    if weights.stated.preparation:
        print(f"  images:   {weights.stated.preparation}")
    for phrase in left_out(weights.dropped):
        print(f"  left out: {phrase}")
    for warning in weights.warnings:
        print(f"  WARNING:  {warning}")
    if weights.dialect.name in IMPORTED:
        print(f"  note:     {IMPORTED[weights.dialect.name]}")


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(FAMILIES)
    parser = new_parser("convert_model", __doc__)
    parser.add_argument(
        "input", nargs="?", default="", type=path_text, help="weight file, transformers or keras-hub folder, or hf:owner/name"
    )
    parser.add_argument("output", nargs="?", default="", type=path_text, help="file or folder to write")
    parser.add_argument(
        "--from",
        dest="source_format",
        default="auto",
        choices=("auto", *FAMILIES),
        metavar="FORMAT",
        help=f"format of the input: auto, {names}",
    )
    parser.add_argument("--to", default="", choices=("", *FAMILIES), metavar="FORMAT", help="format of the output")
    parser.add_argument("--profile", default="", choices=("", *NUMERICS), help="whose constants the weights were trained with")
    parser.add_argument("--part", default="", help="of several copies in one file, the one below this key or prefix")
    parser.add_argument(
        "--dataset_file", default="", help="names of the classes for a transformers folder: a dataset's YAML, or cityscapes"
    )
    parser.add_argument("--drop_head", action="store_true", help="convert the encoder alone")
    parser.add_argument("--dtype", default="fp32", choices=tuple(WRITTEN_TYPES), help="type of the numbers written")
    parser.add_argument("--force", action="store_true", help="replace an existing output")
    parser.add_argument("--dry_run", action="store_true", help="only report")
    parser.add_argument("--pt_model_path", default="", type=path_text, help="PyTorch file, in the original repository's spelling")
    parser.add_argument(
        "--ms_model_path", default="", type=path_text, help="MindSpore file, in the original repository's spelling"
    )
    parser.add_argument("--to_pt", action="store_true", help="with the two paths above: MindSpore -> PyTorch")
    return parser


def _ends(options: argparse.Namespace) -> tuple[str, Path]:
    """(input, output) in either spelling. Raises ConfigError."""
    pair, named = (options.input, options.output), (options.pt_model_path, options.ms_model_path)
    if options.to_pt:
        named = named[::-1]
    if all(pair) == all(named) or any(pair) == any(named):
        raise ConfigError("expected INPUT OUTPUT, or --pt_model_path A.pth --ms_model_path B.ckpt (with --to_pt for the reverse)")
    source, target = pair if all(pair) else named
    return source, Path(target)
