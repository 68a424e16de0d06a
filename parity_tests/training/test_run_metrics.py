"""The numbers of a run's log: metrics.jsonl, TensorBoard's events, and the curves."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.pictures.font_files import install, write_font
from parity_tests.training_runs import curve
from segformer_core.training.log import Log


def test_metrics_are_those_of_one_run(tmp_path):
    """A resumed run deletes what an earlier attempt wrote after its checkpoint, also a half-written line."""
    log = Log()
    log.record(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        log.metrics(step, loss=float(step) if step < 3 else float("nan"))
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    log = Log()
    assert [entry["step"] for entry in log.record(tmp_path, 2, tensorboard=False)] == [1, 2]
    log.metrics(3, loss=30.0)
    log.close()
    assert curve(tmp_path, "loss") == {1: 1.0, 2: 2.0, 3: 30.0}


def test_tensorboard_reads_what_is_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log()
    log.record(tmp_path, 0, tensorboard=True)
    for step in (10, 20):
        log.metrics(step, loss=1 / step, learning_rate=0.5)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (10, pytest.approx(0.1)),
        (20, pytest.approx(0.05)),
    ]


def test_tensorboard_is_an_extra(tmp_path):
    program = (
        "import sys; sys.modules['tensorboard'] = None; from pathlib import Path; from segformer_core.training.log import Log\n"
        "try: Log().record(Path(sys.argv[1]), 0, tensorboard=True)\n"
        "except Exception as error: print(error)"
    )
    process = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "TensorBoard is not installed: run pip install -c constraints.txt '.[tensorboard]'" in process.stdout


def test_curves_are_drawn(tmp_path, monkeypatch):
    """All figures, with names that Matplotlib would take for a formula, leave out, or have no letters for.

    A letter comes from an installed font; where none has it, the class's number stands for the name.
    """
    import cv2

    from segformer_core.training.curves import _picture, draw_curves

    entries = [{"step": step, "loss": 1 / step, "learning_rate": 0.1} for step in range(1, 20)]
    names = ["$a_", "_background_", "人", "x" * 100]
    figures = {"miou": 0.5, "val_loss": 0.3, **{f"iou/{name}": 0.1 * index for index, name in enumerate(names)}}
    evaluated = [{"step": 10, **figures, "miou": 0.75}, {"step": 19, **figures, "iou/人": None}]
    lines = [json.dumps(entry) for entry in [*entries, *evaluated, {"step": 20, "loss": None, "learning_rate": 0.1}]]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    bars = write_font(tmp_path / "bars.ttf", "人")
    install(monkeypatch, bars)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_curves(tmp_path) == ""
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[0] > 500 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    losses, _, miou, ious = _picture()[1]
    assert losses.get_title() == f"{tmp_path.name}: best mIoU 0.7500 at step 10"
    assert [text.get_text() for text in losses.get_legend().get_texts()] == [" training", " validation"]
    assert [text.get_text() for text in ious.get_legend().get_texts()] == [f" {'x' * 23}…", " 人", " _background_", r" \$a_"]
    assert [list(line.get_xdata()) for line in miou.get_lines()] == [[10, 19]]
    with_letters = (tmp_path / "curves.png").read_bytes()
    assert ious.get_legend().get_texts()[1].get_fontfamily()[1:] == [str(bars)]
    install(monkeypatch)
    sentence = "curves.png shows classes by their numbers: no installed font has 人: install Noto Sans CJK"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_curves(tmp_path).startswith(sentence)
    assert [text.get_text() for text in ious.get_legend().get_texts()][1] == " class 2"
    assert (tmp_path / "curves.png").read_bytes() != with_letters
    assert len(losses.get_lines()) == 2, "a second drawing replaces the first"


def test_a_folder_of_any_name_is_the_title_of_its_curves(tmp_path, monkeypatch):
    from segformer_core.training.curves import _picture, draw_curves

    install(monkeypatch)
    folder = tmp_path / "run $1$ 人\n"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "miou": 0.5}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_curves(folder)
    assert _picture()[1][0].get_title() == r"run $1$ \u4eba\n: best mIoU 0.5000 at step 1"
