"""YAML from outside: whatever a file holds, its reader returns plain values or raises one sentence."""

import os
import random
import re
import time
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.training_runs import FULL
from segformer_core.config.files import find_config
from segformer_core.config.load import load_config
from segformer_core.config.yaml_reading import LARGEST_FILE
from segformer_core.data.description import read_classes
from segformer_core.errors import ConfigError, UserError

ALIASES = "[&a [1, 1]" + "".join(f", &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]" for i in range(20)) + "]"
"""Small as text, 2·9²⁰ entries in a `repr`."""

TEXTS = {
    "a date that is none": ("lr: 2024-13-45", "lr in .* is '2024-13-45'; expected a number"),
    "a date": ("lr: 2024-12-31", "lr in .* is '2024-12-31'; expected a number"),
    "base 60": ("seed: 1:30", "seed in .* is '1:30'; expected a whole number"),
    "base 60 with a fraction": ("lr: 1:30.5", "lr in .* is '1:30.5'; expected a number"),
    "int tag": ("seed: !!int abc", "line 1: 'abc' is no int that can be read"),
    "float tag": ("\nlr: !!float x", "line 2: 'x' is no float that can be read"),
    "bool tag": ("run_eval: !!bool maybe", "line 1: 'maybe' is no bool that can be read"),
    "empty int tag": ("seed: !!int ''", "line 1: '' is no int that can be read"),
    "timestamp tag": ("lr: !!timestamp x", "line 1: the tag 'tag:yaml.org,2002:timestamp' is not read; write a plain value"),
    "binary tag": ("lr: !!binary é", "line 1: the tag 'tag:yaml.org,2002:binary' is not read"),
    "python tag": ("lr: !!python/object/apply:os.system [id]", "line 1: the tag 'tag:.*/apply:os.system' is not read"),
    "set": ("seed: !!set {1, 2}", "line 1: the tag 'tag:yaml.org,2002:set' is not read"),
    "a number called a mapping": ("lr: !!map 5", "line 1: expected a mapping node, but found scalar"),
    "5000 digits": ("seed: " + "9" * 5000, "line 1: '9+….* is no int that can be read"),
    "5000 digits in base 16": (
        "seed: 0x" + "f" * 5000,
        "seed in .* is an integer of 20000 bits; expected 0 to 9223372036854775807",
    ),
    "a key of 1000 digits": ("0x" + "f" * 800 + ": 1", "has the key an integer of 3200 bits; expected a key's name"),
    "5000 brackets": ("seed: " + "[" * 5000, "line 1: more than 32 values within each other"),
    "5000 closed brackets": ("seed: " + "[" * 5000 + "]" * 5000, "line 1: more than 32 values within each other"),
    "aliases of aliases": (f"seed: {ALIASES}", r"seed in .* is \[\[1, 1\], \[\[\.\.\.\].*; expected a whole number"),
    "aliases in a list of weights": ("class_weights: [&a [1, 1], *a]", "class_weights in .*; expected text"),
    "a list that holds itself": ("eval_scales: &a [*a]", "eval_scales in .*; expected a list"),
    "an alias of nothing": ("seed: *x", "line 1: found undefined alias 'x'"),
    "merge key": ("lr: &a {seed: 1}\n<<: *a", "line 2: the merge key << is not read; .* name a file in __BASE__"),
    "number as key": ("1: 2", "has the key 1; expected a key's name"),
    "key of 5000 letters": ("k" * 5000 + ": 2", "line 1: mapping values are not allowed here|unknown key 'k+…"),
    "list as key": ("? [seed]\n: 1", "line 1: found unhashable key"),
    "NUL": ("lr: 1\nseed: 1\0", r"line 2: '\\x00' is no character of a text file"),
    "control character": ("seed: \x07", r"line 1: '\\x07' is no character of a text file"),
    "half a character": ('data_path: "\\ud800"', "line 1: .* holds half a character"),
    "tab": ("lr: 1\n\tseed: 1", "line 2: found character '\\\\t' that cannot start any token"),
    "two documents": ("seed: 1\n---\nlr: 1", "line 2: expected a single document in the stream, but found another document"),
    "seed of 40 digits": ("seed: " + "9" * 40, "expected 0 to 9223372036854775807"),
    "epochs of 31 digits": ("epoch_size: 1" + "0" * 30, "expected 1 to 1000000"),
    "steps of 31 digits": ("warmup_steps: 1" + "0" * 30, "expected at most 1000000000"),
}


