"""A .pt2 file read without PyTorch: its program and its weights, and nothing of it unpickled that could run code.

torch.export.load unpickles, and PyTorch says: never load data from an untrusted source. So the members are read here, and only
those that torch.export writes for a SegFormer. PyTorch 2.7 and 2.8 store the weights as a pickle, which the reader of .pth files
reads. The sample inputs are looked at and left out.
"""

import io
import json
import math
import pickletools
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.errors import WeightsError, brief
from segformer_core.export.json_checks import Unexpected, boolean, by_name, either, fields, integer, many, matching, one_of
from segformer_core.export.program import DTYPES, PATH, STRIDED, checked_program, device
from segformer_core.files import special_file
from segformer_core.weights.containers import opened
from segformer_core.weights.containers.stored import Stored

NUMPY_TYPES = {1: "uint8", 5: "int64", 6: "float16", 7: "float32"}
MOST_MEMBERS = 20_000
LONGEST_JSON = 2**25
"""Bytes; a program of B5 has 10 million."""

PROGRAM, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS, PICKLED_WEIGHTS = "data/weights/model_weights_config.json", "data/weights/model.pt"
CONSTANTS, PICKLED_CONSTANTS = "data/constants/model_constants_config.json", "data/constants/model.pt"
IGNORED = {"archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id"}
NAMES_OF_2_7 = {
    "serialized_exported_program.json": PROGRAM,
    "serialized_state_dict.pt": PICKLED_WEIGHTS,
    "serialized_constants.pt": PICKLED_CONSTANTS,
    "serialized_example_inputs.pt": SAMPLES,
    "version": "version",
}
"""PyTorch 2.7's name of a member -> the name by which later versions know it."""
RECORD = re.compile(r"weight_\d{1,6}", re.ASCII)

BUILDERS = {
    "collections OrderedDict",
    *(f"torch._utils _rebuild_{kind}" for kind in ("tensor_v2", "parameter", "parameter_with_state")),
    *(f"torch {kind}Storage" for kind in ("Float", "Half", "Long", "Byte")),
}
"""What a pickle of tensors calls."""
OPCODES = {
    *("PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "REDUCE", "BINPERSID", "MEMOIZE", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"),
    *(
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
    ),
}

DAMAGE = (
    *(zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, IndexError),
    *(TypeError, OverflowError, MemoryError),
)
"""What a damaged archive, pickle or JSON text can raise."""

numbers = many(either({"as_int": integer}))
record = fields(
    {
        "path_name": matching(RECORD),
        "is_param": boolean,
        "use_pickle": one_of({False}),
        "tensor_meta": fields(
            {
                "dtype": one_of(DTYPES),
                "sizes": numbers,
                "strides": numbers,
                "storage_offset": either({"as_int": integer}),
                "device": device,
                "layout": one_of(STRIDED),
            }
        ),
    }
)
configuration = fields({"config": by_name(matching(PATH), record)})
no_constants = fields({"config": by_name(one_of(frozenset()), one_of(frozenset()))})


@dataclass(frozen=True)
class Archive:
    """The checked program of a .pt2 file, its arrays by their names, and the names of those that are parameters."""

    program: dict[str, Any]
    arrays: dict[str, np.ndarray]
    parameters: frozenset[str]


def read_archive(path: Path) -> Archive:
    """Raises WeightsError for what is damaged, or is not a SegFormer that torch.export.save wrote."""
    kind = special_file(path)
    if kind:
        raise WeightsError(f"{path} is {kind}; expected a .pt2 file")
    try:
        with zipfile.ZipFile(path) as file:
            members = _named_alike(_members(file, path.stat().st_size))
            read = partial(_read, file, members)
            program = checked_program(read(PROGRAM), str(path))
            _check_pickle(read(SAMPLES))
            if WEIGHTS in members:
                json_of(no_constants, read(CONSTANTS))
                arrays = _raw_arrays(json_of(configuration, read(WEIGHTS))["config"], read)
            else:
                _check_pickle(read(PICKLED_CONSTANTS), frozenset())
                arrays = _pickled_arrays(read(PICKLED_WEIGHTS), path)
    except Unexpected as error:
        raise WeightsError(
            f"{path} has {error}, which no exported SegFormer has; nothing of it was run; do not trust the file, or export it "
            "again"
        ) from error
    except DAMAGE as error:
        raise WeightsError(
            f"{path} is damaged, or no file that torch.export.save wrote ({brief(str(error))}); export it again"
        ) from error
    specs = program["graph_module"]["signature"]["input_specs"]
    parameters = frozenset(spec["parameter"]["parameter_name"] for spec in specs if "parameter" in spec)
    return Archive(program, arrays, parameters)


