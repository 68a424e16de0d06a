"""The check of all images and labels before a run's first step."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.commands.evaluate import evaluate_command
from segformer_core.commands.train import train_command
from segformer_core.config.load import load_config
from segformer_core.data.image_bytes import sound_png_size
from segformer_core.data.layout import open_dataset
from segformer_core.errors import DataError
from segformer_core.protocol.learner import ALONE, Processes
from segformer_core.survey.data_check import check_data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder_dataset(tmp_path / "set", images=6, validation=3)


def check(root: Path, processes: Processes = ALONE, lines: list[str] | None = None, workers: int = 2) -> None:
    datasets = [open_dataset(str(root), split) for split in ("train", "val")]
    check_data(datasets, workers, processes, (lines if lines is not None else []).append)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def repaint(path: Path, value: int) -> None:
    cv2.imwrite(str(path), np.full((64, 96), value, np.uint8))


FAULTS = {
    "label of val": (lambda root: repaint(root / "labels/val/val2.png", 7), r"labels/val/val2\.png has label 7 at row 0"),
    "label of train": (lambda root: spoil(root / "labels/train/train3.png"), r"labels/train/train3\.png is damaged"),
    "image": (lambda root: spoil(root / "images/val/val0.png"), r"images/val/val0\.png is damaged"),
    "size": (lambda root: cv2.imwrite(str(root / "images/train/train0.png"), np.zeros((8, 9, 3))), "expected the same size"),
    "truncated": (
        lambda root: (root / "images/train/train5.png").write_bytes((root / "images/train/train5.png").read_bytes()[:-9]),
        r"images/train/train5\.png is empty or truncated",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_in_either_split_is_named(root: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(root)
    with pytest.raises(DataError, match=rf"^1 of 9 images or labels cannot be used: .*{message}"):
        check(root)


def test_of_many_faults_three_are_named_and_all_are_counted(root: Path) -> None:
    for index in (0, 2, 3, 5):
        repaint(root / f"labels/train/train{index}.png", 9)
    repaint(root / "labels/val/val1.png", 9)
    with pytest.raises(
        DataError, match=r"^5 of 9 .*train0\.png has .*train2\.png has .*train3\.png has .*; and 2 more$"
    ) as raised:
        check(root)
    assert "train5" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_sound_dataset_passes_in_one_line(root: Path) -> None:
    for workers in (0, 3):
        lines: list[str] = []
        check(root, lines=lines, workers=workers)
        assert lines == ["reading 9 images and their labels once before the first step; --check_data False leaves it out"]


def masks_of_0_and_255(root: Path) -> None:
    for path in root.glob("labels/*/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(label == 1, 255, 0).astype(np.uint8))


NOTHING_TO_LEARN = "so there is nothing to learn: write in {source} what the values mean, label_map: {{{map}}}, "
REST = "and in ignore only what does not count; --check_data False leaves this check out"


@pytest.mark.parametrize(
    ("says", "mapped"),
    [
        ("classes: [ground, disc]\nignore_value: 255", "0: ground, 255: disc"),
        ("classes: [ground, disc, bar]\nignore: [255]", "0: ground, 255: disc"),
        ("classes: ['a: b', 'no']\nignore: [7, 255]", "0: 'a: b', 7: 'no'"),
    ],
)
def test_one_class_alone_is_refused(root: Path, says: str, mapped: str) -> None:
    """As our camvid.yaml is copied, over masks of 0 and 255: it trained to the end, with an IoU of 0 for the object."""
    masks_of_0_and_255(root)
    (root / "dataset.yaml").write_text(says)
    name = mapped.removeprefix("0: ").partition(", ")[0].strip("'")
    sentence = NOTHING_TO_LEARN.format(source=root / "dataset.yaml", map=mapped)
    with pytest.raises(DataError) as raised:
        check(root)
    assert str(raised.value) == (
        f"the 6 labels of train hold class '{name}' (0) alone, and 6 of them have ignored pixels, {sentence}{REST}"
    )


def test_one_class_of_colours_is_refused(root: Path) -> None:
    says = "classes: [{name: ground, colour: [9, 9, 9]}, {name: disc, colour: [200, 40, 40]}]\nlabel_form: colours"
    (root / "dataset.yaml").write_text(says)
    for path in root.glob("labels/*/*.png"):
        cv2.imwrite(str(path), np.full((64, 96, 3), 9, np.uint8))
    with pytest.raises(DataError, match=r"'ground' \(0\) alone, so .* each class with the colour that it has in the labels, and"):
        check(root)


def test_no_class_at_all_is_refused(root: Path) -> None:
    for path in root.glob("labels/train/*.png"):
        repaint(path, 255)
    with pytest.raises(DataError, match=r"^the 6 labels of train hold no class at all, and 6 of them .* \{255: ground\}, and in"):
        check(root)


def test_a_class_that_no_label_has_is_named(root: Path) -> None:
    for path in root.glob("labels/train/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(label == 2, 255, label))
    lines: list[str] = []
    check(root, lines=lines)
    (warning,) = lines[1:]
    assert warning == (
        "WARNING: 1 of 3 classes are in none of the 6 labels of train and cannot be learnt: bar (2); 6 labels have "
        f"ignored pixels: if they mean a class, name their value in label_map of {root / 'dataset.yaml'}"
    )


def test_an_absent_class_where_nothing_is_ignored(root: Path) -> None:
    for index in range(6):
        repaint(root / f"labels/train/train{index}.png", index % 2)
    lines: list[str] = []
    check(root, lines=lines)
    assert lines[1:] == ["WARNING: 1 of 3 classes are in none of the 6 labels of train and cannot be learnt: bar (2)"]


def test_processes_add_up_what_their_labels_have(root: Path) -> None:
    """No process alone sees every class; the labels of val count for nothing."""
    for index in range(6):
        repaint(root / f"labels/train/train{index}.png", index % 2)
    said: dict[int, list[str]] = {rank: [] for rank in range(2)}
    threads = [threading.Thread(target=check, args=(root, processes, said[processes.rank])) for processes in together(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said[0] == said[1] and said[0][1].endswith("cannot be learnt: bar (2)")


def together(count: int) -> list[Processes]:
    """Processes that are threads."""
    arrays: dict[int, np.ndarray] = {}
    barrier = threading.Barrier(count, timeout=20)

    def reducer(rank: int):
        def all_reduce(array: np.ndarray) -> np.ndarray:
            arrays[rank] = array
            barrier.wait()
            total = np.sum(list(arrays.values()), axis=0)
            barrier.wait()  # else a quick one's next array would come into this sum
            return total

        return all_reduce

    return [Processes(rank, count, reducer(rank)) for rank in range(count)]


def test_processes_share_the_work_and_agree(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repaint(root / "labels/train/train4.png", 9)
    said: dict[int, str] = {}

    def run(processes: Processes) -> None:
        with pytest.raises(DataError) as raised:
            check(root, processes)
        said[processes.rank] = str(raised.value)

    threads = [threading.Thread(target=run, args=(processes,)) for processes in together(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4 and len(set(said.values())) == 1 and "train4.png has label 9" in said[0]


def test_a_fault_that_only_one_process_sees_stops_all(root: Path) -> None:
    """On another host the file may be sound."""
    faults = np.zeros(9, np.int64)
    faults[3] = 1
    with pytest.raises(DataError, match=r"images/train/train3\.png was unusable to another process"):
        check(root, Processes(1, 2, lambda array: array + faults))


@pytest.mark.parametrize("pixels", [np.zeros((5, 9), np.uint8), np.zeros((5, 9, 3), np.uint16), np.zeros((5, 9, 4), np.uint8)])
def test_a_sound_png_is_told_by_its_check_sums(pixels: np.ndarray) -> None:
    data = cv2.imencode(".png", pixels)[1].tobytes()
    assert sound_png_size(data) == (5, 9) and sound_png_size(data + b"more") == (5, 9)
    for at in range(8, len(data)):
        assert sound_png_size(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None, at
        assert sound_png_size(data[:at]) is None


class Reached(Exception):
    """The command has come as far as its metrics."""


class NoNetwork:
    """A backend that has one process and no network."""

    processes = ALONE

    def __init__(self, _: object):
        pass

    def learner(self, *_: object) -> None:
        return None


def train(root: Path, *words: str) -> None:
    """The command, with a backend that has no network."""
    keys = ("--warmup_steps=0.1", "--batch_size=2", "--load_ckpt=False", "--base_size=[64,96]", "--crop_size=[64,96]")
    config = load_config([f"--data_path={root}", f"--checkpoint_path={root / 'run'}", *keys, *words])
    train_command(config, NoNetwork)


def two_classes(root: Path) -> None:
    masks_of_0_and_255(root)
    (root / "dataset.yaml").write_text("classes: [ground, disc]")


@pytest.mark.parametrize("words", [[], ["--check_data=False"], ["--class_weights=auto"], ["--run_eval=False"]])
def test_masks_of_0_and_255_are_asked_about_before_training(root: Path, words: list[str]) -> None:
    """They would train on one class, and end with an mIoU of 1.0."""
    two_classes(root)
    with pytest.raises(DataError, match=r"train0\.png, hold 0 and 255 alone, and .* label_map: \{0: ground, 255: disc\} if"):
        train(root, "--class_num=2", *words)


def test_masks_of_0_and_255_are_asked_about_before_evaluating(root: Path) -> None:
    two_classes(root)
    config = load_config([f"--data_path={root}", "--class_num=2", "--eval_ckpt_path=none.safetensors"])
    with pytest.raises(DataError, match=r"hold 0 and 255 alone, and .* or ignore: \[255\] if those pixels do not count"):
        evaluate_command(config, NoNetwork)


def test_the_command_checks_unless_it_is_told_not_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise Reached

    monkeypatch.setattr("segformer_core.commands.train.Start.load", lambda *_: None)
    monkeypatch.setattr("segformer_core.commands.train.Log.record", stop)
    repaint(root / "labels/val/val1.png", 9)
    with pytest.raises(DataError, match=r"1 of 9 .*val1\.png has label 9"):
        train(root)
    for words in (["--check_data=False"], ["--run_eval=False"]):
        with pytest.raises(Reached):
            train(root, *words)
