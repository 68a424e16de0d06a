"""Export: a file of each format computes what the network computes, and `evaluate` can use it in place of a checkpoint."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.export.export_files import ARRAYS, SMALL, connected, described, wrongly
from parity_tests.folder_dataset import CLASSES, COLOURS
from parity_tests.support import hot_arrays
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.config.load import load_config
from segformer_core.data.dataset import IGNORED
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights, sha256

BACKENDS = ("torch", "mindspore")


@pytest.fixture(scope="module")
def miou(folder, weights, tmp_path_factory):
    """(backend, weight file or export, further keys) -> the mIoU by `evaluate`, which is computed once for equal arguments."""
    results: dict[object, float] = {}

    def evaluated(backend: str, path: Path, **keys: object) -> float:
        case = (backend, path, *map(str, keys.items()))
        if case not in results:
            output = tmp_path_factory.mktemp("result")
            arguments = SMALL | {"data_path": folder, "eval_ckpt_path": path, "eval_output_path": output} | keys
            assert main("evaluate", connected(backend), flags(arguments)) == DONE
            results[case] = json.loads((output / "result.json").read_text())["miou"]
        return results[case]

    return evaluated


DYNAMIC, WHOLE, HALF = {"export_dynamic": True}, {"export_preprocess": True}, {"export_precision": "fp16"}
KINDS = {
    "ONNX of any size": ("torch", "ONNX", DYNAMIC),
    "ONNX in fp16, images to labels": ("torch", "ONNX", WHOLE | HALF),
    "TORCH, labels": ("torch", "TORCH", {"export_output": "labels"}),
    "MINDIR": ("mindspore", "MINDIR", {}),
    "MINDIR of any size in fp16, images to labels": ("mindspore", "MINDIR", DYNAMIC | WHOLE | HALF),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_proved_described_and_evaluates_as_its_checkpoint(kind, exported, miou, weights, folder):
    backend, name, keys = KINDS[kind]
    path = exported(backend, name, **keys)
    content = described(path)
    proof, half, labels = (
        content["verification"],
        keys.get("export_precision") == "fp16",
        name == "TORCH" or WHOLE.items() <= keys.items(),
    )
    assert proof["images_from"] == f"images of {folder}" and proof["images"] == (4 if "export_dynamic" in keys else 3)
    assert proof["agreement"] >= (0.995 if half else 1.0)
    assert proof["largest_difference"] is None if labels else proof["largest_difference"] <= 1e-5 * proof["scale"]
    shape = ["batch", "height", "width"] if "export_dynamic" in keys else [1, 64, 96]
    inside = "export_preprocess" in keys
    assert content["input"]["shape"] == ([*shape, 3] if inside else [shape[0], 3, *shape[1:]])
    assert content["input"]["dtype"] == ("uint8" if inside else "float32") and content["input"]["colour_order"] == "RGB"
    assert content["output"]["dtype"] == ("uint8" if labels else "float32")
    assert [(entry["name"], tuple(entry["colour"])) for entry in content["classes"]] == list(zip(CLASSES, COLOURS, strict=True))
    assert content["weights"]["sha256"] == sha256(ARRAYS) and content["weights"]["path"] == str(weights)

    if FULL or backend == "torch" or not keys:  # MindSpore compiles each file anew
        assert miou(backend, path) == pytest.approx(miou(backend, weights), abs=2e-3 if half else 1e-9)


def test_the_onnx_graph_holds_nothing_that_could_be_computed_beforehand(exported):
    path = exported("torch", "ONNX", **DYNAMIC)
    import onnx

    graph = onnx.load(path).graph
    kinds = [node.op_type for node in graph.node]
    blocks, of_one_head, reduced, head_groups = 8, 2, 6, 4
    assert not {"BatchNormalization", "Sqrt", "Exp", "Pow", "Cast", "Einsum", "If", "Loop"} & set(kinds)
    assert kinds.count("MatMul") == 6 * blocks - of_one_head, (
        "q, k, v, attention's two products, and proj, which one head has in v"
    )
    assert kinds.count("Conv") == 4 + reduced + 3 * blocks + 5 * head_groups, (
        "patches, sr, mix-FFN, the head's four linear layers, its classifier"
    )
    assert kinds.count("LayerNormalization") == 4 + 2 * blocks + reduced + 4 and kinds.count("Resize") == 3 * head_groups
    shapes = [tuple(array.dims) for array in graph.initializer]
    assert shapes.count((256, 1024, 1, 1)) == 2, "the weights of stage 4's mix-FFNs, not the fusion's"
    assert {(64, width, 1, 1) for width in (32, 64, 160, 256)} <= set(shapes)
    constants = {array.name: array.data_type for array in graph.initializer}
    scaled = [node for node in graph.node if node.op_type == "Mul" and onnx.TensorProto.FLOAT in map(constants.get, node.input)]
    assert len(scaled) == blocks, "the factor 1/2 of GELU; that of the queries is in their weights"
    early = [node.name for node in graph.node if node.input and set(node.input) <= constants.keys()]
    assert not early, f"{early} compute with constants alone"
    concatenated = [
        node for node in graph.node if node.op_type == "Concat" and len(node.input) == 4 and "permute" in node.input[0]
    ]
    assert not concatenated, "the head's maps are concatenated to 4E channels"


def test_the_mindir_holds_nothing_that_could_be_computed_beforehand(exported):
    path = exported("mindspore", "MINDIR")
    import mindspore as ms

    shapes = {name: tuple(value.shape) for name, value in ms.nn.GraphCell(ms.load(str(path))).parameters_dict().items()}
    head = {name: shape for name, shape in shapes.items() if name.startswith("decode_head")}
    expected = {(256, width) for width in (32, 64, 160, 256)} | {(256,), (3, 256), (3,)}
    assert set(head.values()) == expected and len(head) == 7, head
    assert not [name for name in shapes if "moving" in name or "linear_fuse" in name]


def test_sizes_and_batches_that_no_verification_tried(exported):
    """Compares two files with each other; rung 2 compares the networks with transformers."""
    onnx, mindir = exported("torch", "ONNX", **DYNAMIC), exported("mindspore", "MINDIR")
    from backend_mindspore.exported import open_file as open_mindir
    from backend_torch.exported import open_file as open_onnx

    run = open_onnx(onnx)
    rng = np.random.default_rng(1)
    same = rng.standard_normal((1, 3, 64, 96)).astype(np.float32)
    assert np.abs(run(same) - open_mindir(mindir)(same)).max() < 1e-5, "two frameworks, two runtimes, one network"
    odd = rng.standard_normal((3, 3, 33, 141)).astype(np.float32)
    alone = np.concatenate([run(image[None]) for image in odd])
    assert run(odd).shape == (3, 3, 9, 36) and np.abs(run(odd) - alone).max() < 1e-5


def test_export_says_what_it_does_and_how_long_it_took(folder, weights, tmp_path, capsys):
    paths = {"data_path": folder, "export_ckpt_path": weights, "export_path": tmp_path / "net.pt2", "export_format": "TORCH"}
    assert main("export", connected("torch"), flags(SMALL | paths)) == DONE
    stages = [
        r"loaded all arrays of .*",
        r"nothing names the classes, .*",
        r"writing TORCH, fp32, images of 64×96 …",
        rf"written in \d+\.\d s; running the TORCH file in a process of its own on images of {folder} …",
        r"proved: logits differ by at most .*, 100\.0000% of the labels agree on 3 images, .*, in \d+\.\d s",
        rf"export: {tmp_path}/net\.pt2, 1\d\.\d MB; net\.pt2\.json describes it",
        r"finished in \d+\.\d s",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(stages) and all(map(re.fullmatch, stages, lines)), lines


def test_an_existing_file_is_kept_unless_forced(exported, folder, weights, capsys):
    path = exported("torch", "TORCH", export_output="labels")
    before = path.stat().st_mtime_ns
    arguments = flags(SMALL | {"data_path": folder, "export_ckpt_path": weights, "export_path": path, "export_format": "TORCH"})
    assert main("export", connected("torch"), arguments) == USERS_MISTAKE
    assert f"{path} exists and is kept; choose another --export_path, or --force" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before
    assert load_config([*arguments, "--force"]).export.export_force and not load_config(arguments).export.export_force


def test_a_file_in_place_of_a_checkpoint_must_fit(exported, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dynamic, static = exported("torch", "ONNX", **DYNAMIC), exported("torch", "ONNX", **WHOLE, **HALF)
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(static.read_bytes())

    def refused(path: Path, backend: str = "torch", **keys: object) -> str:
        arguments = SMALL | {"data_path": folder, "eval_ckpt_path": path} | keys
        assert main("evaluate", connected(backend), flags(arguments)) == USERS_MISTAKE
        return capsys.readouterr().err

    assert "has decoder_width 256" not in refused(dynamic, numerics="hf")
    assert "was exported with numerics nvlabs; the configuration has numerics hf; set --numerics nvlabs" in refused(
        dynamic, numerics="hf"
    )
    assert "set --img_norm_std [58.395,57.12,57.375]" in refused(dynamic, img_norm_std="[1,1,1]")
    slide = {"base_size": "[128,192]", "eval_mode": "slide", "eval_crop_size": "[128,96]", "eval_stride": "[64,64]"}
    logits = exported("torch", "ONNX")
    assert "takes images of 64×96 pixels, and it would get windows of 128×96 pixels" in refused(logits, **slide)
    scales = {"base_size": "[128,192]", "eval_scales": "[0.5,0.75]"}
    assert "and base_size [128, 192] times the largest of eval_scales [0.5, 0.75] is more; lower them" in refused(
        logits, **scales
    )
    assert "gives labels, which windows, scales and mirror images cannot be averaged of" in refused(static, eval_flip=True)
    assert "cannot read copy.onnx.json" in refused(Path("copy.onnx"))
    (tmp_path / "copy.onnx.json").write_bytes(static.with_name("net.onnx.json").read_bytes())
    assert "is a file of ONNX: backend_torch runs it" in refused(copy, "mindspore")
    copy.write_bytes(static.read_bytes() + b" ")
    assert "is not the file that copy.onnx.json describes" in refused(copy)


def test_windows_through_a_static_file(exported, miou, weights):
    """A static file takes images of another size through windows of its own size. Two frameworks may differ in a near tie."""
    slide = {"base_size": [96, 144], "eval_mode": "slide", "eval_crop_size": [64, 96], "eval_stride": [32, 48], "eval_flip": True}
    mindir = exported("mindspore", "MINDIR")
    assert miou("mindspore", mindir, **slide) == pytest.approx(miou("torch", weights, **slide), abs=1e-4)


def test_windows_of_small_images_through_a_file_of_any_size(exported, miou, weights):
    slide = {"eval_mode": "slide", "eval_crop_size": [64, 64], "eval_stride": [48, 48], "eval_scales": [0.5, 1.0]}
    assert miou("torch", exported("torch", "ONNX", **DYNAMIC), **slide) == pytest.approx(
        miou("torch", weights, **slide), abs=1e-9
    )


@pytest.mark.skipif(not FULL, reason="compiles MindSpore's graphs for one sentence; make test-all runs it")
def test_air_is_proved_as_the_mindir_of_the_same_network(folder, weights, tmp_path, capsys):
    """The test acts as an Ascend, because no other device can write AIR. MindSpore cannot run AIR on any device."""
    written = []

    def write(own, spec, arrays, form, path):
        written.append(form.format)
        path.write_bytes(b"as an Ascend writes it") if form.format == "AIR" else own(spec, arrays, form, path)

    def on_an_ascend(runtime):
        return replace(wrongly(connected("mindspore"), write)(runtime), device="Ascend")

    keys = {
        "data_path": folder,
        "export_ckpt_path": weights,
        "export_path": tmp_path,
        "export_name": "net",
        "export_format": "AIR",
    }
    assert main("export", on_an_ascend, flags(SMALL | keys)) == DONE
    assert written == ["AIR", "MINDIR"] and {path.name for path in tmp_path.iterdir()} == {"net.air", "net.air.json"}
    assert described(tmp_path / "net.air")["verification"]["largest_difference"] < 1e-5
    arguments = flags(SMALL | {"data_path": folder, "eval_ckpt_path": tmp_path / "net.air"})
    assert main("evaluate", on_an_ascend, arguments) == USERS_MISTAKE
    assert "atc compiles it and no backend runs it" in capsys.readouterr().err


@pytest.mark.skipif(not FULL, reason="minutes; make test-all runs it")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", ["b1", "b2", "b3"])
def test_larger_variants(variant, backend, tmp_path):
    spec = segformer(variant)
    save_weights(tmp_path / "hot.safetensors", spec, hot_arrays(spec))
    keys = {"backbone": f"mit_{variant}", "class_num": 19, "base_size": [128, 256], "data_path": tmp_path / "none"}
    paths = {"export_ckpt_path": tmp_path / "hot.safetensors", "export_path": tmp_path / "out", "device_target": "CPU"}
    assert main("export", connected(backend), flags(keys | paths)) == DONE


def inferred(backend: str, path: Path, images: Path, output: Path, **keys: object) -> int:
    paths = {"infer_ckpt_path": path, "data_path": images, "infer_output_path": output}
    return main("infer", connected(backend), flags(SMALL | paths | keys))


SURE = {"infer_save_confidence_img": True, "infer_threshold": 0.6}


@pytest.mark.parametrize(("backend", "name"), [("torch", "ONNX"), ("mindspore", "MINDIR")])
def test_a_file_of_logits_is_as_sure_as_its_checkpoint(backend, name, exported, weights, folder, tmp_path):
    path = exported(backend, name, **(DYNAMIC if name == "ONNX" else {}))
    for source, output in ((path, "of_file"), (weights, "of_weights")):
        assert inferred("torch" if source == weights else backend, source, folder, tmp_path / output, **SURE) == DONE
    shown = sorted((tmp_path / "of_file").glob("*_confidence.png"))
    assert len(shown) == 3
    for picture in shown:
        of_file, of_weights = (
            cv2.imread(str(tmp_path / one / picture.name), cv2.IMREAD_UNCHANGED) for one in ("of_file", "of_weights")
        )
        assert np.abs(of_file.astype(int) - of_weights).max() <= 1 and of_file.min() < 0.6 * 255
        labels = cv2.imread(str(picture).replace("_confidence", "_gray"), cv2.IMREAD_UNCHANGED)
        assert (labels[of_file < 152] == IGNORED).all() and (labels[of_file > 154] < 3).all()


@pytest.mark.parametrize("keys", [{"infer_save_confidence_img": True}, {"infer_threshold": 0.6}])
def test_a_file_of_labels_is_not_asked_how_sure_it_is(keys, exported, folder, tmp_path, capsys):
    path = exported("torch", "TORCH", export_output="labels")
    assert inferred("torch", path, folder, tmp_path / "out", **keys) == USERS_MISTAKE
    assert capsys.readouterr().err.endswith(
        f"{path} gives labels, which say nothing of probabilities; export with --export_output logits, or leave out "
        "infer_save_confidence_img and infer_threshold\n"
    )
    assert not list((tmp_path / "out").iterdir())
    assert inferred("torch", path, folder, tmp_path / "out") == DONE
