"""Overlays: how much of the colours, how dark images are lifted, where outlines lie, and what ignored pixels show."""

import numpy as np
import pytest

from segformer_core.data.dataset import Classes
from segformer_core.errors import DataError
from segformer_core.pictures import overlay

CLASSES = Classes(("dark", "light"), ((200, 0, 100), (240, 250, 200)))
BRIGHT = np.array([[[100, 90, 80], [0, 200, 255]], [[20, 40, 60], [150, 150, 150]]], np.uint8)
LABELS = np.array([[0, 1], [255, 0]], np.uint8)


def flat(value: int, size: tuple[int, int] = (2, 2)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_colours_are_mixed_by_alpha_and_ignored_pixels_show_the_image() -> None:
    """Of each channel: (1 - alpha) · image + alpha · colour."""
    assert overlay(BRIGHT, LABELS, CLASSES).tolist() == [[[150, 45, 90], [120, 225, 228]], [[20, 40, 60], [175, 75, 125]]]
    quarter = [[[125, 68, 85], [60, 212, 241]], [[20, 40, 60], [162, 112, 138]]]
    assert np.abs(overlay(BRIGHT, LABELS, CLASSES, 0.25).astype(int) - quarter).max() <= 1  # 67.5, 212.5 … round either way
    assert overlay(BRIGHT, LABELS, CLASSES, 1.0).tolist() == [[[200, 0, 100], [240, 250, 200]], [[20, 40, 60], [200, 0, 100]]]
    assert (overlay(BRIGHT, LABELS, CLASSES, 0.0) == BRIGHT).all()


def test_a_label_beyond_the_classes_is_ignored() -> None:
    assert (overlay(BRIGHT, np.full((2, 2), 2, np.uint8), CLASSES) == BRIGHT).all()


@pytest.mark.parametrize(
    ("value", "lifted"),
    [
        (200, 200),  # bright enough
        (77, 77),  # 77 / 255 is above 0.3
        (51, 76),  # a mean of 0.2 becomes 0.3
        (5, 53),  # 255 · (5 / 255)^0.4: no image is lifted more
        (0, 0),
    ],
)
def test_a_dark_image_is_lifted_under_the_colours(value: int, lifted: int) -> None:
    expected = (np.array(CLASSES.colours[0]) + lifted) / 2
    assert np.abs(overlay(flat(value), np.zeros((2, 2), np.uint8), CLASSES) - expected).max() <= 1


def test_the_image_is_lifted_neither_without_colours_nor_where_ignored() -> None:
    labels = np.array([[0, 255]], np.uint8)
    assert (overlay(flat(5, (1, 2)), labels, CLASSES, 0.0) == 5).all()
    assert overlay(flat(5, (1, 2)), labels, CLASSES)[0, 1].tolist() == [5, 5, 5]


def test_ignored_pixels_do_not_decide_how_much_the_image_is_lifted() -> None:
    image = np.array([[[51, 51, 51], [255, 255, 255]], [[51, 51, 51], [255, 255, 255]]], np.uint8)
    picture = overlay(image, np.array([[0, 255], [0, 255]], np.uint8), CLASSES)
    assert np.abs(picture[:, 0] - (np.array(CLASSES.colours[0]) + 76) / 2).max() <= 1


def test_outlines_lie_at_borders_alone() -> None:
    """Two pixels of each class's colour along the border, the last of the left or upper class its line of contrast."""
    labels = np.zeros((6, 10), np.uint8)
    labels[:, 5:] = 1
    picture = overlay(flat(100, labels.shape), labels, CLASSES, 0.0, outlines=True)
    dark, light = CLASSES.colours
    row = [(100, 100, 100)] * 3 + [dark, (255, 255, 255), light, light] + [(100, 100, 100)] * 3
    assert (picture == np.array(row, np.uint8)).all()
    swapped = overlay(flat(100, labels.shape), 1 - labels, CLASSES, 0.0, outlines=True)
    assert swapped[0, 3:7].tolist() == [[*light], [0, 0, 0], [*dark], [*dark]]
    turned = overlay(flat(100, labels.T.shape), np.ascontiguousarray(labels.T), CLASSES, 0.0, outlines=True)
    assert (turned == picture.transpose(1, 0, 2)).all()


def test_one_class_has_no_outline() -> None:
    labels = np.ones((5, 7), np.uint8)
    image = flat(120, labels.shape)
    assert (overlay(image, labels, CLASSES, outlines=True) == overlay(image, labels, CLASSES)).all()


def test_outlines_are_wider_in_a_large_image() -> None:
    labels = np.zeros((4, 6144), np.uint8)
    labels[:, 3000:] = 1
    picture = overlay(flat(100, labels.shape), labels, CLASSES, 0.0, outlines=True)
    assert np.flatnonzero((picture != 100).any((0, 2))).tolist() == [*range(2994, 3006)]
    assert (picture[:, 2997:3000] == 255).all() and (picture[:, 3000:3006] == CLASSES.colours[1]).all()


def test_outlines_leave_ignored_pixels_alone() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, 4:] = 255
    picture = overlay(flat(100, labels.shape), labels, CLASSES, 0.0, outlines=True)
    assert (picture[:, 4:] == 100).all() and (picture[:, 3] == 255).all() and (picture[:, 2] == CLASSES.colours[0]).all()


@pytest.mark.parametrize(
    ("size", "alpha", "complaint"),
    [
        ((3, 2), 0.5, r"labels of shape \(3, 2\) for an image of shape \(2, 2, 3\); expected the same height and width"),
        ((2, 2), 1.5, "an overlay's alpha is 1.5; expected 0"),
        ((2, 2), float("nan"), "an overlay's alpha is nan; expected 0"),
    ],
)
def test_what_cannot_be_laid_over_is_one_sentence(size: tuple[int, int], alpha: float, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        overlay(flat(9), np.zeros(size, np.uint8), CLASSES, alpha)
