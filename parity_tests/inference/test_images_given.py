"""What a program may give as an image, and what it is told otherwise."""

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests.conftest import need
from segformer_core.data.image_form import ImageForm
from segformer_core.errors import DataError
from segformer_core.inference.images import is_one, read

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
GRAY = PIXELS[..., 0]


def torch_tensor(values: np.ndarray, kind: str = ""):
    need("torch")
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(getattr(torch, kind)) if kind else tensor


def mindspore_tensor(values: np.ndarray, kind: str = ""):
    need("mindspore")
    import mindspore

    tensor = mindspore.Tensor(np.ascontiguousarray(values))
    return tensor.astype(getattr(mindspore, kind)) if kind else tensor


TENSORS = {"torch": torch_tensor, "mindspore": mindspore_tensor}


def test_arrays_of_bytes_and_of_floats_are_the_same_image():
    assert read(PIXELS).pixels is PIXELS
    for kind in (np.float32, np.float64):
        assert np.array_equal(read(PIXELS.astype(kind) / 255).pixels, PIXELS)
    for gray in (GRAY, GRAY[..., None], GRAY / 255):
        assert np.array_equal(read(gray).pixels, np.repeat(GRAY[..., None], 3, 2))


@pytest.mark.parametrize("framework", TENSORS)
def test_tensors_have_their_channels_first(framework):
    make, first = TENSORS[framework], PIXELS.transpose(2, 0, 1)
    assert np.array_equal(read(make(first)).pixels, PIXELS)
    assert np.array_equal(read(make((first / 255).astype(np.float32))).pixels, PIXELS)
    assert np.array_equal(read(make(GRAY[None])).pixels, read(GRAY).pixels)
    coarse = read(make((first / 255).astype(np.float32), "bfloat16")).pixels
    assert np.abs(coarse.astype(int) - PIXELS).max() <= 1, "bfloat16 keeps eight bits"
    with pytest.raises(DataError, match=r"^the image is a tensor of 6×9×3; expected 3 × height × width: image.permute"):
        read(make(PIXELS))
    with pytest.raises(DataError, match=r"tensor of 1×3×6×9; .*one by one, as network\(list\(images\)\)"):
        read(make(first[None]))


def test_a_tensor_with_a_gradient_is_an_image():
    tensor = torch_tensor((PIXELS / 255).astype(np.float32).transpose(2, 0, 1)).requires_grad_()
    assert np.array_equal(read(tensor).pixels, PIXELS)


def test_pillow_images_are_as_a_viewer_shows_them():
    picture = Image.fromarray(PIXELS)
    assert np.array_equal(read(picture).pixels, PIXELS)
    rgba = Image.fromarray(np.dstack([PIXELS, np.full(GRAY.shape, 7, np.uint8)]))
    assert np.array_equal(read(rgba).pixels, PIXELS), "alpha is dropped"
    indexed = picture.quantize(16)
    assert np.array_equal(read(indexed).pixels, np.asarray(indexed.convert("RGB")))
    deep = Image.fromarray((GRAY.astype(np.uint16) << 8) + 77)
    assert deep.mode.startswith("I;16") and np.array_equal(read(deep).pixels, read(GRAY).pixels), "not clipped at 255"


def test_a_turned_photo_is_turned_as_a_file_and_as_a_pillow_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    given = read(Image.open(tmp_path / "turned.png")).pixels
    assert np.array_equal(given, np.rot90(PIXELS, -1)) and np.array_equal(given, read(tmp_path / "turned.png").pixels)


def test_files_keep_their_names_and_others_get_one(tmp_path):
    cv2.imwrite(str(tmp_path / "street.one.png"), PIXELS[..., ::-1])
    for path in (tmp_path / "street.one.png", str(tmp_path / "street.one.png")):
        found = read(path)
        assert (found.source, found.name) == (tmp_path / "street.one.png", "street.one") and np.array_equal(found.pixels, PIXELS)
    assert (read(PIXELS).source, read(PIXELS).name, read(PIXELS, name="frame").name) == (None, "image", "frame")


def test_the_form_of_a_network_is_that_of_its_images():
    four = np.dstack([PIXELS, GRAY])
    assert read(four, ImageForm(4)).pixels is four
    assert read(PIXELS[..., :1], ImageForm(1)).pixels.shape == (6, 9, 1)
    ranged = read(np.array([[[1000.0, 2000, 4095]]]), ImageForm(3, (0, 4095))).pixels
    assert ranged.dtype == np.float32 and np.allclose(ranged, np.array([1000, 2000, 4095]) * 255 / 4095)
    with pytest.raises(DataError, match=r"array of 6×9×3 uint8; expected height × width × 4"):
        read(PIXELS, ImageForm(4))


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ("https://example.org/street.jpg", r"^'https://example.org/street.jpg' is an address, and nothing is downloaded; save"),
        ("s3://bucket/a.png", "is an address"),
        ("nowhere.png", "^cannot read nowhere.png"),
        (".", r"^\. is a folder; give its images, such as network\(sorted\(Path\('\.'\)\.glob"),
        ("clip.mp4", r"^clip.mp4 is a video; give its frames, as network\(frames\('clip.mp4'\)\)"),
        (5, "^the image is 5, of type int; expected a file's name, a NumPy array"),
        (None, "^the image is None, of type NoneType; expected"),
        (b"\xff\xd8", "of type bytes"),
        (io.BytesIO(b"x"), "of type BytesIO"),
        (PIXELS.transpose(2, 0, 1), r"array of 3×6×9 uint8; expected height × width × 3, .*: image.transpose\(1, 2, 0\) puts"),
        (np.dstack([PIXELS, GRAY]), r"array of 6×9×4 uint8; .*: image\[..., :3\] leaves alpha out"),
        (PIXELS[None], r"array of 1×6×9×3 uint8; .* one by one, as network\(list\(images\)\)"),
        (PIXELS / 255 * 2 - 1, r"float64 with values from -\S+ to \S+; expected floats 0..1, not normalised, or uint8 0..255"),
        (PIXELS.astype(np.float32), r"float32 with values from \S+ to 255; expected floats 0..1"),
        (np.full((4, 4, 3), np.nan), "values from nan to nan"),
        (PIXELS.astype(np.uint16), "16 bits a channel and no value above 255, so it may be nearly black"),
        (PIXELS.astype(complex), "array of 6×9×3 complex128"),
        (np.zeros((0, 9, 3), np.uint8), "array of 0×9×3 uint8"),
        (np.array(3), "array of no axes"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_told_in_one_sentence(image, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        read(image)
    assert "\n" not in str(error.value)


def test_one_image_and_several_are_told_apart():
    for one in ("a.jpg", PIXELS, Image.fromarray(PIXELS), torch_tensor(PIXELS), mindspore_tensor(PIXELS), 5, None, b"x"):
        assert is_one(one)
    for several in (["a.jpg"], ("a.jpg",), iter(["a.jpg"]), (path for path in ()), map(str, ()), {"a.jpg"}):
        assert not is_one(several)


def test_no_framework_is_loaded_to_look_at_an_image():
    program = "import sys; from segformer_core.inference.images import is_one, read; import numpy as np\n"
    program += "read(np.zeros((4, 4, 3))); is_one([1]); sys.exit(bool({'torch', 'mindspore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
