"""docs/migration.md says of the original repository and of this one what is so: keys, commands, files, log lines, decisions.

`test_twin_pages.py` holds the Chinese page to it.
"""

import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from parity_tests import ROOT
from parity_tests.config.test_config import ORIGINAL
from parity_tests.documents.blocks import page_text
from parity_tests.documents.known_commands import check
from parity_tests.documents.world import make_world, run
from segformer_core.commands.train import check_split
from segformer_core.config.keys import KEYS, Config, TrainingConfig, flat
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.config.values import check_value, parse_flag
from segformer_core.errors import ConfigError
from segformer_core.export.choice import sidecar_path
from segformer_core.protocol.form import FORMATS
from segformer_core.protocol.learner import ALONE
from segformer_core.protocol.loss_scale import CLEAN_STEPS, START
from segformer_core.spec.arrays import parameter_count
from segformer_core.spec.model import segformer
from segformer_core.weights.usual_names import USUAL_NAMES

PAGE = page_text("docs/migration.md")
RECIPE = "configs/segformer.b0.512x1024.city.yaml"
OTHER_RECIPES = [f"configs/segformer.b{variant}.1024x1024.city.yaml" for variant in range(6)]
SAME, COUNTERPART = "same", "counterpart"
CITYSCAPES = 2975
"""Training images."""

Row = list[str]


def tables(heading: str) -> list[list[Row]]:
    """The tables of a section, each without its head: the cells of every row."""
    section = re.split(rf"^## {heading}\n", PAGE, flags=re.MULTILINE)[1].partition("\n## ")[0]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    ]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def each(spans: list[str]) -> list[str]:
    """The names that spans stand for: a{b,c} is ab and ac."""
    names = []
    for span in spans:
        parts = [part.split(",") if index % 2 else [part] for index, part in enumerate(re.split(r"\{([^}]*)\}", span))]
        names += ["".join(choice) for choice in itertools.product(*parts)]
    return names


KEY_ROWS = {code(row[0])[0]: row for row in tables("Keys")[0]}
COMMANDS = tables("Commands")[0]
IN_REPOSITORY, WRITTEN = tables("Folders and files")
LINES, LINES_HERE_ALONE = tables("Log lines")


def value(name: str, cell: str) -> object:
    """The value that a cell states for a key, as the configuration holds it."""
    text = code(cell)[0] if code(cell) else {"empty": ""}[cell]
    return check_value(name, parse_flag(name, text), PAGE)


def test_every_key_of_the_originals_document_has_a_row():
    assert [name for name in KEY_ROWS if not name.startswith("export_")] == list(yaml.safe_load(ORIGINAL))
    assert KEY_ROWS.keys() <= KEYS.keys()


@pytest.mark.parametrize("name", KEY_ROWS)
def test_a_keys_values_are_these(name):
    _, there, default, recipe, note = KEY_ROWS[name]
    if not name.startswith("export_"):  # flags of a command there, in no file
        assert value(name, there) == check_value(name, yaml.safe_load(ORIGINAL)[name], "the original")
    assert value(name, default) == flat(Config())[name]
    here = flat(load_config(["--config_path", RECIPE]))[name]
    assert value(name, recipe) == here
    others = [flat(load_config(["--config_path", path]))[name] for path in OTHER_RECIPES]
    if set(others) != {here}:
        said = [value(name, f"`{span}`") for span in code(note.partition("1024×1024: ")[2])]
        assert said == [others[0], others[-1]][: len(set(others))]


def test_the_figures_of_the_notes_are_the_recipes():
    config = load_config(["--config_path", RECIPE])
    steps = CITYSCAPES // config.training.batch_size
    length, size = config.training.max_steps, config.training.batch_size
    epochs, rest = divmod(length, steps)
    assert f"| {length:,} steps of {size} images: {epochs} epochs of {steps} steps and {rest} steps more |" in PAGE
    for name, value in (
        ("epoch_size", f"max_steps: {length}"),
        ("save_checkpoint_epoch_interval", f"save_interval_steps: {config.training.save_interval_steps}"),
        ("eval_interval", f"eval_interval_steps: {config.evaluation.eval_interval_steps}"),
    ):
        assert KEY_ROWS[name][4].startswith(f"the recipe counts in steps: `{value}`")
    assert f"{config.optimizer.warmup_steps} steps of warm-up, then linear decay; ten times" in PAGE
    assert config.optimizer.poly_power == 1 and config.optimizer.head_lr_multiplier == 10
    slides = [load_config(["--config_path", path]).evaluation for path in OTHER_RECIPES]
    [(mode, window, stride)] = {(item.eval_mode, item.eval_crop_size[0], item.eval_stride[0]) for item in slides}
    assert mode == "slide" and f"sliding windows of {window} every {stride} pixels" in PAGE
    assert f"starts at {START:.0f} and doubles after {CLEAN_STEPS} clean steps" in PAGE


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row[0])
def test_a_command_exists_and_takes_these_arguments(row):
    [there], [here], kind = code(row[0]), code(row[1]), row[2]
    assert kind == (SAME if there == here else COUNTERPART)
    assert shlex.split(there)[2:] == shlex.split(here)[-len(shlex.split(there)[2:]) :], "the same arguments"
    words = shlex.split(here)
    if words[0] == "bash":
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        assert f'USAGE="{" ".join(words[2:])}' in script
    elif words[1] == "-m":
        module = ROOT / (words[2].replace(".", "/") + ".py")
        assert module.is_file()
        command = re.findall(r'main\("(\w+)"', module.read_text(encoding="utf-8"))[0]
        flags = {name for word in words[3:] for name in re.findall(r"^--(\w+)", word)}
        assert flags and flags <= READS[command] | {"config_path"}
    else:
        check(words)


