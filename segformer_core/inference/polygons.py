"""Outlines of the regions of a class, as rings of corners between pixels: a ring encloses exactly its pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Ring = np.ndarray
"""(N, 2) int: x and y of corners, without the first one again; x to the right, y down, (0, 0) the image's corner."""
NEIGHBOURS = 4
"""Pixels that touch at a corner only are two regions: so no ring crosses or touches itself."""


@dataclass(frozen=True)
class Region:
    """Connected pixels of a class: `pixels` of them, the outer ring, and the rings of its holes."""

    pixels: int
    outer: Ring
    holes: tuple[Ring, ...]


def regions(mask: np.ndarray, smallest: int = 1) -> Iterator[Region]:
    """The connected regions of an (H, W) bool mask, from the top, of at least `smallest` pixels."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=NEIGHBOURS)
    for index in range(1, count):
        left, top, width, height, pixels = map(int, boxes[index])
        if pixels >= smallest:
            inside = labels[top : top + height, left : left + width] == index
            outer, *holes = _rings(inside, np.array([left, top]))
            yield Region(pixels, outer, tuple(holes))


def _rings(region: np.ndarray, corner: np.ndarray) -> list[Ring]:
    """The rings of one connected region, the outer one first; `corner` is x and y of the mask's own corner.

    cv2 follows the centres of pixels. So it is shown a grid of twice the size, in which a pixel covers its four corners, which
    have even places, and all between them. Its steps may then cut a corner: from (even, odd) to (odd, even) past (even, even).
    """
    height, width = region.shape
    centres = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    centres[1::2, 1::2] = region
    covered = cv2.dilate(centres, np.ones((3, 3), np.uint8))
    contours, hierarchy = cv2.findContours(covered, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    order = sorted(range(len(contours)), key=lambda index: hierarchy[0][index][3] >= 0)  # a hole has a parent
    return [_corners(contours[index][:, 0]) // 2 + corner for index in order]


def _corners(steps: np.ndarray) -> np.ndarray:
    """(N, 2) places of a closed walk, each next to the one before -> those where it turns, with the corners that it cuts."""
    after = np.roll(steps, -1, axis=0)
    cut = (steps != after).all(1)
    corners = np.where(steps % 2 == 0, steps, after)
    walk = np.stack([steps, corners], 1)[np.stack([np.ones_like(cut), cut], 1)]
    before, after = np.roll(walk, 1, axis=0), np.roll(walk, -1, axis=0)
    return walk[((walk - before) != (after - walk)).any(1)]


def coordinates(ring: Ring, transform: Sequence[float] | None, outer: bool) -> list[list[float]]:
    """A ring of GeoJSON: closed, the outer one counterclockwise in its own coordinates, a hole clockwise.

    `transform` is (a, b, c, d, e, f) of x' = a x + b y + c, y' = d x + e y + f, as rasterio has it.
    """
    points = ring.astype(np.float64)
    if transform is not None:
        a, b, c, d, e, f = transform[:6]
        points = points @ np.array([[a, d], [b, e]]) + (c, f)
    x, y = points.T
    doubled_area = float(np.dot(x - x[0], np.roll(y, -1)) - np.dot(y, np.roll(x - x[0], -1)))
    if (doubled_area > 0) != outer:
        points = points[::-1]
    closed = np.concatenate([points, points[:1]])
    return closed.tolist() if transform is not None else closed.astype(int).tolist()
