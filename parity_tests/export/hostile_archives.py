"""Archives of torch.export that a stranger could send: a sound one, with one member or value changed."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segformer_core.export.archive import NAMES_OF_2_7, PROGRAM, SAMPLES

MARK = "a payload ran"
"""The folder that a payload makes in the working directory."""
CODE = f"__import__('os').mkdir({MARK!r})"
Members = dict[str, bytes]


class Payload:
    def __reduce__(self):
        return os.mkdir, (MARK,)


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def members_of(path: Path) -> Members:
    """By their names below the archive's root."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, members: Members, root: str = "archive/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(root + name, content)
    return path


def changed(member: str, change: Callable[[Any], None]) -> Callable[[Members], Members]:
    """A change of the JSON in this member."""

    def with_change(members: Members) -> Members:
        content = json.loads(members[member])
        change(content)
        return members | {member: json.dumps(content).encode()}

    return with_change


def graph(change: Callable[[Any], None]) -> Callable[[Members], Members]:
    return changed(PROGRAM, lambda program: change(program["graph_module"]["graph"]))


def first_weight(change: Callable[[Any], None]) -> Callable[[Members], Members]:
    return changed("data/weights/model_weights_config.json", lambda content: change(next(iter(content["config"].values()))))


def with_pickled_weight(members: Members) -> Members:
    pickled = first_weight(lambda entry: entry.update(use_pickle=True))(members)
    return pickled | {"data/weights/weight_0": saved(Payload())}


def with_member(name: str) -> Callable[[Members], Members]:
    return lambda members: members | {name: b"x"}


def expression(text: str) -> Callable[[Members], Members]:
    size = {"as_expr": {"expr_str": text, "hint": {"as_int": 1}}}
    return graph(lambda content: next(iter(content["tensor_values"].values()))["sizes"].__setitem__(0, size))


def operator(name: str) -> Callable[[Members], Members]:
    return graph(lambda content: content["nodes"][0].update(target=name))


def named(name: str) -> Callable[[Members], Members]:
    return graph(lambda content: content["inputs"][0].update(as_tensor={"name": name}))


def of_torch_2_7(members: Members, **replaced: bytes) -> Members:
    """The same network as PyTorch 2.7 lays it out, with its pickles. `replaced` has members by the name of their file."""
    import numpy as np

    config = json.loads(members["data/weights/model_weights_config.json"])["config"]
    types = {1: np.uint8, 5: np.int64, 6: np.float16, 7: np.float32}
    state = {}
    for name, entry in config.items():
        raw = np.frombuffer(members[f"data/weights/{entry['path_name']}"], types[entry["tensor_meta"]["dtype"]]).copy()
        tensor = torch.from_numpy(raw).reshape([size["as_int"] for size in entry["tensor_meta"]["sizes"]])
        state[name] = torch.nn.Parameter(tensor, requires_grad=False) if entry["is_param"] else tensor
    given = {
        "serialized_exported_program": members[PROGRAM],
        "serialized_state_dict": saved(state),
        "serialized_constants": saved({}),
        "serialized_example_inputs": members[SAMPLES],
        "version": b"8.7",
    } | replaced
    return {name: given[name.partition(".")[0]] for name in NAMES_OF_2_7}


def guards(content: Any) -> None:
    content["guards_code"] = [CODE]


HOSTILE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a payload in the sample inputs": (lambda members: members | {SAMPLES: saved(Payload())}, "a pickle that would call"),
    "sample inputs that are a bare pickle": (lambda members: members | {SAMPLES: b"\x80\x02}."}, "damaged"),
    "a pickled weight": (with_pickled_weight, "has True, which no exported SegFormer has"),
    "a pickled constant": (
        lambda members: (
            members | {"data/constants/model_constants_config.json": b'{"config": {"a": {"path_name": "custom_obj_0"}}}'}
        ),
        "has 'a', which no exported SegFormer has",
    ),
    "an opaque object": (
        lambda members: members | {"data/constants/opaque_obj_0": b"x"},
        "the member 'archive/data/constants/opaque",
    ),
    "a compiled library": (
        lambda members: members | {"data/aotinductor/model/a.so": b"x"},
        "the member 'archive/data/aotinductor",
    ),
    "an expression that is code": (expression(CODE), "the size"),
    "an expression with code inside": (expression(f"Add(Integer(1), {CODE})"), "the size"),
    "code as a symbol": (expression(f"Symbol(s0, positive={CODE})"), "the size"),
    "powers of powers": (expression("Pow(Pow(Integer(9), Integer(4)), Integer(4))"), "the size"),
    "a nested expression": (expression("Add(" * 900 + "Integer(1)" + ")" * 900), "the size"),
    "os.system as an operator": (operator("torch.os.system"), "'torch.os.system'"),
    "torch.load as an operator": (operator("torch.load"), "'torch.load'"),
    "an operator that reads files": (operator("torch.ops.aten.from_file.default"), "'torch.ops.aten.from_file.default'"),
    "a method as an operator": (operator("_operator.methodcaller"), "'_operator.methodcaller'"),
    "an extension's operator": (operator("#aoti:x"), "'#aoti:x'"),
    "code as a name": (named(f"images=[{CODE}]"), "the name"),
    "a keyword as a name": (named("lambda"), "the name 'lambda'"),
    "a graph inside an operator": (
        graph(lambda content: content["nodes"][0]["inputs"][0].update(arg={"as_graph": {"name": "g", "graph": {}}})),
        "as_graph",
    ),
    "a size of another device": (
        graph(lambda content: next(iter(content["tensor_values"].values())).update(device={"type": "cuda", "index": 0})),
        "'cuda'",
    ),
    "a weight outside its record": (
        first_weight(lambda entry: entry["tensor_meta"]["storage_offset"].update(as_int=9**6)),
        "numbers",
    ),
    "a weight that repeats a number": (
        first_weight(lambda entry: entry["tensor_meta"].update(sizes=[{"as_int": 2**39}], strides=[{"as_int": 0}])),
        "an array of sizes",
    ),
    "a weight in another folder": (first_weight(lambda entry: entry.update(path_name="../../etc")), "the name"),
    "a member in another folder": (with_member("../../x"), "the member 'archive/../../x'"),
}
"""What is changed, and what the refusal says. None of these may make the folder MARK."""
