"""Writes weights in any dialect and any form of file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segformer_core.errors import ConfigError, UserError, WeightsError
from segformer_core.spec.model import DECODE_HEAD
from segformer_core.weights import containers
from segformer_core.weights.architecture import CLASSIFIER, Architecture
from segformer_core.weights.containers.directory import PRESET_MODEL, PRESET_TASK
from segformer_core.weights.containers.stored import WRITTEN_TYPES
from segformer_core.weights.descriptions import DESCRIBED, Descriptions
from segformer_core.weights.dialect import Arrays, Dialect, entries, put, without_place
from segformer_core.weights.dialects import CANONICAL, DIALECTS
from segformer_core.weights.dialects.keras import TASK
from segformer_core.weights.reading import FUSE_CONV_BIAS, Weights, folded
from segformer_core.weights.remembered import metadata_of
from segformer_core.weights.stated import CONFIG
from segformer_core.weights.store import description, hashed
from segformer_core.weights.together import write_together

FAMILIES = tuple(dict.fromkeys(dialect.name for dialect in DIALECTS))
FAMILY_OF_SUFFIX = {
    **dict.fromkeys(containers.TORCH_SUFFIXES, "nvlabs"),
    ".safetensors": "canonical",
    ".ckpt": "mindspore",
    ".pdparams": "paddle",
    ".h5": "keras",
    "": "hf",
}
"""The default dialect of each suffix; a path without a suffix is a folder."""
EXPORTED = {
    **dict.fromkeys((".onnx", ".pt2"), "python -m backend_torch.export"),
    **dict.fromkeys((".mindir", ".air"), "python -m backend_mindspore.export"),
    **dict.fromkeys((".engine", ".plan"), "python -m backend_torch.export --export_format ONNX, then trtexec"),
    ".om": "python -m backend_mindspore.export, then atc",
    ".ms": "python -m backend_mindspore.export, then converter_lite",
}
"""Suffixes of files that hold a network with its weights -> what writes them."""
ONLY_SUFFIX = {"keras": ".h5", "tf": ".h5", "keras_preset": "", "paddle": ".pdparams"}
"""Dialects that no program reads from another form of file."""


@dataclass(frozen=True)
class WritingPlan:
    """What will be written where. `dropped` are sentences on what the target has no place for, or what is folded.

    `descriptions` are the JSON files of a folder, by name; they are among `files`.
    """

    dialect: Dialect
    architecture: Architecture
    files: tuple[Path, ...]
    dropped: tuple[str, ...]
    descriptions: Descriptions


def plan_writing(weights: Weights, path: Path, family: str = "", drop_head: bool = False) -> WritingPlan:
    """How `weights` would be written to `path`. Raises WeightsError if the dialect has no place for the decode head."""
    family = family or FAMILY_OF_SUFFIX.get(path.suffix, "")
    if path.suffix in EXPORTED:
        raise WeightsError(f"{path} would be a whole network and convert_model writes weights alone; use {EXPORTED[path.suffix]}")
    if path.suffix not in FAMILY_OF_SUFFIX:
        raise WeightsError(
            f"cannot tell what form {path} should have; end it in one of {', '.join(containers.WRITTEN_SUFFIXES)}, or in no "
            "suffix for a folder"
        )
    suffix = ONLY_SUFFIX.get(family, path.suffix)
    if suffix != path.suffix or (not suffix and family not in DESCRIBED):
        expected = "a file" if family not in ONLY_SUFFIX else f"a {suffix} file" if suffix else "a folder"
        raise WeightsError(f"{family} weights cannot be written as {path}; expected {expected}")
    architecture = weights.architecture.encoder_only() if drop_head else weights.architecture
    dialect = _narrowest(family, architecture)
    lost = {atom.name for atom in without_place(dialect, architecture) if not atom.optional}
    dropped = []
    if drop_head and weights.architecture != architecture:
        dropped.append("the head, as asked")
    if any(name.startswith(DECODE_HEAD) for name in lost):
        raise WeightsError(f"{dialect.title} has no place for the decode head; --drop_head writes the encoder alone")
    if any(name.startswith(CLASSIFIER) for name in lost):
        dropped.append(f"the ImageNet classifier: {dialect.title} has no place for it")
        architecture = replace(architecture, image_classes=None)
    unnamed = {atom.name for atom in without_place(dialect, architecture)} & weights.atoms.keys()
    if FUSE_CONV_BIAS in unnamed:
        dropped.append("the fusion's bias is folded into BatchNorm's mean")
    dropped += [f"{name}: {dialect.title} does not count batches" for name in sorted(unnamed - {FUSE_CONV_BIAS})]
    described = {} if path.suffix else DESCRIBED[family](architecture, weights.stated)
    files = [path] if path.suffix else [path / name for name in (*described, *_arrays_files(family, architecture))]
    return WritingPlan(dialect, architecture, tuple(files), tuple(dropped), described)


def write(weights: Weights, path: Path, plan: WritingPlan, dtype: str = "fp32", force: bool = False) -> None:
    """Write the files of `plan`: all of them or none. Raises UserError, also if one exists and `force` is not given."""
    if dtype not in WRITTEN_TYPES:
        raise ConfigError(f"unknown dtype {dtype!r}; expected one of {', '.join(WRITTEN_TYPES)}")
    existing = [file for file in plan.files if file.exists()]
    if existing and not force:
        raise UserError(f"{existing[0]} exists and is kept; choose another name, or --force to replace it")
    arrays = exported(weights, plan)
    if dtype == "fp16":
        _refuse_overflow(arrays)
    metadata = {"format": "pt"}
    if plan.dialect is CANONICAL:
        described = description(plan.architecture, weights.numerics) | weights.provenance | metadata_of(weights.stated)
        metadata = hashed(arrays, WRITTEN_TYPES[dtype], described)
    write_together(plan.files, lambda file: _write_file(file, arrays, WRITTEN_TYPES[dtype], metadata, plan))


def exported(weights: Weights, plan: WritingPlan) -> Arrays:
    """The arrays, named and laid out as in the plan's dialect."""
    dialect = plan.dialect
    names = entries(dialect, plan.architecture)
    kept = {atom.name for entry in names.values() for atom in entry.atoms}
    atoms = dict(weights.atoms) if FUSE_CONV_BIAS in kept else folded(weights.atoms)
    arrays = {}
    for name, entry in names.items():
        if entry.atoms[0].name in atoms:
            arrays[name] = put(dialect, entry, atoms)
        elif not dialect.keeps_optional_absent:
            arrays[name] = np.zeros(entry.shape, np.float32 if entry.shape else np.int64)
    if plan.architecture.class_count is not None:
        for name, shape in dialect.unused.items():
            arrays[name] = np.zeros((plan.architecture.class_count, *shape), np.float32)
    return arrays


