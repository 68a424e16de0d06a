"""`load` of the Python API: its arguments, its errors and warnings, and exported files."""

import inspect
import typing
import warnings

import numpy as np
import pytest

import backend_mindspore
import backend_torch
from parity_tests.conftest import need
from parity_tests.support import DEVICES, undecided_arrays
from parity_tests.training_runs import SLOW_IN_MINDSPORE
from segformer_core.cli import main
from segformer_core.commands.convert_model import main as convert
from segformer_core.config.arguments import without_dashes
from segformer_core.config.keys import KEYS
from segformer_core.config.reads import READS
from segformer_core.errors import ConfigError, UserError
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

BACKENDS = {"torch": backend_torch, "mindspore": backend_mindspore}
ASIDE = {"weights", "config_path", "unknown"}
"""Parameters of load that are no keys."""
SPEC = segformer("b0", 5)
OTHERS = {"backbone", "class_num", "in_channels", "decoder_width", "run_distribute", "data_path"}
"""Keys of infer that a file says of its network, and those that are no program's."""
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("load") / "w.safetensors"
    save_weights(path, SPEC, undecided_arrays(SPEC))
    return str(path)


def test_load_has_the_keys_that_change_how_an_image_is_labelled():
    """A new key of infer is an argument of load, or is named here."""
    of_files = {name for name in READS["infer"] if name.startswith("infer_")} - {"infer_threshold"}
    wanted = READS["infer"] - of_files - OTHERS
    assert inspect.signature(backend_torch.load).parameters.keys() - ASIDE == wanted


def test_the_twins_have_one_signature():
    torch, mindspore = (inspect.signature(backend.load) for backend in BACKENDS.values())
    assert torch == mindspore


@pytest.mark.parametrize("name", sorted(inspect.signature(backend_torch.load).parameters.keys() - ASIDE))
def test_an_argument_has_the_type_of_its_key(name):
    """Of words those that the key takes; of lists their numbers; and None, which is not given."""
    kinds = set(typing.get_args(typing.get_type_hints(backend_torch.load)[name]))
    assert type(None) in kinds
    item, kinds = KEYS[name], kinds - {type(None)}
    words = {word for kind in kinds for word in typing.get_args(kind) if isinstance(word, str)} | {
        kind for kind in kinds if isinstance(kind, str)
    }
    assert not item.metadata["auto"] or (words == {"auto"} and int in kinds)
    if words:
        for word in words:
            backend_torch.api.config_of(None, {name: word}, "here")
        assert not item.metadata["choices"] or words == set(item.metadata["choices"])
    elif typing.get_args(item.type):
        scalar = typing.get_args(item.type)[0]
        assert {typing.get_args(kind)[0] for kind in kinds} == {scalar}
    else:
        assert kinds - {type(None)} >= {item.type}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"base_size": 512}, "^base_size in the arguments of load is 512; expected a list of 2"),
        ({"base_size": (8, 64)}, r"^base_size in the arguments of load is \[8, 64\]; expected 32 to 65536"),
        ({"eval_mode": "windows"}, "^eval_mode in the arguments of load is 'windows'; expected one of whole, slide, native"),
        ({"eval_flip": "yes"}, "^eval_flip in the arguments of load is 'yes'; expected True or False"),
        ({"device": "cuda"}, "^unknown argument 'device' of load; here it is device_target"),
        ({"base_sise": (64, 64)}, "^unknown argument 'base_sise' of load; did you mean base_size"),
        ({"zzzz": 1}, r"^unknown argument 'zzzz' of load; help\(load\) lists the arguments"),
        ({"lr": 0.1}, "^unknown argument 'lr' of load; it is a key of the commands"),
        ({"img_norm_mean": (0.5, 0.4, 0.4)}, r"pixels in 0\.\.255: set img_norm_mean \["),
        ({"numerics": "hf"}, r"has numerics nvlabs; .*; set numerics nvlabs, or choose another file"),
        ({"eval_mode": "slide", "eval_crop_size": (64, 64)}, "^eval_stride is .* expected a stride no larger than the crop"),
        ({"config_path": "no.yaml"}, "^no such configuration file: no.yaml"),
    ],
)
def test_errors_name_the_argument(keys, sentence, weights, need_torch):
    with pytest.raises(UserError, match=sentence) as error:
        backend_torch.load(weights, **keys)
    assert "command line" not in str(error.value) and "--" not in str(error.value)


