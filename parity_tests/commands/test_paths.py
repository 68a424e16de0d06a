"""Names that no file can have, as any path of any command: one sentence and exit code 2; and `~` is the home folder."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import DEVICE, hot_arrays
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import COMMANDS, DONE, USERS_MISTAKE, main, program
from segformer_core.commands.opening import connector
from segformer_core.config.keys import KEYS
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.errors import UserError
from segformer_core.files import write_text
from segformer_core.inference.sources import find_sources
from segformer_core.inference.video import Video, video_writer
from segformer_core.paths import name_fault, path_fault
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

SPEC = segformer("b0", class_count=3)
BAD = {
    "300 letters": ("x" * 300, "a name in it has 300 bytes and a file's name at most 255"),
    "200 letters of two bytes": ("é" * 200, "a name in it has 400 bytes"),
    "a long path": ("x/" * 3000 + "x", "it has 6001 bytes and a path at most 4095"),
    "NUL": ("a\0b", "it holds a NUL character"),
    "half a character": ("\ud800", "which is no character"),
    "links in a circle": ("circle/x", "its links go in a circle"),
    "a circle itself": ("circle", "its links go in a circle"),
    "below a file": ("file/x/y", "a part of it is a file and no folder"),
    "an unknown user": ("~nobody-of-this-name/x", "this machine has no such user"),
}
PATHS = [(command, key) for command in COMMANDS for key in sorted(READS[command]) if KEYS[key].metadata["path"]]
TOOLS = {
    "make_dataset": ["BAD", "--images", "."],
    "make_dataset, images": ["new", "--images", "BAD"],
    "make_dataset, annotations": ["new", "--coco", "BAD"],
    "convert_dataset": ["BAD"],
    "unpack_dataset": ["BAD", "new"],
    "unpack_dataset, copy": [".", "BAD"],
    "unpack_dataset, description": [".", "new", "--dataset_file", "BAD"],
    "convert_model": ["BAD", "w.ckpt"],
    "convert_model, output": ["w.safetensors", "BAD"],
    "convert_model, original spelling": ["--pt_model_path", "BAD", "--ms_model_path", "w.ckpt"],
    "make_sample_data": ["BAD"],
    "make_contact_sheet, data": ["--data_path", "BAD", "--infer_output_path", ".", "--output", "x.png"],
    "make_contact_sheet, output": ["--data_path", ".", "--infer_output_path", ".", "--output", "BAD"],
    "make_rank_table, output": ["--device_num", "1", "--output", "BAD"],
    "make_rank_table, check": ["--device_num", "1", "--check", "BAD"],
    "benchmark": ["--json", "BAD"],
    "benchmark_pipeline": ["--json", "BAD"],
    "compare_backends": ["--eval_ckpt_path", "BAD"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a file and a circle of links."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


def refuse(runtime):
    raise AssertionError("a mistake must be found before a framework is loaded")


def check_refused(code: int, capsys, sentence: str, there: set[Path], folder: Path) -> None:
    printed = capsys.readouterr()
    assert code == USERS_MISTAKE and printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and len(printed.err) < 500
    assert sentence in printed.err, printed.err
    assert set(folder.iterdir()) == there, "nothing is written"


@pytest.mark.parametrize("bad", BAD)
def test_a_path_that_no_file_can_have_is_refused_as_any_key_of_any_command(bad, folder, capsys):
    path, sentence = BAD[bad]
    there = set(folder.iterdir())
    for command, key in [*PATHS, *((command, "config_path") for command in COMMANDS)]:
        check_refused(main(command, refuse, [f"--{key}", path]), capsys, sentence, there, folder)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_path_that_no_file_can_have_is_refused_by_the_tools(tool, bad, folder, capsys):
    path, sentence = BAD[bad]
    words = [tool.partition(",")[0], *(path if word == "BAD" else word for word in TOOLS[tool])]
    check_refused(program(words), capsys, sentence, set(folder.iterdir()), folder)


@pytest.mark.parametrize("bad", BAD)
def test_a_path_that_no_file_can_have_is_refused_by_the_python_api(bad, folder):
    need("torch")
    import backend_torch

    path, sentence = BAD[bad]
    with pytest.raises(UserError, match=sentence):
        backend_torch.load(path, device_target=DEVICE)
    with pytest.raises(UserError, match=sentence):
        backend_torch.load("w.safetensors", path, device_target=DEVICE)
    save_weights(folder / "w.safetensors", SPEC, hot_arrays(SPEC))
    network = backend_torch.load(folder / "w.safetensors", device_target=DEVICE, base_size=[64, 96])
    for image in (path, Path(path)):
        with pytest.raises(UserError, match=sentence):
            network.segment(image)


@pytest.mark.parametrize("bad", BAD)
def test_a_path_in_a_file_is_refused_with_the_file(bad, folder):
    path, sentence = BAD[bad]
    (folder / "recipe.yaml").write_text(f'data_path: "{path}"'.replace("\0", "\\0").replace("\ud800", "\\ud800"))
    with pytest.raises(UserError, match="recipe.yaml.* (holds half a character|" + sentence + ")"):
        load_config(["--config_path", "recipe.yaml"])


def test_a_path_that_the_command_does_not_read_is_not_looked_up(folder):
    (folder / "recipe.yaml").write_text("eval_ckpt_path: file/x")
    assert load_config(["--config_path", "recipe.yaml"], READS["infer"]).evaluation.eval_ckpt_path == "file/x"
    with pytest.raises(UserError, match="eval_ckpt_path in .*recipe.yaml is 'file/x': a part of it is a file"):
        load_config(["--config_path", "recipe.yaml"], READS["evaluate"])


def test_what_a_path_may_be(folder):
    (folder / os.fsdecode(b"\xff.png")).write_text("x")
    for path in ("", ".", "new/folder", "x" * 255, "é" * 127, os.fsdecode(b"\xff.png"), "shots/**/*.jpg", "hf:owner/name", "~"):
        assert path_fault(os.path.expanduser(path)) == "", path
    assert name_fault("~x") == ""


@pytest.fixture
def home(folder, monkeypatch) -> Path:
    """The user's home folder: a dataset, weights and an image lie in it."""
    (folder / "home").mkdir()
    monkeypatch.setenv("HOME", str(folder / "home"))
    write_folder_dataset(folder / "home/set", images=2, validation=1)
    save_weights(folder / "home/w.safetensors", SPEC, hot_arrays(SPEC))
    return folder / "home"


