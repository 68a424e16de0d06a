"""The clients of `examples` in C++ are compiled, and give the labels of `infer` on photos of odd sizes.

ONNX Runtime's Python package has the library but not its headers: where ONNXRUNTIME_INCLUDE does not name them, a header of ours
stands in for them, over the same library.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.export.client_photos import EXAMPLES, FILES, check, succeeded
from parity_tests.training_runs import FULL
from segformer_core.data.image_file import read_image

COMPILER = shutil.which("g++") or shutil.which("c++")
STAND_IN = Path(__file__).parent / "onnxruntime_headers"


def folder_of(package: str) -> Path:
    need(package)
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


def onnxruntime() -> tuple[Path, Path]:
    """Headers and library."""
    library = next(folder_of("onnxruntime").glob("capi/libonnxruntime.so*"))
    return Path(os.environ.get("ONNXRUNTIME_INCLUDE", STAND_IN)), library


def openvino() -> tuple[Path, Path]:
    folder = folder_of("openvino")
    return folder / "include", next(folder.glob("libs/libopenvino.so*"))


RUNTIMES = {"onnxruntime": onnxruntime, "openvino": openvino}


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Callable[[str], Path]:
    """Name of a runtime -> the compiled client."""
    made: dict[str, Path] = {}

    def compiled(runtime: str) -> Path:
        if COMPILER is None:
            pytest.skip("no C++ compiler (g++ or c++) is on the PATH")
        headers, library = RUNTIMES[runtime]()
        if runtime not in made:
            program = tmp_path_factory.mktemp("client") / "client"
            (program.parent / f"{library.name.partition('.so')[0]}.so.1").symlink_to(library)  # ONNX Runtime's name for itself
            flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-isystem", headers]
            paths = [f"-Wl,-rpath,{folder}" for folder in (library.parent, program.parent)]
            succeeded([COMPILER, *flags, EXAMPLES / f"{runtime}_client.cpp", library, *paths, "-o", program])
            made[runtime] = program
        return made[runtime]

    return compiled


@pytest.fixture(scope="module")
def bitmaps(city_photos, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bitmaps")
    for photo in city_photos:
        assert cv2.imwrite(str(folder / f"{photo.stem}.ppm"), read_image(photo)[..., ::-1])
    return sorted(folder.iterdir())


@pytest.mark.parametrize("name", [name for name in FILES if FULL or "another size" not in name])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_client_in_cpp_gives_the_labels_of_infer(runtime, name, client, of_infer, city_photos, bitmaps, tmp_path):
    program = client(runtime)
    path, labels, ties = of_infer(name)
    succeeded([program, path, tmp_path, *bitmaps])
    for place in tmp_path.glob("*.pgm"):
        cv2.imwrite(str(place.with_suffix(".png")), cv2.imread(str(place), cv2.IMREAD_UNCHANGED))
    assert check(tmp_path, labels, city_photos, ties) > 100_000


RESIZE = r"""
#include <iostream>
#include "fitting.hpp"

int main(int, char **words) {
    Image<uint8_t> small = resized(read_ppm(words[1]), {std::stoi(words[2]), std::stoi(words[3])});
    std::cout.write(reinterpret_cast<const char *>(small.values.data()), small.values.size());
}
"""


SIZES = [((61, 83), (64, 96)), ((301, 201), (64, 43)), ((90, 120), (30, 40)), ((80, 60), (40, 30)), ((1, 7), (9, 4))]


def test_images_are_resized_in_cpp_as_opencv_does(tmp_path):
    """To the bit: a difference of 1 in a pixel moves logits by more than rounding does."""
    if COMPILER is None:
        pytest.skip("no C++ compiler (g++ or c++) is on the PATH")
    (tmp_path / "resize.cpp").write_text(RESIZE)
    succeeded([COMPILER, "-std=c++17", "-O2", f"-I{EXAMPLES}", tmp_path / "resize.cpp", "-o", tmp_path / "resize"])
    rng = np.random.default_rng(3)
    for from_size, to_size in SIZES:
        image = rng.integers(0, 256, (*from_size, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "image.ppm"), image[..., ::-1])
        command = [tmp_path / "resize", tmp_path / "image.ppm", *map(str, to_size)]
        got = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8).reshape(*to_size, 3)
        assert (got == cv2.resize(image, to_size[::-1])).all(), (from_size, to_size)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "this client knows format 1"),
        ({"fit": {}}, "the sidecar has no base_size: export the file again"),
    ],
)
def test_a_client_in_cpp_says_what_is_wrong_with_a_sidecar(changes, sentence, client, of_infer, bitmaps, tmp_path):
    path, _, _ = of_infer("one size")
    shutil.copy(path, tmp_path / "net.onnx")
    content = json.loads(path.with_name("net.onnx.json").read_text()) | changes
    (tmp_path / "net.onnx.json").write_text(json.dumps(content))
    done = subprocess.run([client("onnxruntime"), tmp_path / "net.onnx", tmp_path, bitmaps[0]], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith(f"{sentence}\n")