def test_flags_of_commands_keep_their_dashes():
    assert without_dashes("set --eval_mode slide; export with --export_dynamic True") == (
        "set eval_mode slide; export with --export_dynamic True"
    )


def test_arguments_go_before_the_recipe_and_may_be_numpys(weights, tmp_path, need_torch):
    (tmp_path / "recipe.yaml").write_text("base_size: [96, 96]\neval_flip: true\n")
    network = backend_torch.load(
        weights, tmp_path / "recipe.yaml", base_size=np.array([32, 64]), eval_scales=(np.float32(0.5), 1), eval_flip=None
    )
    assert network.data.base_size == (32, 64) and network.evaluation.eval_scales == (0.5, 1.0) and network.evaluation.eval_flip
    assert [type(side) for side in network.data.base_size] == [int, int]


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_a_threshold_leaves_labels_open(backend, weights):
    need(backend)
    keys = {"base_size": (64, 96), "device_target": DEVICES[backend]}
    result = BACKENDS[backend].load(weights, **keys)(PIXELS, confidence=True)
    middle = float(np.median(result.confidence))
    doubtful = BACKENDS[backend].load(weights, **keys, infer_threshold=middle)
    want = np.where(result.confidence < np.float32(middle), 255, result.labels)
    assert np.array_equal(doubtful(PIXELS).labels, want) and np.array_equal(doubtful.segment(PIXELS), want)
    assert 0.3 < sum(doubtful(PIXELS).areas.values()) < 0.7


def test_paddles_note_is_a_warning_unless_the_normalisation_is_given(weights, tmp_path, capsys, need_torch):
    """As convert_model prints it."""
    convert([weights, str(tmp_path / "w.pdparams")])
    with pytest.warns(UserWarning, match="PaddleSeg's own recipes normalise images with mean 127.5") as issued:
        backend_torch.load(tmp_path / "w.pdparams", device_target=DEVICES["torch"])
    assert issued[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend_torch.load(tmp_path / "w.pdparams", img_norm_mean=(127.5,) * 3, img_norm_std=(127.5,) * 3)


@pytest.mark.parametrize(("backend", "ending"), [("torch", "onnx"), ("torch", "pt2"), ("mindspore", "mindir")])
def test_an_exported_file_labels_as_its_weights(backend, ending, weights, tmp_path, capsys):
    need(backend)
    connect = __import__(f"backend_{backend}.device", fromlist=["connect"]).connect
    path = tmp_path / f"w.{ending}"
    keys = {"export_ckpt_path": weights, "base_size": "[64,96]", "export_path": path, "device_target": "CPU"}
    keys["export_format"] = {"onnx": "ONNX", "pt2": "TORCH", "mindir": "MINDIR"}[ending]
    assert main("export", connect, [f"--{name}={value}" for name, value in keys.items()]) == 0
    load = BACKENDS[backend].load
    file, network = load(path, device_target="CPU"), load(weights, base_size=(64, 96), device_target="CPU")
    assert file.data.base_size == (64, 96) and file.spec == SPEC, "as the file says"
    result, probabilities = file(PIXELS), network(PIXELS).probabilities
    assert (result.labels != probabilities.argmax(0)).mean() < 1e-3 and len(np.unique(result.labels)) > 1
    assert np.allclose(result.probabilities, probabilities, atol=1e-4)
    with pytest.raises(ConfigError, match="ckpt_part is 'a'; the exported file .* has no parts; leave it out"):
        load(path, ckpt_part="a")
    keys = {"base_size": (128, 192), "eval_mode": "slide", "eval_crop_size": (96, 96), "eval_stride": (32, 32)}
    large = load(path, **keys, device_target="CPU")
    with pytest.raises(UserError, match=r"windows of 96×96 pixels; use eval_crop_size .*export with --export_dynamic True"):
        large(PIXELS)
