"""How one code base names and lays out the arrays. Import and export use one table, in opposite directions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from segformer_core.spec.model import DECODE_HEAD
from segformer_core.weights.architecture import BATCHES_TRACKED, CLASSIFIER, Architecture, Atom, atoms, numbers

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]

TORCH_LEAVES = {leaf: f".{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var", BATCHES_TRACKED)}


@dataclass(frozen=True)
class Dialect:
    """One code base's names and layout, as data.

    names       slot -> template of the layer's name. Layers that share a name are stacked along their first axis, in the order
                of the tree (so q, k, v); a slot without a row has no place in the file.
    leaves      kind of layer ("" for the others) -> leaf -> suffix after the layer's name
    axes        kind -> permutation from PyTorch's axes to those of the file
    as_1x1      slots whose linear layer is stored as a 1×1 convolution
    unused      arrays that its model has and never uses: name -> shape after the class axis; `unused_why` is the reason
    leftovers   patterns (fnmatch) of the names that a training run stores beside the weights
    numerics    the profile of the constants its code computes with
    refused_head  the reason why a head beside this encoder cannot be converted
    keeps_optional_absent  an optional array that is absent is left out of a written file; otherwise zeros are written
    """

    name: str
    title: str
    names: Mapping[str, str]
    leaves: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"": TORCH_LEAVES})
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    as_1x1: frozenset[str] = frozenset()
    unused: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unused_why: str = ""
    leftovers: tuple[str, ...] = ()
    numerics: str = "nvlabs"
    refused_head: str = ""
    keeps_optional_absent: bool = False

    def name_of(self, slot: str, kind: str, leaf: str, variables: Mapping[str, str | int]) -> str | None:
        """The array's name in a file of this dialect; None if the file has no place for it."""
        template = self.names.get(slot)
        suffix = self.leaves.get(kind, self.leaves[""]).get(leaf)
        if template is None or suffix is None:
            return None
        if "{leaf}" in template:
            return template.format(leaf=leaf, **variables)
        return template.format(**variables) + suffix

    def foreign(self, slot: str, kind: str, array: np.ndarray) -> np.ndarray:
        """PyTorch's layout -> this dialect's; a view."""
        axes = self.axes.get(kind, ())
        if len(axes) == array.ndim:
            array = array.transpose(axes)
        return array[:, :, None, None] if slot in self.as_1x1 and array.ndim == 2 else array

    def native(self, slot: str, kind: str, array: np.ndarray) -> np.ndarray:
        """This dialect's layout -> PyTorch's; a view."""
        if slot in self.as_1x1 and array.ndim == 4:
            array = array[:, :, 0, 0]
        axes = self.axes.get(kind, ())
        return array.transpose(np.argsort(axes)) if axes and len(axes) == array.ndim else array


@dataclass(frozen=True)
class Entry:
    """One array of a file: its name, its shape there, and the atoms stacked in it."""

    name: str
    shape: tuple[int, ...]
    atoms: tuple[Atom, ...]

    @property
    def optional(self) -> bool:
        return self.atoms[0].optional


def entries(dialect: Dialect, architecture: Architecture) -> dict[str, Entry]:
    """Every array that a file of this dialect holds for this architecture, by name."""
    stacks: dict[str, list[Atom]] = {}
    for atom in atoms(architecture):
        name = dialect.name_of(atom.slot, atom.kind, atom.leaf, atom.numbers)
        if name is not None:
            stacks.setdefault(name, []).append(atom)
    return {name: Entry(name, _stored_shape(dialect, stack), tuple(stack)) for name, stack in stacks.items()}


def without_place(dialect: Dialect, architecture: Architecture) -> list[Atom]:
    """The atoms that a file of this dialect cannot hold."""
    return [atom for atom in atoms(architecture) if dialect.name_of(atom.slot, atom.kind, atom.leaf, atom.numbers) is None]


def take(dialect: Dialect, entry: Entry, array: np.ndarray) -> Arrays:
    """One array of a file -> its atoms, in PyTorch's layout; views."""
    first = entry.atoms[0]
    native = dialect.native(first.slot, first.kind, array)
    pieces = np.split(native, len(entry.atoms)) if len(entry.atoms) > 1 else [native]
    return {atom.name: piece for atom, piece in zip(entry.atoms, pieces, strict=True)}


def put(dialect: Dialect, entry: Entry, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The atoms of one array -> that array as the file stores it."""
    first = entry.atoms[0]
    pieces = [arrays[atom.name] for atom in entry.atoms]
    return dialect.foreign(first.slot, first.kind, pieces[0] if len(pieces) == 1 else np.concatenate(pieces))


class Missing(Exception):
    """A file lacks a name from which the architecture is read."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


KINDS = {atom.slot: atom.kind for atom in atoms(Architecture((32, 64, 160, 256), (1, 1, 1, 1), 3, 256, 19, 1000))}
BLOCK = list(dict.fromkeys(atom.slot for atom in atoms(Architecture((1, 2, 3, 4), (1, 1, 1, 1), 1)) if ".blocks." in atom.name))
STAGES = range(4)


def architecture_of(dialect: Dialect, shapes: Shapes) -> Architecture:
    """The architecture, read off the shapes of a file whose names are this dialect's. Raises Missing."""

    def name(slot: str, stage: int = 0, block: int = 0, before: int = 0) -> str:
        return dialect.name_of(slot, KINDS[slot], "weight", numbers(stage, block, before)) or ""

    def shape(slot: str, stage: int = 0) -> tuple[int, ...]:
        weight = name(slot, stage)
        if weight not in shapes:
            raise Missing(weight)
        probe = np.broadcast_to(np.float32(0), shapes[weight])
        native = dialect.native(slot, KINDS[slot], probe).shape
        return native if len(native) > 1 else (0, 0)

    patches = [shape("patch_embed.proj", stage) for stage in STAGES]
    widths = tuple(patch[0] for patch in patches)
    counts_over_stages = "{_g}" in dialect.names["norm1"]
    depths: list[int] = []
    for stage in STAGES:
        depth = 0
        while block := [weight for slot in BLOCK if (weight := name(slot, stage, depth, sum(depths))) in shapes]:
            if counts_over_stages and (widths[stage],) not in (shapes[weight] for weight in block):  # it is the next stage's
                break
            depth += 1
        depths.append(depth)
    head = [slot for slot in dialect.names if slot.startswith(DECODE_HEAD)]
    decoder_width = class_count = image_classes = None
    if any(name(slot, stage) in shapes for slot in head for stage in STAGES):
        class_count, decoder_width = shape("decode_head.linear_pred")[:2]
    if CLASSIFIER in dialect.names and name(CLASSIFIER) in shapes:
        image_classes = shape(CLASSIFIER)[0]
    first, second, third, fourth = widths
    return Architecture(
        (first, second, third, fourth),
        (depths[0], depths[1], depths[2], depths[3]),
        patches[0][1],
        decoder_width,
        class_count,
        image_classes,
    )


def _stored_shape(dialect: Dialect, stack: list[Atom]) -> tuple[int, ...]:
    first = stack[0]
    shape = (sum(atom.shape[0] for atom in stack), *first.shape[1:]) if first.shape else ()
    return dialect.foreign(first.slot, first.kind, np.broadcast_to(np.float32(0), shape)).shape
