"""What infer's data_path names: the files, the names of their results and the classes."""

from pathlib import Path

import pytest

from parity_tests.folder_dataset import CLASSES as NAMES
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.errors import DataError
from segformer_core.inference.sources import find_sources


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of all kinds in `shots`; the search does not read them."""
    monkeypatch.chdir(tmp_path)
    files = ("x.png", "y.JPG", "clip.mov", "notes.txt", "a/x.png", "a/b/x.webp", "a/[1].png", ".hidden.png", ".git/x.png")
    for file in (*files, "out/x_gray.png", "out/a/x_color.png"):
        path = tmp_path / "shots" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "shots"


def paths_and_names(data_path: str, output: str = "infer_result") -> list[tuple[str, str]]:
    """Path and name of each source."""
    return [(str(source.path), source.name) for source in find_sources(data_path, "", Path(output))[0]]


IN_SHOTS = ["a/[1]", "a/b/x", "a/x", "clip", "x", "y"]


@pytest.mark.parametrize(
    ("data_path", "output", "names"),
    [
        ("shots", "shots/out", IN_SHOTS),
        ("shots/", "shots/../shots/out", IN_SHOTS),
        (".", "shots/out", [f"shots/{name}" for name in IN_SHOTS]),
        ("shots", "infer_result", [*IN_SHOTS[:4], "out/a/x_color", "out/x_gray", *IN_SHOTS[4:]]),
        ("shots/x.png", "infer_result", ["x"]),
        ("shots/notes.txt", "infer_result", ["notes"]),
        ("shots/*.png", "infer_result", ["x"]),
        ("shots/**/x.*", "shots/out", ["a/b/x", "a/x", "x"]),
        ("shots/**", "shots/out", IN_SHOTS),
        ("shots/a/*/x.webp", "infer_result", ["b/x"]),
        ("shots/a/[1].png", "infer_result", ["[1]"]),
        ("shots/a", "shots", ["[1]", "b/x", "x"]),
        ("shots/out/*.png", "shots/out", ["x_gray"]),
        ("shots/out", "shots/out", ["a/x_color", "x_gray"]),
    ],
)
def test_what_is_found_and_how_its_results_are_called(shots: Path, data_path: str, output: str, names: list[str]) -> None:
    assert [name for _, name in paths_and_names(data_path, output)] == names


def test_an_absolute_folder_is_searched_like_a_relative_one(shots: Path) -> None:
    assert [name for _, name in paths_and_names(str(shots), "shots/out")] == IN_SHOTS


def test_files_that_differ_in_their_ending_alone_keep_it(shots: Path) -> None:
    for file in ("x.jpg", "x.mp4", "clip.mkv", "a/b/x.txt"):
        (shots / file).touch()
    names = dict(paths_and_names("shots", "shots/out"))
    assert names["shots/x.png"] == "x.png" and names["shots/x.jpg"] == "x.jpg"
    assert names["shots/clip.mov"] == "clip.mov" and names["shots/clip.mkv"] == "clip.mkv"
    assert names["shots/x.mp4"] == "x", "a video's results have endings of their own"
    assert names["shots/a/x.png"] == "a/x" and names["shots/a/b/x.webp"] == "a/b/x"


def test_copies_keep_their_names_and_videos_are_known(shots: Path) -> None:
    sources, _, _ = find_sources("shots/*", "", Path("out"))
    assert [(str(source.place), source.is_video) for source in sources] == [
        ("clip.mov", True),
        ("x.png", False),
        ("y.JPG", False),
    ]


def test_links_to_folders_are_not_followed(shots: Path) -> None:
    (shots / "again").symlink_to(shots)
    assert [name for _, name in paths_and_names("shots", "shots/out")] == IN_SHOTS


def test_a_datasets_results_lie_flat(tmp_path: Path) -> None:
    root = write_folder_dataset(tmp_path / "shapes")
    sources, classes, _ = find_sources(str(root), "", tmp_path / "out")
    assert [source.name for source in sources] == ["val0", "val1"] and classes.names == NAMES

    for city in ("ulm", "bonn"):
        folder = tmp_path / "city" / "leftImg8bit" / "val" / city
        folder.mkdir(parents=True)
        (folder / f"{city}_000000_000019_leftImg8bit.png").touch()
    sources, classes, _ = find_sources(str(tmp_path / "city"), "", tmp_path / "out")
    assert [source.name for source in sources] == [f"{city}_000000_000019_leftImg8bit" for city in ("bonn", "ulm")]
    assert classes is CITYSCAPES


def test_classes_are_those_described_else_unknown(shots: Path, tmp_path: Path) -> None:
    description = write_folder_dataset(tmp_path / "shapes") / "dataset.yaml"
    assert find_sources("shots", "", Path("out"))[1] is None
    assert find_sources("shots/x.png", str(description), Path("out"))[1].names == NAMES
    (shots / "dataset.yaml").write_bytes(description.read_bytes())
    for data_path in ("shots", "shots/x.png", "shots/*.png"):
        assert find_sources(data_path, "", Path("out"))[1].names == NAMES


@pytest.mark.parametrize("data_path", ["nowhere", "empty", "shots/*.tif", "shots/a/*.txt", "shots/[!x]", "shots/.git/*/x.png"])
def test_nothing_found_is_said_in_a_sentence(shots: Path, data_path: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(DataError) as raised:
        find_sources(data_path, "", Path("out"))
    assert str(raised.value).startswith(
        f"no images or videos at {data_path}; expected a dataset, a file, a folder or a quoted pattern"
    )
    assert ".webp, .npy, .mp4" in str(raised.value) and " outside out" in str(raised.value)


def test_what_is_no_pattern_is_said_in_a_sentence(shots: Path) -> None:
    with pytest.raises(DataError, match=r"shots/x\*\*y is no pattern: .*; quote one such as 'shots/\*\*/\*\.jpg'"):
        paths_and_names("shots/x**y")