def refused(path: Path) -> str:
    """The sentence with which a recipe is refused, soon."""
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        load_config(["--config_path", str(path)])
    assert time.perf_counter() - start < 5
    assert_one_sentence(str(caught.value), path)
    return str(caught.value)


def assert_one_sentence(sentence: str, path: Path) -> None:
    assert sentence and "\n" not in sentence and len(sentence.replace(str(path), "")) < 400, sentence[:1000]


@pytest.mark.parametrize("name", TEXTS)
def test_a_value_that_cannot_be_read_is_one_sentence(name, tmp_path):
    text, message = TEXTS[name]
    (tmp_path / "recipe.yaml").write_text(text)
    assert re.search(message, refused(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("seed", "9" * 5000, "seed in the command line is '9+…; expected a whole number"),
        ("seed", "9" * 40, "expected 0 to 9223372036854775807"),
        ("epoch_size", "1" + "0" * 30, "expected 1 to 1000000"),
        ("dataset_num_parallel_workers", "100000", "expected 0 to 1024"),
        ("lr", "nan", "expected at least 0"),
        ("lr", "2024-13-45", "lr in the command line is '2024-13-45'; expected a number"),
        ("lr", "[" * 5000, r"lr in the command line is '\[+…; expected a number"),
        ("crop_size", "[1", r"crop_size in the command line is '\[1'; expected a list of 2"),
        ("seed", "1\0", "expected a whole number"),
        ("k" * 5000, "1", "unknown key 'k+…"),
    ],
)
def test_a_flag_that_cannot_be_read_is_one_sentence(flag, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config([f"--{flag}", value])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "encoding", "seed"),
    [("seed: 7", "utf-8", 7), ("seed: 7", "utf-8-sig", 7), ("seed: 7", "utf-16", 7), ("seed: 7\r\n", "utf-8", 7)],
)
def test_what_an_editor_saves_is_read(text, encoding, seed, tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(text.encode(encoding))
    assert load_config(["--config_path", str(tmp_path / "recipe.yaml")]).training.seed == seed


def test_text_in_another_encoding_is_told_with_its_line(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes("seed: 1\ndata_path: caf\xe9\n".encode("latin-1"))
    assert "recipe.yaml, line 2: these bytes are no text in UTF-8; save" in refused(tmp_path / "recipe.yaml")


def test_a_date_is_text_where_text_is_expected(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data_path: 2024-12-31\nexport_name: 1:30")
    config = load_config(["--config_path", str(tmp_path / "recipe.yaml")])
    assert (config.data.data_path, config.export.export_name) == ("2024-12-31", "1:30")


def test_a_large_file_is_not_read(tmp_path):
    with (tmp_path / "recipe.yaml").open("wb") as file:
        file.truncate(2**30)
    assert "has more than 131,072 bytes" in refused(tmp_path / "recipe.yaml")


def test_the_largest_file_is_read_soon(tmp_path):
    """The slowest text of that size that was found."""
    (tmp_path / "recipe.yaml").write_text(("seed: [" + "[], " * LARGEST_FILE)[: LARGEST_FILE - 2] + "]")
    start = time.perf_counter()
    with pytest.raises(ConfigError):
        load_config(["--config_path", str(tmp_path / "recipe.yaml")])
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "nothing"])
def test_only_a_regular_file_is_a_recipe(kind, tmp_path):
    path = {"device": Path("/dev/zero")}.get(kind, tmp_path / "recipe.yaml")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    wanted = f"no such configuration file: {path}" if kind == "nothing" else f"{path} is no file that holds text"
    with pytest.raises(ConfigError, match=wanted):
        load_config(["--config_path", str(path)])


def test_a_long_chain_of_base_files(tmp_path):
    for index in range(1500):
        (tmp_path / f"{index}.yaml").write_text(f"__BASE__: {index + 1}.yaml\n")
    (tmp_path / "1500.yaml").write_text("seed: 1")
    assert "a chain of 50 files by __BASE__" in refused(tmp_path / "0.yaml")
    assert load_config(["--config_path", str(tmp_path / "1455.yaml")]).training.seed == 1


def test_a_base_file_of_many_is_read_once(tmp_path):
    """Nine bases in each of 40 files: 9⁴⁰ ways lead to the last."""
    for index in range(40):
        (tmp_path / f"{index}.yaml").write_text(f"__BASE__: [{', '.join([f'{index + 1}.yaml'] * 9)}]\n")
    (tmp_path / "40.yaml").write_text("seed: 3")
    assert load_config(["--config_path", str(tmp_path / "0.yaml")]).training.seed == 3


CLASSES = {
    "a bad date": ("classes: 2024-13-45", "lists no classes"),
    "keys of two kinds": ("1: a\nfoo: b\nclasses: []", "has an unknown key 1"),
    "aliases": (f"classes: {ALIASES}", r"class 0: \[1, 1\]; expected {name"),
    "half a character": ('classes: [{name: "\\ud800", colour: [1, 2, 3]}]', "line 1: .* holds half a character"),
    "no name": ("classes: [{name: '', colour: [1, 2, 3]}]", "class 0: .*; expected {name"),
    "a line break in a name": ('classes: [{name: "a\\nb", colour: [1, 2, 3]}]', "class 0: .*; expected {name"),
    "300 classes": (
        "classes:\n" + "".join(f"- {{name: c{index}, colour: [1, 2, 3]}}\n" for index in range(300)),
        "lists 300 classes; expected 1 to 255",
    ),
    "ignore_value of 5000 digits": ("ignore_value: 0x" + "f" * 5000 + "\nclasses: [{name: a, colour: [1, 2, 3]}]", "20000 bits"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_mistakes_in_a_description_of_classes(name, tmp_path):
    text, message = CLASSES[name]
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_classes(tmp_path / "dataset.yaml")
    assert_one_sentence(str(caught.value), tmp_path / "dataset.yaml")


PIECES = (
    *("!!int ", "!!float ", "!!timestamp ", "!!binary ", "!!set ", "!!python/name:os.system ", "&a ", "*a", "<<: ", "? ", ": "),
    *(
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "|\n",
        ">\n",
        "#",
        "\t",
        "\0",
        "\x85",
        "\ufeff",
        "\\ud800",
        "---\n",
        "%YAML 9.9\n",
        "\n",
        "  ",
    ),
    *(
        "2024-13-45",
        "1:30",
        "9" * 5000,
        "0x" + "f" * 5000,
        "[" * 5000,
        ".nan",
        "-.inf",
        "~",
        "=",
        "__BASE__: ",
        "1e999",
        "é" * 300,
    ),
)
MUTATIONS = 20_000 if FULL else 300
"""For recipes and for descriptions of classes each: about four minutes and 3 s."""
SHORT = 2000
"""Bytes. A longer description has more classes and no other keys, and takes longer to read."""


def mutated(text: str, rng: random.Random) -> bytes:
    """`text` with one to four bytes, lines or pieces of it changed."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[min(end, at + 20) :]
            case 2:
                text = text[:at] + text[at : at + 40] * rng.randint(2, 4) + text[at:]
            case 3:
                lines = text.split("\n")
                rng.shuffle(lines)
                text = "\n".join(lines)
            case _:
                text = text[:at] + chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) + text[at + 1 :]
    data = bytearray(text.encode("utf-8"))
    if data and rng.random() < 0.2:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("kind", ["recipe", "classes"])
def test_whatever_a_yaml_file_holds_is_read_or_refused_in_one_sentence(kind, tmp_path):
    """Seeded mutations of the project's own files."""
    rng = random.Random(13)
    recipes = [path for path in sorted((ROOT / "configs").glob("*.yaml")) if "__BASE__" not in path.read_text()]
    described = [path for path in sorted((ROOT / "configs/datasets").glob("*.yaml")) if path.stat().st_size < SHORT]
    seeds = recipes if kind == "recipe" else described
    path = tmp_path / "mutated.yaml"
    outcomes = {"read": 0, "refused": 0}
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(rng.choice(seeds).read_text(), rng))
        try:
            load_config(["--config_path", str(path)]) if kind == "recipe" else read_classes(path)
            outcomes["read"] += 1
        except UserError as error:
            assert_one_sentence(str(error), path)
            outcomes["refused"] += 1
    print(f"{kind}: {outcomes}")
    assert min(outcomes.values()) > MUTATIONS // 50, f"the mutations are too wild or too tame: {outcomes}"


def test_the_recipes_are_small():
    assert all(
        path.stat().st_size < LARGEST_FILE // 10 for path in find_config("configs/segformer.base.yaml").parent.rglob("*.yaml")
    )
