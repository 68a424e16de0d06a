"""The two backends have the same files with the same public names; every exception is listed with its reason."""

import ast
from pathlib import Path

import pytest

from parity_tests import ROOT

PACKAGES = ("backend_torch", "backend_mindspore")
SAME_METHOD = {"forward": "construct", "__call__": "construct", "backward": "bprop"}
"""PyTorch's name of a method -> MindSpore's."""

FEW_KERNELS = "PyTorch's fused AdamW updates all arrays with a few kernels itself"
INDICES = "on a CPU MindSpore keeps indices of what it broadcasts or transposes"
SLOW_CONVOLUTIONS = "with AVX-512 MindSpore's convolutions are slow, PyTorch's are not"
EXCEPTIONS = {
    "compiling.py: SWITCH, sources_hash": ("mindspore", "PyTorch's cache has the switch, and compares what it compiled from"),
    "compiling.py: COMPILER, MOST_SHAPES, PAYS_AFTER, PAYS_AFTER_WITH_CACHE, USERS_FOLDER, options": (
        "torch",
        "MindSpore always compiles; PyTorch needs a C++ compiler, and is fast without",
    ),
    "openvino_session.py": ("torch", "OpenVINO reads ONNX, and no MINDIR"),
    "train_transformers.py": ("torch", "transformers is a PyTorch library"),
    "transformers_learner.py": ("torch", "transformers is a PyTorch library"),
    "transformers_peer.py": ("torch", "transformers is a PyTorch library"),
    "deployment.py: ErfGelu, ErfGelu.construct": ("torch", "ONNX Runtime fuses GELU only in this order of operators"),
    "deployment.py: PointwiseFFN, PointwiseFFN.construct, pointwise": ("torch", "ONNX Runtime is faster with 1×1 convolutions"),
    "deployment.py: FoldedAttention, FoldedAttention.construct, FoldedAttention.divided, FoldedAttention.parts, HEAD_CHANNELS, "
    "HeadGroup, HeadGroup.construct, MOST_GROUPS, MOST_SCORES, linear, query_groups": (
        "torch",
        "ONNX Runtime has no fused attention, and is faster in groups that the processor's cache holds",
    ),
    "device.py: ASCEND_DEVICES": ("mindspore", "MindSpore must be told its device before it is imported"),
    "device.py: ascend_cards, ascend_precisions": ("torch", "an Ascend is PyTorch's by an extension, torch_npu"),
    "device.py: keep_types": ("mindspore", "an Ascend has several modes; PyTorch's one switch for CUDA needs no function"),
    "distributed.py: LIBRARIES": ("torch", "each device has a communication library of its own"),
    "distributed.py: Sum.bprop": ("torch", "MindSpore's AllReduce has a gradient"),
    "distributed.py: STATE": ("mindspore", "graphs are built for a number of processes"),
    "distributed.py: ROLES, TABLE": ("mindspore", "msrun names roles, and a rank table is another way to start"),
    "distributed.py: LIMBS, LIMB_BITS": ("mindspore", "AllReduce on a CPU adds float32 alone"),
    "exported.py: OPENED, OPSET, SERIALISED, name_axes, onnx_bytes, open_onnx, open_torch, torch_bytes": (
        "torch",
        "it writes two formats",
    ),
    "exported.py: probe, traced": ("torch", "only its graphs can be run operator by operator; the twins compute the same"),
    "rounding.py": ("torch", "only its graphs can be run operator by operator; the twins compute the same"),
    "exported.py: INT8_OPSET, gelu": ("torch", "int8 is for ONNX"),
    "quantization.py": ("torch", "int8 is for ONNX, which MindSpore does not write"),
    "exported.py: SMALLEST, quiet": ("torch", "torch.export takes short axes for constants, and warns"),
    "exported.py: READABLE": ("mindspore", "MindSpore makes files that only their owner may read"),
    "kernels.py: FIRST_ASCEND, first_ascend, no_fused_attention": ("mindspore", "the first Ascend has no fused attention"),
    "attention.py: MOST_SCORES, MOST_TOKENS, PlainAttend.bprop": (
        "mindspore",
        "PyTorch's fused attention takes any length, and never holds all scores; its gradient is its own",
    ),
    "kernels.py: Normalise, Normalise.construct": (
        "mindspore",
        "on a CPU the gradient of MindSpore's LayerNorm is slow and is written out",
    ),
    "products.py": ("mindspore", INDICES),
    "kernels.py: Scaled, Scaled.construct, chosen, one_condition_each, transposed, transposed_by_products": (
        "mindspore",
        INDICES,
    ),
    "kernels.py: MinusTruth, MinusTruth.construct": (
        "mindspore",
        "the gradient of cross-entropy is written out, and MindSpore's OneHot is slow on a CPU",
    ),
    "kernels.py: NormalCdf, NormalCdf.bprop, NormalCdf.construct, on": (
        "mindspore",
        "on a CPU some of MindSpore's gradients are slow and are written out",
    ),
    "native": ("mindspore", "MindSpore's own kernels for a CPU are slow"),
    "kernels.py: depthwise_kernel, own": ("mindspore", "MindSpore's own kernels for a CPU are slow"),
    "convolutions.py": ("mindspore", SLOW_CONVOLUTIONS),
    "device.py: AVX2, AVX512, ISA, PROCESSORS, keep_convolutions": ("mindspore", SLOW_CONVOLUTIONS),
    "kernels.py: convolution_as_products, products_are_faster, products_of": ("mindspore", SLOW_CONVOLUTIONS),
    "upsampling.py: MOST_SIZES, matrices": ("torch", "MindSpore's graphs keep constants themselves"),
    "upsampling.py: BLOCK, FEWEST_INPUTS, block_matrix, in_blocks, one_of_each, place_in_blocks": (
        "mindspore",
        "on a CPU products of blocks are faster than MindSpore's gradient; PyTorch's is faster than they",
    ),
    "upsampling.py: LONGEST_SIDE, first_numbers, interpolation_matrix_of_any_size": (
        "mindspore",
        "on an Ascend upsampling itself is products, also in a graph for any size",
    ),
    "deployment.py: Resize, Resize.construct": ("mindspore", "PyTorch has one form with and without a gradient"),
    "layers.py: LayerNormalisation, LayerNormalisation.construct, LinearLayer, LinearLayer.construct, parameter": (
        "mindspore",
        "the constructors of MindSpore's own layers change after 2.9",
    ),
    "floor.py": ("torch", "one large product says how fast a machine is; a second framework would say it again"),
    "memory.py": ("torch", "MindSpore keeps its memory itself"),
    "onednn.py": ("torch", "MindSpore gives its products to oneDNN itself"),
    "overflow.py": ("mindspore", "only an Ascend saturates"),
    "buffers.py": ("mindspore", FEW_KERNELS),
    "kernels.py: Split, Split.construct, updates_in_buffers": ("mindspore", FEW_KERNELS),
    "optimizer.py: AdamW.gathered, fill": ("mindspore", FEW_KERNELS),
    "layers.py: native_name": ("mindspore", "its norms call their arrays gamma and beta"),
    "learner.py: canonical_parameters": ("mindspore", "its norms call their arrays gamma and beta"),
    "training_step.py: Accumulate, Accumulate.construct, Accumulate.taken, add, take": (
        "mindspore",
        "PyTorch adds to a parameter's gradient itself",
    ),
    "learner.py: Logits, Logits.construct": ("mindspore", "a graph is compiled from a cell"),
    "training_step.py: Probabilities, Probabilities.construct": ("mindspore", "a graph is compiled from a cell"),
    "training_step.py: TrainingStep.remember_statistics, keep_if_finite, restore": (
        "mindspore",
        "a graph has no copy of the statistics before the step",
    ),
    "training_step.py: squared_norm": ("mindspore", "PyTorch has a function for the norm of all gradients"),
    "loss.py: negative_log_probabilities": ("torch", "PyTorch's cross-entropy is slow where maps are channels-last"),
    "loss.py: WeightedSum, WeightedSum.bprop, WeightedSum.construct, log_probabilities": (
        "mindspore",
        "the gradient of MindSpore's cross-entropy is ten times slower on a CPU",
    ),
    "average.py: move": ("mindspore", "a graph maps a function over the arrays"),
    "optimizer.py: AdamW.steps": ("torch", "each parameter counts its steps; MindSpore's AdamW has one count"),
    "optimizer.py: AdamW.gradients": ("torch", "in MindSpore gradients are values, not attributes of the parameters"),
    "optimizer.py: update, update_one": ("mindspore", "PyTorch has a fused AdamW that can skip a step"),
    "bands.py: cut, filled, joined": ("mindspore", "PyTorch writes these as indices"),
    "prediction.py: flip, resize, tensor": ("mindspore", "PyTorch writes these as methods"),
}
"""`file`, `folder` or `file: names` -> the backend that has them, and why the other one does not."""


