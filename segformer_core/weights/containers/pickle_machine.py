"""Follows the instructions of a pickle with data alone: nothing is imported, and only constructors of this project are called.

Python's own unpickler is not used. It can be made to fill the memory from a few bytes (a large memo index), or to hash for ever
(tuples that hold themselves twice, a hundred times over); here each instruction costs a bounded amount of both.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from segformer_core.errors import brief

MOST_STEPS = 2_000_000
"""Instructions in one pickle; a checkpoint of MiT-B5 with its optimizer has about 100,000."""
LARGEST_INTEGER_KEY = 2**60
"""Larger integers can be made to collide in a dictionary."""
LONGEST_TUPLE_KEY = 8


@dataclass(frozen=True)
class Constructor:
    """What stands for an imported class or function; `build` makes what a call of it gives."""

    name: str
    build: Callable[..., Any]

    def __repr__(self) -> str:
        return self.name


class Restored:
    """An object that takes the state which a pickle gives it after its construction."""

    def restore(self, state: Any) -> None:
        raise NotImplementedError

    def called(self, *arguments: Any) -> Any:
        """What a call of the object itself gives."""
        raise ValueError(f"a call of {brief(self)}")


class PickleMachine:
    """The stack and the memo of one pickle.

    `find` gives what stands for (module, name), `persistent` what stands for an object stored outside the pickle. Dictionaries
    become dicts; lists and sets become lists, so that nothing is hashed but keys.
    """

    def __init__(self, find: Callable[[str, str], Any], persistent: Callable[[Any], Any]):
        self.find, self.persistent = find, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self, file: IO[bytes]) -> Any:
        """The object of the next pickle in the file. Raises what a damaged one can raise."""
        for opcode, argument, _ in pickletools.genops(file):
            self.spend(1)
            if opcode.name in VALUES:
                self.stack.append(argument)
            else:
                ACTIONS[opcode.name](self, argument)
        return self.pop()

    def spend(self, steps: int) -> None:
        """Count work. Raises ValueError when it is more than weights can need."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise ValueError(f"a pickle of more than {MOST_STEPS} steps")

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a mark in place of a value")
        return value

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:  # raises IndexError if there is none
            at -= 1
            if at < 0:
                raise ValueError("values without a mark before them")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def put(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.stack.append(value)

    def call(self, constructor: Any, arguments: Any) -> None:
        if isinstance(constructor, Restored):
            constructor = Constructor("", constructor.called)
        if not isinstance(constructor, Constructor) or not isinstance(arguments, tuple | list):
            raise ValueError(f"a call of {brief(constructor)}")
        self.spend(len(arguments))
        self.stack.append(constructor.build(*arguments))

    def restore(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Restored):
            target.restore(state)

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[dictionary_key(key)] = value

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Restored):
            raise ValueError(f"a {type(target).__name__} in place of a list")

    def dictionary(self, pairs: Any = ()) -> Any:
        """dict(pairs); a dictionary is given back as it is, without a copy."""
        if isinstance(pairs, dict | Restored):
            return pairs
        self.spend(len(pairs))
        return {dictionary_key(key): value for key, value in pairs}


def dictionary_key(key: Any) -> Any:
    """A key that costs little to hash and to compare; in place of any other, a text that describes it."""
    if key is None or isinstance(key, str | bytes | float | Restored | Constructor):
        return key
    if isinstance(key, int):
        return key if abs(key) < LARGEST_INTEGER_KEY else brief(key)
    if isinstance(key, tuple) and len(key) <= LONGEST_TUPLE_KEY and all(isinstance(part, str | int | float) for part in key):
        return brief(key)
    return f"a {type(key).__name__}"


MARK = object()

VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
"""Instructions that push their argument."""


def _nothing(machine: PickleMachine, argument: Any) -> None:
    pass


def _refused(machine: PickleMachine, argument: Any) -> None:
    raise ValueError("an instruction that refers to something outside the pickle")


def _push(value: Callable[[], Any]) -> Callable[[PickleMachine, Any], None]:
    return lambda machine, _: machine.stack.append(value())


def _tuple_of(count: int) -> Callable[[PickleMachine, Any], None]:
    def action(machine: PickleMachine, _: Any) -> None:
        machine.stack.append(tuple(machine.pop() for _ in range(count))[::-1])

    return action


def _global(machine: PickleMachine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.find(module, name))


def _stack_global(machine: PickleMachine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError(f"the name {brief(module)}.{brief(name)}")
    machine.stack.append(machine.find(module, name))


def _reduce(machine: PickleMachine, _: Any) -> None:
    arguments, constructor = machine.pop(), machine.pop()
    machine.call(constructor, arguments)


def _new_object_with_keywords(machine: PickleMachine, _: Any) -> None:
    machine.pop()  # the keywords: only inert objects are made in this way
    _reduce(machine, None)


def _object(machine: PickleMachine, _: Any) -> None:
    constructor, *arguments = machine.pop_mark()
    machine.call(constructor, arguments)


def _instance(machine: PickleMachine, argument: str) -> None:
    arguments = machine.pop_mark()
    _global(machine, argument)
    machine.call(machine.pop(), arguments)


def _set_item(machine: PickleMachine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dictionary_of_mark(machine: PickleMachine, _: Any) -> None:
    pairs = machine.pop_mark()
    machine.stack.append({})
    machine.set_items(pairs)


ACTIONS: dict[str, Callable[[PickleMachine, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), _refused),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), PickleMachine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "MARK": _push(lambda: MARK),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), _push(list)),
    "EMPTY_DICT": _push(dict),
    "EMPTY_TUPLE": _push(tuple),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_mark())),
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.stack.append(machine.pop_mark())),
    "DICT": _dictionary_of_mark,
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.append(machine.pop_mark())),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_object_with_keywords,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": lambda machine, _: machine.restore(machine.pop()),
    "PERSID": lambda machine, argument: machine.stack.append(machine.persistent(argument)),
    "BINPERSID": lambda machine, _: machine.stack.append(machine.persistent(machine.pop())),
}
"""What every other instruction does."""
