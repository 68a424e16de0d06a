"""The made-up city has Cityscapes' layout and all its classes; image and labels agree, and a seed decides everything."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import name2label, trainId2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg

from parity_tests import ROOT
from segformer_core.errors import UserError
from segformer_core.sample_city.files import CITIES, Recipe, make_sample_city
from segformer_core.sample_city.scenes import scene
from segformer_core.sample_city.view import Light, Part, View, fill

COMMAND = ROOT / "tools" / "make_sample_data.py"
SMALL = Recipe(train=4, val=2, height=64, width=128, seed=5)


@pytest.fixture(scope="module")
def default_labels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """(N, 256) pixels per train id of each default scene, drawn at half size (same proportions)."""
    root = tmp_path_factory.mktemp("city")
    recipe = Recipe(height=Recipe.height // 2, width=Recipe.width // 2)
    make_sample_city(root, recipe)
    shape = (recipe.height, recipe.width)
    return {split: np.array([histogram(path, shape) for path in polygon_files(root, split)]) for split in CITIES}


def polygon_files(root: Path, split: str) -> list[Path]:
    return sorted((root / "gtFine" / split).glob("*/*_gtFine_polygons.json"))


def label_image(polygons: Path, encoding: str = "trainIds") -> np.ndarray:
    """(H, W) uint8 as Cityscapes' own tool draws it."""
    png = polygons.with_suffix(".png")
    json2labelImg(str(polygons), str(png), encoding)
    return cv2.imread(str(png), cv2.IMREAD_UNCHANGED)


def histogram(polygons: Path, shape: tuple[int, int]) -> np.ndarray:
    labels = label_image(polygons)
    assert labels.shape == shape
    return np.bincount(labels.ravel(), minlength=256)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("split", CITIES)
def test_every_class_can_be_learnt(default_labels: dict[str, np.ndarray], split: str) -> None:
    counts = default_labels[split]
    assert len(counts) == getattr(Recipe, split)
    shares = counts[:, :19].sum(axis=0) / counts[:, :19].sum()
    occurrence = (counts[:, :19] > 0).mean(axis=0)
    for train_id in range(19):
        name = trainId2label[train_id].name
        assert shares[train_id] >= 0.004, f"{name}: {shares[train_id]:.2%} of the labelled pixels"
        assert occurrence[train_id] >= 0.25, f"{name}: in {occurrence[train_id]:.0%} of the images"


@pytest.mark.parametrize("split", CITIES)
def test_only_train_ids_and_some_ignored(default_labels: dict[str, np.ndarray], split: str) -> None:
    counts = default_labels[split]
    assert not counts[:, 19:255].any()
    ignored = counts[:, 255] / counts.sum(axis=1)
    assert (ignored > 0.01).all() and (ignored < 0.2).all()


def test_layout_and_names(tmp_path: Path) -> None:
    assert make_sample_city(tmp_path, SMALL) == 6
    assert set(CITIES["train"]).isdisjoint(CITIES["val"])
    expected = {"sample_city.json"}
    sequences = {"larkenau": 1, "quellmoor": 1, "varnheim": 2, "belvinde": 1, "ostrela": 1}
    places = [(split, city, n) for split in CITIES for city in CITIES[split] for n in range(sequences[city])]
    for split, city, sequence in places:
        stem = f"{split}/{city}/{city}_{sequence:06d}_000019"
        expected |= {f"leftImg8bit/{stem}_leftImg8bit.png", f"gtFine/{stem}_gtFine_polygons.json"}
    assert set(contents(tmp_path)) == expected
    for path in polygon_files(tmp_path, "train"):
        annotation = json.loads(path.read_text())
        assert (annotation["imgHeight"], annotation["imgWidth"]) == (64, 128)
        twin = str(path).replace("gtFine_polygons.json", "leftImg8bit.png").replace("gtFine", "leftImg8bit")
        assert cv2.imread(twin).shape == (64, 128, 3)
        for item in annotation["objects"]:
            assert set(item) == {"label", "polygon"} and item["label"] in name2label
            points = np.array(item["polygon"])
            assert points.dtype.kind == "i" and points.ndim == 2 and len(points) >= 3
            assert (points >= 0).all() and (points < (128, 64)).all()


