"""Length and intervals of a run in epochs or in steps: the key that was given last holds, and none is ignored in silence."""

import pytest

from parity_tests.config.test_config import write  # noqa: F401
from segformer_core.config.epochs_or_steps import IN_STEPS
from segformer_core.config.keys import KEYS, flat
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError

PAIRS = list(IN_STEPS.items())


def values(arguments: list[str], pair: tuple[str, str]) -> tuple[int, int]:
    config = flat(load_config(arguments))
    return config[pair[0]], config[pair[1]]


@pytest.mark.parametrize("pair", PAIRS)
def test_epochs_are_counted_unless_steps_are_asked_for(pair):
    assert KEYS[pair[1]].default == 0
    assert values([f"--{pair[1]}", "300"], pair) == (KEYS[pair[0]].default, 300)
    assert values([f"--{pair[0]}", "5", f"--{pair[1]}", "0"], pair) == (5, 0)


PLACES = {
    "the command line's epochs over a file's steps": ("", "{steps}: 300", ["--{epochs}", "5"], (5, 0)),
    "the command line's steps over a file's epochs": ("", "{epochs}: 5", ["--{steps}=300"], (5, 300)),
    "a file's epochs over its base's steps": ("{steps}: 300", "{epochs}: 5", [], (5, 0)),
    "a file's steps over its base's epochs": ("{epochs}: 5", "{steps}: 300", [], (5, 300)),
    "one file's epochs and steps 0": ("", "{epochs}: 5\n{steps}: 0", [], (5, 0)),
    "a file's epochs and steps 0 over its base's steps": ("{steps}: 300", "{steps}: 0\n{epochs}: 5", [], (5, 0)),
    "steps 0 on the command line over a file's steps": ("{epochs}: 5", "{steps}: 300", ["--{steps}=0"], (5, 0)),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("case", PLACES)
def test_the_last_place_that_says_one_holds(case, pair, write):  # noqa: F811
    base, file, flags, wanted = PLACES[case]
    named = dict(zip(("epochs", "steps"), pair, strict=True))
    write(base.format(**named) + "\nseed: 7\n", "base.yaml")
    path = write("__BASE__: base.yaml\n" + file.format(**named))
    assert values(["--config_path", path, *(flag.format(**named) for flag in flags)], pair) == wanted
    assert load_config(["--config_path", path]).training.seed == 7, "the rest of the base stays"


def test_the_last_of_several_bases_holds(write):  # noqa: F811
    write("max_steps: 300", "steps.yaml")
    write("epoch_size: 5", "epochs.yaml")
    for bases, wanted in (("[steps.yaml, epochs.yaml]", (5, 0)), ("[epochs.yaml, steps.yaml]", (5, 300))):
        assert values(["--config_path", write(f"__BASE__: {bases}")], ("epoch_size", "max_steps")) == wanted


@pytest.mark.parametrize("pair", PAIRS)
def test_both_on_the_command_line_are_refused(pair, write):  # noqa: F811
    sentence = f"^--{pair[0]} 5 and --{pair[1]} 300 say the same thing in epochs and in steps; leave one of them out$"
    for file in ([], ["--config_path", write(f"{pair[1]}: 400")]):
        with pytest.raises(ConfigError, match=sentence):
            load_config([*file, f"--{pair[0]}", "5", f"--{pair[1]}", "300"])


@pytest.mark.parametrize("flags", ["--seed=1", "--{epochs}=6"])
@pytest.mark.parametrize("pair", PAIRS)
def test_both_in_one_file_are_refused(pair, flags, write):  # noqa: F811
    """Also in a base, and whatever the command line says of them."""
    path = write(f"{pair[1]}: 300\nseed: 7\n{pair[0]}: 5")
    above = write(f"__BASE__: {path}\n{pair[0]}: 8", "above.yaml")
    sentence = f"^{path}: {pair[0]} 5 and {pair[1]} 300 say the same thing in epochs and in steps; leave one of them out$"
    for file in (path, above):
        with pytest.raises(ConfigError, match=sentence):
            load_config(["--config_path", file, flags.format(epochs=pair[0])])


@pytest.mark.parametrize("name", IN_STEPS.values())
@pytest.mark.parametrize(
    ("text", "fault"), [("-1", "expected at least 0"), ("2.5", "expected a whole number"), ("2000000000", "expected at most")]
)
def test_no_number_of_steps(name, text, fault):
    with pytest.raises(ConfigError, match=f"^{name} in the command line is .*; {fault}"):
        load_config([f"--{name}={text}"])
