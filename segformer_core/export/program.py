"""The program of a .pt2 file: JSON of which only what a SegFormer needs is taken, and nothing that PyTorch would run as Python.

torch.export evaluates symbolic sizes as Python, executes guards, looks operators up by name anywhere below `torch`, and writes
names into code. So the program is made anew from checked values. What is not needed, such as guards, is left out.
"""

import ast
import json
import re
from typing import Any

from segformer_core.errors import WeightsError, brief
from segformer_core.export.json_checks import (
    Unexpected,
    always,
    boolean,
    by_name,
    either,
    fields,
    integer,
    many,
    matching,
    nothing,
    number,
    one_of,
    optional,
)
from segformer_core.protocol.form import IMAGES

ATEN = "torch.ops.aten."
OPERATORS = {
    *(f"{ATEN}{name}.default" for name in ("conv2d", "erf", "layer_norm", "linear", "matmul", "permute", "relu", "reshape")),
    *(f"{ATEN}{name}.default" for name in ("argmax", "_assert_tensor_metadata", "clone", "contiguous", "view")),
    *(f"{ATEN}{name}.Tensor" for name in ("add", "div", "mul", "sub")),
    *(f"{ATEN}{name}.int" for name in ("select", "softmax", "sym_size", "transpose")),
    *(f"{ATEN}to.dtype", f"{ATEN}upsample_bilinear2d.vec"),
    *(f"_operator.{name}" for name in ("add", "floordiv", "mul", "sub")),
}
"""The operators of an exported SegFormer. Each is a function of tensors and numbers."""

NAME = re.compile(r"_?[A-Za-z]\w{0,199}", re.ASCII)
PATH = re.compile(r"[A-Za-z0-9]\w{0,99}(\.[A-Za-z0-9]\w{0,99}){0,19}", re.ASCII)
SYMBOL = re.compile(r"s\d{1,4}", re.ASCII)
VERSION = re.compile(r"[\w.+-]{1,99}", re.ASCII)
DTYPES = frozenset({1, 5, 6, 7})
"""PyTorch's numbers of uint8, int64, float16 and float32."""
STRIDED = frozenset({7})
LONGEST_EXPRESSION = 4000
LARGEST_POWER = 4
SYMBOLIC = {"Add", "Mul", "FloorDiv", "Mod", "Max", "Min", "Pow"}

TREE_OF_TENSOR: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
TREE_OF_ARGUMENTS = {
    "type": "builtins.tuple",
    "context": "null",
    "children_spec": [
        {"type": "builtins.tuple", "context": "null", "children_spec": [TREE_OF_TENSOR]},
        {"type": "builtins.dict", "context": "[]", "children_spec": []},
    ],
}
CALL = {
    "fqn": "",
    "signature": {
        "inputs": [],
        "outputs": [],
        "in_spec": json.dumps([1, TREE_OF_ARGUMENTS]),
        "out_spec": json.dumps([1, TREE_OF_TENSOR]),
        "forward_arg_names": [IMAGES],
    },
}
"""How the program is called: with one tensor, for one tensor."""