def json_of(check: Any, raw: bytes) -> Any:
    try:
        return check(json.loads(raw))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _members(file: zipfile.ZipFile, byte_count: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name. torch.export compresses none, so that all of them together are smaller than the file."""
    infos = file.infolist()
    if len(infos) > MOST_MEMBERS or sum(info.file_size for info in infos) > byte_count:
        raise Unexpected("members that unpack to more than the file")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise Unexpected(f"the compressed or encrypted member {brief(info.filename)}")
        if info.filename in members:
            raise Unexpected(f"two members {brief(info.filename)}")
        members[info.filename] = info
    return members


def _named_alike(members: Mapping[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of the current layout. Raises Unexpected for one that is not of a layout."""
    if "serialized_exported_program.json" in members:
        names = {name: NAMES_OF_2_7.get(name, "") for name in members}
    else:
        root = next((name.removesuffix(PROGRAM) for name in members if name.endswith(f"/{PROGRAM}")), "")
        names = {name: name.removeprefix(root) if root else "" for name in members}
    known = {PROGRAM, SAMPLES, WEIGHTS, PICKLED_WEIGHTS, CONSTANTS, PICKLED_CONSTANTS} | IGNORED
    for name, known_as in names.items():
        folder, _, record_name = known_as.rpartition("/")
        if known_as not in known and not (folder == "data/weights" and RECORD.fullmatch(record_name)):
            raise Unexpected(f"the member {brief(name)}")
    return {names[name]: info for name, info in members.items()}


def _read(file: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    if name.endswith(".json") and members[name].file_size > LONGEST_JSON:
        raise Unexpected(f"a {name} of {members[name].file_size} bytes")
    return file.read(members[name])


def _raw_arrays(config: Mapping[str, Any], read: Any) -> dict[str, np.ndarray]:
    records: dict[str, bytearray] = {}
    arrays = {}
    for name, entry in config.items():
        record_name, meta = entry["path_name"], entry["tensor_meta"]
        if record_name not in records:
            records[record_name] = bytearray(read(f"data/weights/{record_name}"))  # PyTorch wants memory that can be written
        stored = np.frombuffer(records[record_name], NUMPY_TYPES[meta["dtype"]])
        sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
        arrays[name] = _view(stored, sizes, strides, meta["storage_offset"]["as_int"])
    return arrays


def _view(stored: np.ndarray, sizes: list[int], strides: list[int], offset: int) -> np.ndarray:
    if len(sizes) != len(strides) or min(*sizes, *strides, offset, 0) < 0:
        raise Unexpected(f"an array of sizes {brief(sizes)} and strides {brief(strides)}")
    reach = offset + 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    count: int = math.prod(sizes)
    if count > stored.size or (count and reach > stored.size):
        raise Unexpected(f"an array of sizes {brief(sizes)} in {stored.size} numbers")
    return np.lib.stride_tricks.as_strided(stored[offset:], sizes, [stride * stored.itemsize for stride in strides])


def _pickled_arrays(raw: bytes, path: Path) -> dict[str, np.ndarray]:
    _check_pickle(raw)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        weights.write_bytes(raw)
        with opened(weights) as content:
            others = [name for name, stored in content.tree.items() if not isinstance(stored, Stored)]
            if others:
                raise Unexpected(f"{brief(others[0])} among its weights")
            return {name: np.array(stored.load()) for name, stored in content.tree.items()}


def _check_pickle(raw: bytes, builders: frozenset[str] | set[str] = BUILDERS) -> None:
    """Raises Unexpected unless this file of torch.save holds tensors alone. Nothing is unpickled."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        members = _members(file, len(raw))
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Unexpected("a pickle that torch.save did not write")
        for opcode, argument, _ in pickletools.genops(file.read(members[pickles[0]])):
            if opcode.name == "GLOBAL" and argument not in builders:
                raise Unexpected(f"a pickle that would call {brief(str(argument).replace(' ', '.'))}")
            if opcode.name not in OPCODES:
                raise Unexpected(f"a pickle with the instruction {opcode.name}")
