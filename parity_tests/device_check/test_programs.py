"""The ladder, the epoch and two cards, with stand-ins for what they start. The dry run of the command runs them in truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from segformer_core.commands.opening import connector
from segformer_core.device_check import ladder, two_cards
from segformer_core.device_check.epoch import epoch
from segformer_core.device_check.outcome import NotRun, Wrong
from segformer_core.device_check.workplace import Workplace

TESTS = """
import pytest
def test_right(): pass
def test_wrong(): assert 1 + 1 == 3, "two is\\nthree"
def test_left_out(): pytest.skip("no card")
@pytest.fixture
def broken(): raise RuntimeError("EZ9999")
def test_broken(broken): pass
"""


@pytest.fixture
def place(tmp_path) -> Workplace:
    return Workplace("mindspore", "CPU", True, tmp_path, connector, {"PATH": "/usr/bin"}, "CPU")


def test_the_ladder_counts_and_names_what_failed(place, tmp_path, monkeypatch):
    (tmp_path / "test_some.py").write_text(TESTS)
    monkeypatch.setattr(ladder, "FEW_TESTS", (str(tmp_path / "test_some.py"),))
    with pytest.raises(Wrong, match=r"^2 of 4 tests failed$") as wrong:
        ladder.ladder(place)
    figures = wrong.value.figures
    assert {name: figures[name] for name in ("tests", "passed", "failed", "skipped")} == {
        "tests": 4,
        "passed": 1,
        "failed": 2,
        "skipped": 1,
    }
    assert figures["skips"] == {"no card": 1} and figures["note"].startswith("a dry run runs ")
    assert figures["failures"].keys() == {"::test_wrong", "::test_broken"}
    assert "two is" in figures["failures"]["::test_wrong"] and "EZ9999" in figures["failures"]["::test_broken"]
    assert "1 passed" in wrong.value.output


def test_a_ladder_without_a_test_shows_nothing(place, tmp_path, monkeypatch):
    (tmp_path / "test_some.py").write_text("import pytest\ndef test_left_out(): pytest.skip('no card')\n")
    monkeypatch.setattr(ladder, "FEW_TESTS", (str(tmp_path / "test_some.py"),))
    with pytest.raises(Wrong, match="no test was run"):
        ladder.ladder(place)


def test_a_ladder_that_dies_says_how(place, tmp_path, monkeypatch):
    (tmp_path / "test_some.py").write_text("import os\nprint('here', flush=True)\ndef test_it(): os.abort()\n")
    monkeypatch.setattr(ladder, "FEW_TESTS", (str(tmp_path / "test_some.py"),))
    with pytest.raises(Wrong, match=r"^ladder ended with exit code -6") as wrong:
        ladder.ladder(place)
    assert "test_some.py" in wrong.value.output


def test_the_printed_differences_are_read():
    said = "x\nparity: weights of a step   largest 1.2e-06, allowed 1e-05\nparity: leaf            largest 0, allowed 5e-06"
    assert ladder.differences(said) == {"weights of a step": [1.2e-6, 1e-5], "leaf": [0, 5e-6]}


def test_every_rung_of_the_device_is_run(place, monkeypatch):
    seen = []
    monkeypatch.setattr(Workplace, "run", lambda self, name, words, limit, **variables: seen.append((words, variables)) or "")
    for target, backend, device in (("Ascend", "mindspore", "Ascend"), ("auto", "torch", "cuda:0")):
        with pytest.raises(Wrong, match="pytest wrote no results"):
            ladder.ladder(replace(place, backend=backend, target=target, device=device, dry_run=False))
    assert [words[-4:] for words, _ in seen] == [[ladder.ROOT / rung for rung in ladder.RUNGS]] * 2
    assert [variables["SEGFORMER_DEVICE"] for _, variables in seen] == ["Ascend", "CUDA"]


@dataclass(frozen=True)
class Pretended(Workplace):
    """Runs nothing, and writes what runs would have written: name of the run -> its losses."""

    losses: dict[str, Sequence[float]] = field(default_factory=dict)
    says: str = "4 images a step, 2 on each of 2 devices"
    entries: tuple[dict[str, float], ...] = ()
    evaluated: float = 0.5
    started: list[Sequence[object]] = field(default_factory=list)

    def run(self, name: str, words: Sequence[object], limit: float, **variables: str) -> str:
        self.started.append([*words, variables])
        folder = self.folder / name / "run"
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "result").mkdir(exist_ok=True)
        (folder.parent / "result/result.json").write_text(json.dumps({"miou": self.evaluated}))
        entries = self.entries or [{"step": 1, "loss": loss, "step_seconds": 0.5} for loss in self.losses.get(name, ())]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return self.says


def pretended(tmp_path: Path, **options) -> Pretended:
    return Pretended("mindspore", "Ascend", True, tmp_path, connector, {}, "Ascend", **options)


@pytest.fixture
def cards(tmp_path, monkeypatch):
    def install(count: int) -> None:
        for card in range(count):
            (tmp_path / f"davinci{card}").touch()
        (tmp_path / "davinci_manager").touch()
        monkeypatch.setitem(two_cards.CARDS, "Ascend", (str(tmp_path / "davinci[0-9]*"), two_cards.VISIBLE))

    return install


def test_the_losses_of_two_cards_are_those_of_one(tmp_path, cards):
    cards(2)
    place = pretended(tmp_path, losses={"two_cards": [3, 2, 1], "rank_table": [3, 2.001, 1], "alone": [3, 2, 1.001]})
    assert two_cards.two_cards(place)["largest_difference"] == pytest.approx(0.001)
    assert two_cards.rank_table(place)["largest_difference"] == pytest.approx(0.001)
    scripts = [words for words in place.started if words[0] == "bash"]
    assert [words[2:4] for words in scripts] == [[2, "-"], [2, tmp_path / "table.json"]]
    assert all(words[-1]["FOREGROUND"] == "1" and words[-1]["BACKEND"] == "backend_mindspore" for words in scripts)
    assert len([words for words in place.started if "backend_mindspore.train" in words]) == 1, "one process alone serves both"
    tables = [words for words in place.started if str(words[1]).endswith("make_rank_table.py")]
    assert [words[2:4] for words in tables] == [["--device_num", "[0,2)"]]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"losses": {"two_cards": [3, 2, 1], "alone": [3, 2, 1.1]}}, r"losses \[3, 2, 1\] on two, \[3, 2, 1.1\] on one"),
        ({"losses": {"two_cards": [3, 2], "alone": [3, 2]}}, "have 2 and 2 losses; expected 3"),
        ({"losses": {"two_cards": [3, 2, 1], "alone": [3, 2, 1]}, "says": "4 images a step"}, "did not train together"),
    ],
)
def test_two_cards_that_do_something_else_are_found(options, why, tmp_path, cards):
    cards(2)
    with pytest.raises(Wrong, match=why):
        two_cards.two_cards(pretended(tmp_path, **options))


def test_where_there_are_no_two_cards_it_is_not_run(tmp_path, cards):
    cards(1)
    for check in (two_cards.two_cards, two_cards.rank_table):
        with pytest.raises(NotRun, match=r"^1 card was found; two are needed$"):
            check(pretended(tmp_path))
    with pytest.raises(NotRun, match="1 card was found"):
        two_cards.two_cards(replace(pretended(tmp_path), variables={"ASCEND_RT_VISIBLE_DEVICES": "3"}))
    with pytest.raises(NotRun, match="ASCEND_RT_VISIBLE_DEVICES is set"):
        two_cards.rank_table(replace(pretended(tmp_path), variables={"ASCEND_RT_VISIBLE_DEVICES": "3,4"}))
    with pytest.raises(NotRun, match="a rank table is for MindSpore on an Ascend"):
        two_cards.rank_table(replace(pretended(tmp_path), device="CPU"))


def test_a_host_without_addresses_has_no_rank_table(tmp_path, cards, monkeypatch):
    cards(2)

    def run(self, name, *_, **__):
        raise Wrong(f"{name} ended with exit code 2: error: hccn_tool does not tell the address")

    monkeypatch.setattr(two_cards, "common_keys", lambda _: {})
    monkeypatch.setattr(Pretended, "run", run)
    with pytest.raises(NotRun, match="hccn_tool does not tell the address"):
        two_cards.rank_table(pretended(tmp_path))


def test_the_logs_of_the_other_processes_are_kept(tmp_path):
    (tmp_path / "msrun_log").mkdir()
    for name in ("train.log", "output.log", "msrun_log/worker_1.log", "train_rank_1.log"):
        (tmp_path / name).write_text(f"in {name}")
    assert (
        two_cards.other_logs(tmp_path) == "--- worker_1.log\nin msrun_log/worker_1.log\n--- train_rank_1.log\nin train_rank_1.log"
    )


EPOCH = (
    {"step": 2, "loss": 3.0, "step_seconds": 30.0},
    {"step": 4, "loss": 2.0, "step_seconds": 0.25},
    {"step": 6, "loss": 1.0, "step_seconds": 0.25},
    {"step": 8, "loss": 0.5, "step_seconds": 0.5},
    {"step": 8, "miou": 0.5},
)


def test_an_epoch_has_seconds_memory_and_a_score(tmp_path):
    place = pretended(tmp_path, entries=EPOCH, says="2 images a step\npeak memory: 1.25 GB\n")
    assert epoch(place) == {
        "steps": 8,
        "seconds_a_step_of_the_first_two": 30.0,
        "seconds_a_step": 0.25,
        "images_a_second": 8.0,
        "peak_memory_gb": 1.25,
        "first_and_last_loss": [3.0, 0.5],
        "miou": 0.5,
        "miou_of_evaluate": 0.5,
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"entries": EPOCH, "evaluated": 0.4}, "evaluate has mIoU 0.4000 of the weights that had 0.5000 in training"),
        ({"entries": EPOCH[:4]}, r"the run has the scores \[\]; expected one"),
        ({"entries": EPOCH[3:]}, "logged no step after the first ones"),
    ],
)
def test_an_epoch_that_does_something_else_is_found(options, why, tmp_path):
    with pytest.raises(Wrong, match=why):
        epoch(pretended(tmp_path, **options))