def checked_program(raw: bytes, source: str) -> dict[str, Any]:
    """The program of an exported SegFormer, made anew. Raises WeightsError for anything else."""
    try:
        program: dict[str, Any] = PROGRAM(json.loads(raw))
    except Unexpected as error:
        raise WeightsError(
            f"{source} has a program with {error}, which no exported SegFormer has; nothing of it was run; do not trust the "
            "file, or export it again"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise WeightsError(f"{source} is damaged: its program is not readable ({brief(str(error))}); export it again") from error
    return program


def expression(text: Any) -> str:
    """A size such as Add(Symbol('s0', positive=True, integer=True), Integer(1)): PyTorch will evaluate it as Python."""
    if not isinstance(text, str) or len(text) > LONGEST_EXPRESSION:
        raise Unexpected(f"the size {brief(text)}")
    try:
        _check_symbolic(ast.parse(text, mode="eval").body, within_power=False)
    except (SyntaxError, ValueError, RecursionError, MemoryError, Unexpected) as error:
        raise Unexpected(f"the size {brief(text)}") from error
    return text


def _check_symbolic(node: ast.expr, within_power: bool) -> None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise Unexpected("")
    name, arguments = node.func.id, node.args
    if name == "Symbol":
        given = {item.arg: getattr(item.value, "value", None) for item in node.keywords}
        sound = len(arguments) == 1 and set(given) <= {"positive", "integer", "nonnegative"} and set(given.values()) <= {True}
        if not sound or not SYMBOL.fullmatch(str(getattr(arguments[0], "value", ""))):
            raise Unexpected("")
        return
    if node.keywords:
        raise Unexpected("")
    if name == "Integer":
        if len(arguments) != 1:
            raise Unexpected("")
        integer(ast.literal_eval(arguments[0]))
    elif name in SYMBOLIC and arguments:
        sound = len(arguments) == 2 and not within_power and 0 <= _exponent(arguments[-1]) <= LARGEST_POWER
        if name == "Pow" and not sound:  # powers of powers could be numbers that no memory holds
            raise Unexpected("")
        for argument in arguments:
            _check_symbolic(argument, within_power or name == "Pow")
    else:
        raise Unexpected("")


def _exponent(node: ast.expr) -> int:
    is_integer = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Integer" and len(node.args) == 1
    return integer(ast.literal_eval(node.args[0])) if is_integer and isinstance(node, ast.Call) else -1


name = matching(NAME)
path = matching(PATH)
device = fields({"type": one_of({"cpu"}), "index": nothing})
tensor = fields({"name": name})
size = either(
    {
        "as_int": integer,
        "as_expr": fields({"expr_str": expression, "hint": optional(either({"as_int": integer}))}, optional=("hint",)),
    }
)
meta = fields(
    {
        "dtype": one_of(DTYPES),
        "sizes": many(size),
        "requires_grad": one_of({False}),
        "device": device,
        "strides": many(size),
        "storage_offset": size,
        "layout": one_of(STRIDED),
    }
)
size_argument = either({"as_int": integer, "as_name": name})
argument = either(
    {
        "as_tensor": tensor,
        "as_scalar_type": one_of(DTYPES),
        "as_device": device,
        "as_layout": one_of(STRIDED),
        "as_int": integer,
        "as_ints": many(integer),
        "as_float": number,
        "as_floats": many(number),
        "as_bool": boolean,
        "as_none": boolean,
        "as_sym_int": size_argument,
        "as_sym_ints": many(size_argument),
    }
)
node = fields(
    {
        "target": one_of(OPERATORS),
        "inputs": many(
            fields({"name": lambda value: value and name(value), "arg": argument, "kind": optional(integer)}, optional=("kind",))
        ),
        "outputs": many(either({"as_tensor": tensor, "as_sym_int": size_argument})),
        "metadata": always({}),
        "is_hop_single_tensor_return": always(None),
        "name": optional(name),
    },
    optional=("metadata", "is_hop_single_tensor_return", "name"),
)
graph = fields(
    {
        "inputs": many(either({"as_tensor": tensor})),
        "outputs": many(either({"as_tensor": tensor})),
        "nodes": many(node),
        "tensor_values": by_name(name, meta),
        "sym_int_values": by_name(name, size),
        "sym_bool_values": nothing,
        "sym_float_values": nothing,
        "custom_obj_values": nothing,
        "is_single_tensor_return": boolean,
    },
    optional=("sym_float_values", "custom_obj_values", "is_single_tensor_return"),
)
signature = fields(
    {
        "input_specs": many(
            either(
                {
                    "parameter": fields({"arg": tensor, "parameter_name": path}),
                    "buffer": fields({"arg": tensor, "buffer_name": path, "persistent": boolean}),
                    "user_input": fields({"arg": either({"as_tensor": tensor})}),
                }
            )
        ),
        "output_specs": many(either({"user_output": fields({"arg": either({"as_tensor": tensor})})})),
    }
)
PROGRAM = fields(
    {
        "graph_module": fields(
            {
                "graph": graph,
                "signature": signature,
                "module_call_graph": always([CALL]),
                "metadata": always({}),
                "treespec_namedtuple_fields": always({}),
            },
            optional=("metadata", "treespec_namedtuple_fields"),
        ),
        "opset_version": by_name(one_of({"aten"}), integer),
        "range_constraints": by_name(matching(SYMBOL), fields({"min_val": optional(integer), "max_val": optional(integer)})),
        "schema_version": fields({"major": integer, "minor": integer}),
        "verifiers": many(one_of({"TRAINING"})),
        "torch_version": matching(VERSION),
    }
)