def test_colour_order_of_the_files(tmp_path: Path) -> None:
    """The PNG holds the scene's RGB; a library other than cv2 reads it back."""
    from PIL import Image

    make_sample_city(tmp_path, SMALL)
    stored = np.asarray(Image.open(tmp_path / "leftImg8bit/train/larkenau/larkenau_000000_000019_leftImg8bit.png"))
    drawn = scene(np.random.default_rng((SMALL.seed, 0, 0)), SMALL.height, SMALL.width)
    np.testing.assert_array_equal(stored, drawn.image)


def test_a_seed_is_a_city(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        make_sample_city(tmp_path / name, Recipe(2, 1, 64, 128, seed))
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys() and all(a[name] != c[name] for name in a)
    images = [data for name, data in a.items() if name.endswith(".png")]
    assert len(set(images)) == 3, "every scene has its own generator"


def test_a_scene_uses_no_other_generator() -> None:
    np.random.seed(1)
    first = scene(np.random.default_rng(7), 64, 128)
    np.random.seed(2)
    second = scene(np.random.default_rng(7), 64, 128)
    np.testing.assert_array_equal(first.image, second.image)
    assert first.objects == second.objects


def empty_view() -> View:
    """A black picture in plain white light."""
    plain = (255.0, 255.0, 255.0)
    light = Light(plain, plain, (1.0, 1.0, 1.0), (0.6, 0.7, -0.4), 0.0, False)
    return View(120, 200, 200.0, (100.0, 60.0), (0.0, 2.0), light, np.random.default_rng(0))


def drawn_labels(view: View, folder: Path) -> np.ndarray:
    path = folder / "view_gtFine_polygons.json"
    path.write_text(json.dumps({"imgHeight": view.height, "imgWidth": view.width, "objects": view.objects}))
    return label_image(path)


def test_outline_of_one_polygon(tmp_path: Path) -> None:
    """The painted area is the labelled area, except for a blurred edge of a pixel."""
    view = empty_view()
    slanted = np.array([(20.0, 30.0), (150.4, 40.2), (120.7, 100.5), (40.0, 90.0)])
    view.add("car", [fill((200, 0, 0), slanted)], 0.0)
    labelled = drawn_labels(view, tmp_path) == name2label["car"].trainId
    painted = view.photograph()[..., 0] > 90

    def agreement(mask: np.ndarray) -> float:
        return (mask & labelled).sum() / (mask | labelled).sum()

    assert agreement(painted) > 0.98
    assert agreement(np.roll(painted, 2, axis=1)) < 0.97, "the measure must see a shift of two pixels"


def test_image_and_labels_are_one_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one flat colour per class, a scene's picture is its label image, except at gaps and edges."""
    add, mark = View.add, View.mark

    def code(label: str) -> int:
        return 5 * name2label["car" if label == "license plate" else label].id

    def add_flat(view: View, label: str, parts: Sequence[Part], depth: float) -> None:
        flat = [part._replace(colour=(code(label),) * 3, texture="", glow=True) for part in parts]
        add(view, label, flat, depth)

    def mark_flat(view: View, parts: Sequence[Part], depth: float) -> None:
        if all(part.glow for part in parts):
            mark(view, parts, depth)

    monkeypatch.setattr(View, "add", add_flat)
    monkeypatch.setattr(View, "mark", mark_flat)
    monkeypatch.setattr(View, "shadow", lambda view, polygon, strength: None)
    monkeypatch.setattr(View, "photograph", lambda view: view.pixels[::2, ::2, 0].copy())
    for seed in range(3):
        drawing = scene(np.random.default_rng(seed), 256, 512)
        path = tmp_path / f"{seed}_gtFine_polygons.json"
        path.write_text(json.dumps({"imgHeight": 256, "imgWidth": 512, "objects": drawing.objects}))
        expected = 5 * label_image(path, "ids").astype(int)
        compared = ~np.isin(expected, [code("sky"), code("out of roi")])  # these are not painted by `add`
        assert compared.mean() > 0.6
        assert (drawing.image == expected)[compared].mean() > 0.95
        assert (np.roll(drawing.image, 4, axis=1) == expected)[compared].mean() < 0.92


def test_painters_order(tmp_path: Path) -> None:
    """A later object covers an earlier one, in the image and in the labels."""
    view = empty_view()
    square = np.array([(10.0, 10.0), (90.0, 10.0), (90.0, 90.0), (10.0, 90.0)])
    view.add("building", [fill((250, 0, 0), square)], 0.0)
    view.add("car", [fill((0, 250, 0), square + 40.0)], 0.0)
    labels, image = drawn_labels(view, tmp_path), view.photograph().astype(int)
    assert [item["label"] for item in view.objects] == ["building", "car"]
    for (y, x), name, channel in (((30, 30), "building", 0), ((70, 70), "car", 1)):
        assert labels[y, x] == name2label[name].trainId
        assert image[y, x].argmax() == channel and image[y, x, channel] > 200


def test_scenes_are_drawn_from_far_to_near() -> None:
    """The sky is first, the bonnet and the margin are last, so that nothing covers them, and a plate follows its car."""
    for seed in range(3):
        names = [item["label"] for item in scene(np.random.default_rng(seed), 128, 256).objects]
        assert names[0] == "sky" and names[-2:] == ["ego vehicle", "out of roi"]
        for before, name in zip(names, names[1:], strict=False):
            assert name != "license plate" or before == "car"


def test_interrupted_run_completes(tmp_path: Path) -> None:
    make_sample_city(tmp_path, SMALL)
    whole = contents(tmp_path)
    images = sorted((tmp_path / "leftImg8bit").rglob("*.png"))
    images[1].unlink()
    polygon_files(tmp_path, "val")[0].unlink()
    untouched = images[0].stat().st_mtime_ns
    assert make_sample_city(tmp_path, SMALL) == 2
    assert contents(tmp_path) == whole
    assert images[0].stat().st_mtime_ns == untouched
    assert make_sample_city(tmp_path, SMALL) == 0


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(UserError, match="No space left on device"):
            make_sample_city(tmp_path, SMALL)
    assert set(contents(tmp_path)) == {"sample_city.json"}
    assert make_sample_city(tmp_path, SMALL) == 6


def test_force_replaces_the_city_and_nothing_else(tmp_path: Path) -> None:
    make_sample_city(tmp_path, SMALL)
    derived = polygon_files(tmp_path, "train")[0].with_name("larkenau_000000_000019_gtFine_labelTrainIds.png")
    derived.write_bytes(b"of the old city")
    own = tmp_path / "gtFine" / "train" / "notes.txt"
    own.write_text("mine")
    other = Recipe(train=3, val=1, height=64, width=128, seed=6)
    with pytest.raises(UserError, match='"seed": 5.*--force'):
        make_sample_city(tmp_path, other)
    assert make_sample_city(tmp_path, other, force=True) == 4
    assert not derived.exists() and own.read_text() == "mine"
    assert len(list(tmp_path.rglob("*.json"))) == 5
    assert make_sample_city(tmp_path, other) == 0


def full_folder(tmp_path: Path) -> Path:
    (tmp_path / "thesis.tex").write_text("irreplaceable")
    return tmp_path


def below_a_file(tmp_path: Path) -> Path:
    return full_folder(tmp_path) / "thesis.tex" / "sample"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(("place", "message"), [(full_folder, "holds no sample city"), (below_a_file, "cannot write in folder")])
def test_foreign_folders_are_left_alone(tmp_path: Path, place: Callable[[Path], Path], message: str, force: bool) -> None:
    with pytest.raises(UserError, match=message):
        make_sample_city(place(tmp_path), SMALL, force)
    assert contents(tmp_path) == {"thesis.tex": b"irreplaceable"}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(train=0), "train is 0"),
        (Recipe(val=-1), "val is -1"),
        (Recipe(height=10), "height is 10; expected 64 to 4096"),
        (Recipe(width=9000), "width is 9000"),
        (Recipe(seed=-1), "seed is -1"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, recipe: Recipe, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_sample_city(tmp_path / "city", recipe)
    assert not (tmp_path / "city").exists()


def test_the_command(tmp_path: Path) -> None:
    """It runs in any folder without being installed, and prints what it did and what to do next."""
    options = ["--train", "1", "--val", "1", "--height", "64", "--width", "128"]

    def run(*extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(COMMAND), "city", *options, *extra]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    first, second, third = run(), run(), run("--seed", "9")
    assert (first.returncode, second.returncode, third.returncode) == (0, 0, 2)
    assert "wrote 2 images in city" in first.stdout and "python -m segformer_core convert_dataset city" in first.stdout
    assert "city is up to date" in second.stdout
    assert third.stdout == "" and third.stderr.startswith("error: city is a sample city made with")
    assert third.stderr.count("\n") == 1
