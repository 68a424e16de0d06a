"""A user's own objects beside the weights: nothing of them is run, they are named, and the arrays are taken."""

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import functools
import io
import logging
import os
import pickle
import re
import types
import uuid
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from parity_tests.weights.hostile import name, program, text, torch_zip
from parity_tests.weights.weight_files import assert_equal_arrays, foreign_arrays, segmenter
from segformer_core.errors import WeightsError
from segformer_core.weights import containers
from segformer_core.weights.containers.stored import Stored
from segformer_core.weights.dialects import NVLABS
from segformer_core.weights.reading import INERT, read

SEGMENTER = segmenter("b0")
CALLED: list[object] = []
"""What the classes below put here when they are run."""


@dataclass
class Config:
    lr: float = 1e-3
    steps: list[int] = field(default_factory=lambda: [1, 2])

    def __setstate__(self, state):
        CALLED.append(state)


class EasyDict(dict):
    """As easydict's and addict's: a dictionary with attributes."""

    def __init__(self, *pairs, **attributes):
        CALLED.append(self)
        super().__init__(*pairs, **attributes)
        self.__dict__.update(self)

    def __setitem__(self, key, value):
        CALLED.append(key)
        super().__setitem__(key, value)


class ConfigDict(dict):
    """As mmengine's: pickled as a call with a dictionary."""

    def __reduce_ex__(self, protocol):
        return self.__class__, (dict(self),), None, None, None


class Names(collections.OrderedDict):
    pass


class Slots:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1


class Phase(enum.Enum):
    TRAIN = "train"


class Stack(list):
    pass


class Made:
    def __new__(cls, *, value):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"value": 1}


class Point(collections.namedtuple("Point", "x y")):
    pass


OBJECTS = {
    "own dataclass": Config(),
    "own class in a tuple": (Config(), [Config()]),
    "own dictionary": EasyDict(a=1),
    "a class": Config,
    "a function by its name": os.path.join,
    "a method": "abc".upper,
    "a bound method of ours": Config().__eq__,
    "slots": Slots(),
    "an enum": Phase.TRAIN,
    "a list of ours": Stack([1, 2]),
    "keywords": Made(value=1),
    "a named tuple": Point(1, 2),
    "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 3),
    "UUID": uuid.UUID(int=5),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "Counter": collections.Counter("abc"),
    "deque": collections.deque([1, 2], 5),
    "slice": slice(1, 2),
    "range": range(5),
    "complex": 1j,
    "partial": functools.partial(int, base=2),
    "pattern": re.compile("a+"),
    "set of tuples": {(1, 2), "a"},
    "frozenset": frozenset((1, Phase.TRAIN)),
    "objects as keys": {Phase.TRAIN: 1, (1, 2): 2, 1.5: 3, None: 4, frozenset((1,)): 5, PurePosixPath("x"): 6},
    "datetime": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "timedelta": datetime.timedelta(1),
    "Path": Path("x"),
    "Namespace": argparse.Namespace(lr=1),
    "SimpleNamespace": types.SimpleNamespace(a=1),
    "a logger": logging.getLogger("x"),
    "numpy scalar": np.float32(1.5),
    "numpy dtype": np.dtype("f4"),
    "numpy structured": np.zeros(2, [("a", "f4"), ("b", "i4")]),
    "numpy texts": np.array(["a", "bc"]),
    "numpy objects": np.array([Config(), None], object),
    "numpy dates": np.array(["2024-01-02"], "M8[D]"),
    "numpy generator": np.random.default_rng(0),
    "numpy RandomState": np.random.RandomState(0),
    "numpy masked": np.ma.masked_array([1, 2], [True, False]),
    "bytes": b"abc",
    "bytearray": bytearray(b"abc"),
    "long integer": 10**500,
    "exception": ValueError("x"),
    "ellipsis": ...,
    "not implemented": NotImplemented,
}


@pytest.fixture(scope="module")
def arrays():
    return foreign_arrays(NVLABS, SEGMENTER)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_beside_the_weights_stay_inert(kind, protocol, tmp_path):
    value = OBJECTS[kind]
    path = tmp_path / "x.pdparams"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path.write_bytes(pickle.dumps({"before": value, "a.weight": array, "after": value, "shared": [value, value]}, protocol))
    CALLED.clear()
    with containers.opened(path) as content:
        assert np.array_equal(content.tree["a.weight"].load(), array)
        assert set(content.tree) == {"before", "a.weight", "after", "shared"}
        assert all(isinstance(title, str) and title.isprintable() for title in content.inert)
    assert not CALLED


