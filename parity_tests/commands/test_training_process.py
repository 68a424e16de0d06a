"""A contestant's Python is asked what it lacks before anything trains; its process is waited for, stopped and judged."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity_tests import ROOT
from segformer_core.commands.training_process import TRANSFORMERS, probed, train
from segformer_core.errors import UserError

IMPORTED_AS = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "ml-dtypes": "ml_dtypes"}
NOT_IN_TRAINING = {"pillow"}
"""make_dataset alone draws with it."""
WITHOUT = """
import sys


class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] == "{module}" else self.finder.find_spec(name, path, target)


sys.meta_path = [Without(finder) for finder in sys.meta_path]
program, sys.argv = sys.argv[2], sys.argv[2:]
exec(program)
"""
"""A Python that knows only `-c PROGRAM …`, and in which one module is not installed."""


def program(path: Path, text: str, interpreter: object = "/bin/sh") -> str:
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def dependencies() -> list[str]:
    """The modules of what training depends on."""
    section = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\ndependencies = [\n")[2].partition("\n]\n")[0]
    names = re.findall(r'^ *"([\w-]+)', section, re.MULTILINE)
    assert len(names) > 5
    return [IMPORTED_AS.get(name, name) for name in names if name not in NOT_IN_TRAINING]


@pytest.mark.parametrize("module", [*dependencies(), "torch"])
def test_whatever_this_project_depends_on_is_missed(module, tmp_path, need_torch):
    python = program(tmp_path / "python", WITHOUT.format(module=module), sys.executable)
    with pytest.raises(UserError) as caught:
        probed("torch", python)
    assert str(caught.value) == (
        f"the contestant torch cannot train: {python} has no {module}; install there what this project depends on, or leave the "
        "contestant out with --contestants"
    )


def test_versions_are_those_of_the_other_python(tmp_path, need_torch):
    found = probed("torch", program(tmp_path / "python", f'exec {sys.executable} "$@"'))
    assert list(found) == ["python", "torch", "numpy"] and found["python"] == sys.version.split()[0]


NO_PYTHON = {
    "not there": (None, "'No such file or directory'"),
    "says nothing": ("exit 3", "ended with exit code 3"),
    "another program": ("exec /bin/echo", "it does not answer as Python does"),
    "the program in its message": (r'printf "no option $2\nno file a\n" >&2; exit 2', "'no file a'"),
    "a traceback": (r'printf "Traceback:\n  line\nImportError: libGL.so.1\n" >&2; exit 1', "'ImportError: libGL.so.1'"),
    "a long line": ("head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1", "'" + 118 * "x" + "…"),
}


@pytest.mark.parametrize("case", NO_PYTHON)
def test_what_does_not_run_as_python_is_told_in_few_words(case, tmp_path):
    text, why = NO_PYTHON[case]
    python = program(tmp_path / "python", text) if text else str(tmp_path / "python")
    with pytest.raises(UserError) as caught:
        probed(TRANSFORMERS, python)
    assert str(caught.value) == (
        f"{python} is no Python in which transformers can train ({why}); mend it, name another Python, as --transformers_python "
        "FILE, or leave the contestant out with --contestants"
    )


GOES_ON = "the same command goes on from its last checkpoint, if it has saved one"
ENDINGS = {
    "a mistake of the user's": (
        "exit 2",
        "torch ended with exit code 2, and its own message says why; mend that, or give another --output",
    ),
    "an error": ("exit 1", f"torch ended with exit code 1; {GOES_ON}"),
    "killed": ("kill -9 $$", f"torch was ended by signal 9 (SIGKILL); {GOES_ON}"),
    "stopped and saved": ("exit 143", f"torch was ended by signal 15 (SIGTERM); {GOES_ON}"),
    "a high code that is no signal": ("exit 255", f"torch ended with exit code 255; {GOES_ON}"),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_how_a_contestant_ends_and_what_to_do(case, tmp_path):
    text, sentence = ENDINGS[case]
    with pytest.raises(UserError) as caught:
        train("torch", program(tmp_path / "python", text), {})
    assert str(caught.value) == sentence


def test_a_contestant_gets_its_module_and_keys(tmp_path):
    train("torch", program(tmp_path / "python", f'printf "%s\\n" "$@" > {tmp_path}/words'), {"lr": "1e-3", "data_path": "a b"})
    assert (tmp_path / "words").read_text().splitlines() == ["-m", "backend_torch.train", "--lr=1e-3", "--data_path=a b"]


def test_a_signal_to_the_command_reaches_the_contestant_and_is_waited_for(tmp_path, need_torch):
    """A stand-in that never trains; with SEGFORMER_TESTS=full test_compare_training.py stops a real one."""
    pytest.importorskip("transformers")
    python = program(
        tmp_path / "python",
        f"""[ "$1" = -c ] && exec {sys.executable} "$@"
trap 'sleep 0.5; touch {tmp_path}/saved; exit 143' TERM
touch {tmp_path}/started
while :; do sleep 0.1; done""",
    )
    words = ["--contestants", "transformers,torch", "--output", str(tmp_path / "out"), "--transformers_python", python]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools/compare_training.py"), *words],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        start_new_session=True,
    )
    while process.poll() is None and not (tmp_path / "started").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert (tmp_path / "saved").exists() and not (tmp_path / "out").exists()
    assert process.communicate()[1] == "stopped by SIGTERM\n"