@pytest.mark.parametrize("row", IN_REPOSITORY, ids=lambda row: row[0])
def test_a_file_of_the_repository_is_where_the_row_says(row):
    there, here, kind = each(code(row[0])), each(code(row[1])), row[2]
    assert here and not [name for name in here if not (ROOT / name).is_file()]
    assert (kind == SAME) == (there == here)


@pytest.fixture(scope="module")
def launched(tmp_path_factory) -> Path:
    """A folder in which the launch scripts have trained an epoch, evaluated and inferred."""
    folder = tmp_path_factory.mktemp("migration")
    make_world(folder)
    for line in (
        "python tools/convert_dataset.py data/cityscapes --nproc 1",
        f"bash tools/run_standalone_train.sh 0 {RECIPE} data/cityscapes -- --device_target CPU",
        f"bash tools/run_eval.sh 0 {RECIPE} checkpoint/segformer_mit_b0_best.safetensors data/cityscapes -- --device_target CPU",
        f"bash tools/run_infer.sh 0 {RECIPE} checkpoint/segformer_mit_b0_best.safetensors data/cityscapes -- --device_target CPU",
    ):
        code, output = run("bash", f"export BACKEND=backend_torch; {line}", folder, 300)
        assert code == 0, output
    return folder


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row[1])
def test_a_written_file_has_this_name(row, launched, need_torch):
    there, here, kind = code(row[0]), code(row[1]), row[2]
    assert (kind == SAME) == (there == here)
    image = next((launched / "data/cityscapes").glob("leftImg8bit/val/*/*.png")).stem
    for name in here:
        if Path(name).suffix in (".air", ".mindir"):
            [form] = [form for form in FORMATS.values() if form.suffix == Path(name).suffix]
            recipe = next(path for path in OTHER_RECIPES if Path(path).stem == Path(name).stem)
            assert load_config(["--config_path", recipe]).export.export_name + form.suffix == name
        else:
            place = name.replace("/NAME", f"/{image}").replace("_stepN.", "_step1.")
            assert list(launched.glob(place.replace("infer_result/", "infer_result/**/"))), name
    script = (ROOT / "tools/run_distribute_train.sh").read_text(encoding="utf-8")
    assert "train_rank_$1.log" in script and "msrun_log/worker_N.log" in script
    [described] = [span for _, spans, _, note in WRITTEN if ".air" in spans for span in code(note)]
    assert described == str(sidecar_path(Path("segformer.b1.1024x1024.city.air")))


def pattern(line: str) -> str:
    """What lines of one kind have in common: numbers, class names and the folder of the results are left out."""
    line = re.sub(r"\S*/infer_result", "/infer_result", re.sub(r"class: [^,]*,", "class: C,", line))
    return re.sub(r"\d+(?:[.,:]\d+)*(?:e-?\d+)?", "#", line)


@pytest.fixture(scope="module")
def printed(launched) -> set[str]:
    logs = (launched / f"{name}.log" for name in ("train", "eval", "infer"))
    return {pattern(line) for log in logs for line in log.read_text(encoding="utf-8").splitlines()}


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[0])
def test_a_log_line_is_printed_like_this(row, printed, need_torch):
    [there], [here], kind = code(row[0]), code(row[1]), row[2]
    assert pattern(here) in printed
    assert (kind == SAME) == (pattern(there) == pattern(here))
    assert kind == SAME or pattern(here).startswith(pattern(there).removesuffix("#.ckpt"))


@pytest.mark.parametrize("row", LINES_HERE_ALONE, ids=lambda row: row[0])
def test_a_line_that_only_this_project_prints(row, printed, need_torch):
    assert pattern(code(row[0])[0]) in printed


def test_step_4_takes_the_usual_names_in_this_order():
    usual = [name.format("b0") for name in USUAL_NAMES]
    named, rest = PAGE.partition("**4. Train.**")[2].partition("beside it is taken")[0].split("If it is not there, ")
    assert [Path(name).name for name in code(named) + code(rest)] == usual


def test_the_batch_of_the_decisions_is_what_the_sentence_says():
    [decided] = [row for row in tables("Decisions")[0] if row[0] == "`batch_size`"]
    devices, size, whole = re.findall(r"(\d+) devices × (\d+) there is `batch_size: (\d+)` here", decided[2])[0]
    with pytest.raises(ConfigError, match=rf"--batch_size {whole} \({devices} devices × {size}\)"):
        check_split(TrainingConfig(batch_size=int(size)), replace(ALONE, count=int(devices)))
    assert f"the newest {TrainingConfig().keep_checkpoints} (`keep_checkpoints`)" in PAGE


def test_the_networks_of_the_decisions():
    widths = {variant: segformer(variant).decoder_width for variant in ("b1", "b2", "b5")}
    assert widths == {"b1": 256, "b2": 768, "b5": 768}
    assert {segformer(variant, numerics="zoo").decoder_width for variant in widths} == {512}
    assert PAGE.count("256 for B1, 768 from B2 on") == 2 and "`--numerics zoo` makes it 512" in PAGE
    assert f"are the {parameter_count(segformer('b0')):,} of the log line" in PAGE


def test_the_default_format_of_each_backend():
    first = {form.backend: name for name, form in reversed(FORMATS.items())}
    assert f"`auto`: `{first['mindspore']}` with MindSpore, `{first['torch']}` with PyTorch" in PAGE
    assert FORMATS["AIR"].only_on == "Ascend"