def _narrowest(family: str, architecture: Architecture) -> Dialect:
    """The dialect of this name that loses the fewest arrays and, among those, has the fewest names without an array."""
    candidates = [dialect for dialect in DIALECTS if dialect.name == family]
    if not candidates:
        raise ConfigError(f"unknown weight format {family!r}; known formats: {', '.join(FAMILIES)}")

    def cost(dialect: Dialect) -> tuple[int, int]:
        lost = sum(not atom.optional for atom in without_place(dialect, architecture))
        return lost, len(dialect.names) - len({entry.atoms[0].slot for entry in entries(dialect, architecture).values()})

    return min(candidates, key=cost)


def _arrays_files(family: str, architecture: Architecture) -> list[str]:
    """Names of the files of a folder that hold arrays."""
    if family == "keras_preset":
        has_task = architecture.class_count is not None or architecture.image_classes is not None
        return [PRESET_MODEL, PRESET_TASK] if has_task else [PRESET_MODEL]
    return ["model.safetensors"]


def _write_file(
    path: Path, arrays: Mapping[str, np.ndarray], type_name: str, metadata: Mapping[str, str], plan: WritingPlan
) -> None:
    if path.name in plan.descriptions:
        content = plan.descriptions[path.name]
        if path.name == CONFIG and plan.dialect.name != "keras_preset":
            content = content | {"torch_dtype": type_name}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return
    if path.name == PRESET_TASK:
        arrays = {name.removeprefix(TASK): array for name, array in arrays.items() if name.startswith(TASK)}
    elif plan.dialect.name == "keras_preset":
        arrays = {name: array for name, array in arrays.items() if not name.startswith(TASK)}
    containers.write(path, arrays, type_name, metadata)


def _refuse_overflow(arrays: Mapping[str, np.ndarray]) -> None:
    largest = float(np.finfo(np.float16).max)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.size and np.abs(array[np.isfinite(array)]).max(initial=0) > largest:
            raise WeightsError(f"{name} holds values beyond {largest:.0f}, the largest of fp16; choose --dtype bf16 or fp32")
