"""Outlines in metres and colours of the made-up city."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

Colour = tuple[float, float, float]  # RGB, 0..255
Scalars = float | np.ndarray  # one number, or (N,) of them
Point = tuple[float, float]


def box(u0: float, u1: float, v0: float, v1: float) -> list[Point]:
    """A rectangle, counter-clockwise."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


def disc(centre: Point, radius: float, points: int = 20) -> np.ndarray:
    """(points, 2) outline of a circle."""
    return np.asarray(centre) + radius * _unit_circle(points)


@cache
def _unit_circle(points: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)


def ring(centre: Point, outer: float, inner: float) -> np.ndarray:
    """(N, 2) outline of a circle with a hole: round the circle, inwards along a seam, round the hole, and back."""
    rim, hole = disc(centre, outer), disc(centre, inner)[::-1]
    return np.concatenate((rim, rim[:1], hole[-1:], hole))


def limb(start: Point, end: Point, radius0: float, radius1: float) -> np.ndarray:
    """(N, 2) outline of the convex hull of two circles: an arm, a tube, a trunk."""
    points = np.concatenate((disc(start, radius0, 12), disc(end, radius1, 12))).astype(np.float32)
    return cv2.convexHull(points)[:, 0]


def ragged(rng: np.random.Generator, centre: Point, radius: float) -> np.ndarray:
    """(26, 2) outline as uneven as that of leaves."""
    return np.asarray(centre) + disc((0, 0), radius, 26) * rng.uniform(0.86, 1.1, (26, 1))


def corners(*points: tuple[Scalars, Scalars, Scalars]) -> np.ndarray:
    """K points u, v, w -> (K, 3), or (N, K, 3) if any coordinate is an array of N."""
    shape = np.broadcast(*[coordinate for point in points for coordinate in point]).shape
    table = np.empty((*shape, len(points), 3))
    for index, point in enumerate(points):
        for axis, coordinate in enumerate(point):
            table[..., index, axis] = coordinate
    return table


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker or brighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def pick(rng: np.random.Generator, colours: Sequence[Colour], spread: float = 6.0) -> Colour:
    """A random one of the colours, varied by `spread` (standard deviation) in each channel."""
    chosen = np.asarray(colours[rng.integers(len(colours))])
    red, green, blue = np.clip(chosen + rng.normal(0, spread, 3), 8, 250)
    return float(red), float(green), float(blue)