def public_names(path: Path) -> set[str]:
    """The classes, functions and constants that a file defines, and the public methods of its classes."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{SAME_METHOD.get(item.name, item.name)}" for item in node.body if isinstance(item, ast.FunctionDef)
            }
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)}
    return {name for name in names if not any(part.startswith("_") for part in name.split("."))}


def own_names(package: str) -> set[str]:
    """`file: name` of everything public, and `file` itself; of a folder its name."""
    paths, folders = sorted((ROOT / package).glob("*.py")), (ROOT / package).glob("*/__init__.py")
    names = {f"{path.name}: {name}" for path in paths for name in public_names(path)}
    return {path.name for path in paths} | names | {path.parent.name for path in folders}


def excepted(package: str) -> set[str]:
    """The names that EXCEPTIONS gives to one backend; a whole file stands for all its names, a folder for itself."""
    names = set()
    for entry, (backend, _) in EXCEPTIONS.items():
        if package != f"backend_{backend}":
            continue
        file, _, listed = entry.partition(": ")
        names |= {f"{file}: {name}" for name in listed.split(", ")} if listed else {file}
        if file.endswith(".py") and not listed:
            names |= {f"{file}: {name}" for name in public_names(ROOT / package / file)}
    return names


def test_the_twins_have_the_same_public_names():
    torch, mindspore = map(own_names, PACKAGES)
    assert len(torch & mindspore) > 80
    assert torch - mindspore == excepted("backend_torch"), "see EXCEPTIONS: name a new difference and its reason there"
    assert mindspore - torch == excepted("backend_mindspore"), "see EXCEPTIONS: name a new difference and its reason there"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def load(): ...\ndef _own(): ...", {"load"}),
        ("A, B = 1, 2\nC: int = 3\nimport torch", {"A", "B", "C"}),
        ("class X:\n    def forward(self): ...\n    def _low(self): ...", {"X", "X.construct"}),
        ("class X:\n    def construct(self): ...", {"X", "X.construct"}),
    ],
)
def test_public_names_are_what_a_file_defines(source, names, tmp_path):
    (tmp_path / "file.py").write_text(source)
    assert public_names(tmp_path / "file.py") == names