def test_they_are_told_as_left_out(tmp_path, arrays):
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"state_dict": arrays, "config": Config(), "id": uuid.UUID(int=1), "epoch": 3}))
    weights = read(path)
    own = f"{__name__}.Config"
    told = {title for title, why in weights.dropped.items() if why == INERT}
    assert {own, "uuid.UUID"} <= told <= {own, "uuid.UUID", "uuid.SafeUUID"}
    assert weights.architecture == SEGMENTER


HOLDERS = {
    "EasyDict": EasyDict,
    "ConfigDict": ConfigDict,
    "defaultdict": lambda pairs: collections.defaultdict(list, pairs),
    "OrderedDict": collections.OrderedDict,
    "subclass of OrderedDict": Names,
    "Counter": collections.Counter,
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
def test_dictionaries_of_any_class_hold_weights(holder, outer, protocol, tmp_path, arrays):
    path = tmp_path / "x.pdparams"
    make = HOLDERS[holder]
    tree = make({"state_dict": make(arrays)}) if outer else {"state_dict": make(arrays)}
    path.write_bytes(pickle.dumps(tree, protocol))
    CALLED.clear()
    with containers.opened(path) as content:
        got = {key: stored.load() for key, stored in content.tree["state_dict"].items() if isinstance(stored, Stored)}
    assert_equal_arrays(got, arrays)
    assert not CALLED


class Variable:
    """As paddle.save pickles one: a call of tuple with a pair."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        return tuple, (("linear_0.w_0", self.array),)


def test_paddles_variables_in_a_checkpoint(tmp_path, arrays):
    tree = {"model": {name: Variable(array) for name, array in arrays.items()}, "epoch": 3}
    (tmp_path / "x.pdparams").write_bytes(pickle.dumps(tree, 4))
    with containers.opened(tmp_path / "x.pdparams") as content:
        assert_equal_arrays({name: stored.load() for name, stored in content.tree["model"].items()}, arrays)


def test_pythons_older_pickles_of_dictionaries(tmp_path):
    """Python 2 writes an OrderedDict as a call with a list of pairs, and bytes as texts."""
    pair = b"](" + text("a") + b"K\x01e"
    path = torch_zip(tmp_path / "x.pth", program(name("collections", "OrderedDict"), b"](", pair, b"e\x85R"))
    with containers.opened(path) as content:
        assert content.tree == {"a": 1}
    made = name("numpy.core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + b"K\x00\x85" + text("b") + b"tR"
    kind = name("numpy", "dtype") + b"(" + text("f4") + b"K\x00K\x01tR(K\x03" + text("<") + b"NNNK\x00K\x00K\x00tb"
    raw = np.arange(3, dtype=np.float32).tobytes()
    state = b"(K\x01K\x03\x85" + kind + b"\x89" + pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw + b"tb"
    (tmp_path / "y.pdparams").write_bytes(program(b"}", text("a"), made, state, b"s"))
    with containers.opened(tmp_path / "y.pdparams") as content:
        assert content.tree["a"].load().tolist() == [0, 1, 2]


@pytest.mark.parametrize("zipped", [True, False])
def test_optimizers_schedulers_and_torchs_own_objects(zipped, tmp_path, need_torch):
    import torch

    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    beside = {
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, abs),
        "optimizer_state": optimizer.state_dict(),
        "generator": torch.get_rng_state(),
        "types": [torch.float16, torch.device("cpu"), torch.Size((1, 2)), torch.strided, torch.nn.functional.relu],
        "loss": torch.nn.CrossEntropyLoss(),
        "module": layer,
    }
    state = layer.state_dict()
    state["marked"] = torch.nn.Parameter(torch.ones(2))
    state["marked"].note = "an attribute of a tensor"
    torch.save({"state_dict": state, **beside}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with containers.opened(tmp_path / "x.pth") as content:
        got = {key: stored.load() for key, stored in content.tree["state_dict"].items()}
        assert {"torch.optim.adamw.AdamW", "torch.nn.modules.linear.Linear"} <= set(content.inert)
    assert_equal_arrays(got, {key: tensor.detach().numpy() for key, tensor in state.items()})


def test_the_unpickler_alone_takes_nothing_unknown():
    """Without a place for inert names, whatever has no replacement is refused."""
    from segformer_core.weights.containers.pickles import SafeUnpickler, unpickle

    for value in (Config(), uuid.UUID(int=1), functools.partial(int)):
        with pytest.raises(WeightsError, match="which no weights need; nothing of it was run"):
            unpickle(SafeUnpickler(io.BytesIO(pickle.dumps(value)), "x", {}))
    assert unpickle(SafeUnpickler(io.BytesIO(pickle.dumps({"a": [1, (2.5, None)]})), "x", {})) == {"a": [1, (2.5, None)]}