def test_the_home_folder_is_written_out_wherever_a_path_stands(home):
    (home / "base.yaml").write_text("seed: 3\ninfer_output_path: ~/masks\n")
    (home / "recipe.yaml").write_text("__BASE__: ~/base.yaml\ndata_path: ~/set\n")
    config = load_config(["--config_path", "~/recipe.yaml", "--eval_ckpt_path=~/w.safetensors", "--resume", "~/a.safetensors"])
    assert (config.training.seed, config.data.data_path) == (3, f"{home}/set")
    assert config.inference.infer_output_path == f"{home}/masks"
    assert (config.evaluation.eval_ckpt_path, config.training.resume) == (f"{home}/w.safetensors", f"{home}/a.safetensors")
    for name, item in KEYS.items():
        if item.metadata["path"]:
            assert f"{home}/x" in str(load_config([f"--{name}", "~/x"])), name


def test_a_pattern_in_the_home_folder(home):
    config = load_config(["--data_path", "~/set/**/val*.png"])
    sources, *_ = find_sources(config.data.data_path, "", Path("out"))
    assert {source.path.name for source in sources} == {"val0.png"}


def test_commands_and_the_python_api_in_the_home_folder(home, capsys):
    need("torch")
    keys = SMALL | {"data_path": "~/set", "infer_ckpt_path": "~/w.safetensors", "infer_output_path": "~/masks"}
    assert main("infer", connector("torch"), flags(keys)) == DONE
    assert (home / "masks/val0_gray.png").is_file() and not (home.parent / "~").exists()
    assert program(["convert_model", "~/w.safetensors", "~/w.ckpt"]) == DONE and (home / "w.ckpt").is_file()
    import backend_torch

    network = backend_torch.load("~/w.safetensors", device_target=DEVICE, base_size=[64, 96])
    labels = network.segment("~/set/images/val/val0.png")
    assert np.array_equal(labels, cv2.imread(str(home / "masks/val0_gray.png"), cv2.IMREAD_GRAYSCALE))


def test_names_that_are_no_utf8(folder):
    """Texts that hold them are written; a video, at which cv2 ends the process, is refused."""
    place = folder / os.fsdecode(b"caf\xe9")
    place.mkdir()
    (place / "clip.mp4").write_bytes(b"x")
    assert write_text(place / "page.html", str(place)).read_text(encoding="utf-8").endswith("caf\\udce9")
    for use in (lambda: Video(place / "clip.mp4"), lambda: video_writer(place / "out.mp4", 25, (32, 32)).__enter__()):
        with pytest.raises(UserError, match="is no UTF-8"):
            use()


def test_an_empty_path_is_none_given():
    config = load_config(["--dataset_file", "", "--report=", "--resume", "", "--pretrained_ckpt_path", ""])
    assert (config.data.dataset_file, config.evaluation.report, config.training.resume) == ("", "", "auto")
