"""Houses, walls and fences of the made-up city. Lengths are in metres."""

from collections.abc import Callable

import numpy as np

from segformer_core.sample_city.pose import Pose, prism
from segformer_core.sample_city.shapes import Colour, box, corners, pick, shaded
from segformer_core.sample_city.view import Part, fill

FACADES: tuple[Colour, ...] = (
    (222, 196, 156),
    (206, 150, 112),
    (232, 220, 196),
    (186, 116, 92),
    (214, 176, 120),
    (196, 172, 158),
    (226, 184, 160),
)
ROOFS: tuple[Colour, ...] = ((150, 76, 58), (122, 66, 56), (92, 82, 80))
AWNINGS: tuple[Colour, ...] = ((176, 52, 48), (40, 96, 84), (44, 70, 120), (190, 130, 50))
STONES: tuple[Colour, ...] = ((148, 136, 132), (134, 128, 138), (158, 146, 138))
WOODS: tuple[Colour, ...] = ((172, 122, 74), (150, 100, 62), (198, 160, 108))
PANE: Colour = (66, 84, 104)
LAMPLIGHT: Colour = (255, 206, 120)
STOREY = 3.1

Place = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def building(pose: Pose, depth: float, length: float, height: float) -> None:
    """A house with its depth along u and its front along w; the two visible faces have windows."""
    rng = pose.rng
    paint, roof, half, long = pick(rng, FACADES), pick(rng, ROOFS), depth / 2, length / 2
    trim = shaded(paint, 1.14)
    ridge = height + (rng.uniform(0.25, 0.5) * half if rng.random() < 0.6 else 0.02)
    profile = [(-half, 0.0), (half, 0.0), (half, height), (0.0, ridge), (-half, height)]
    parts = prism(pose, profile, long, paint, "grain", 0.035, (paint, paint, roof, roof, paint))
    shop = rng.random() < 0.5
    storeys = np.arange(1.0 + STOREY * shop, height - 2.0, STOREY)
    front, gable = pose.end(half) * half, pose.side(long) * long
    if front:
        bands = np.array((3.4, height - 0.3))
        parts += windows(pose, lambda a, v0, v1, b: pose.across(front, v0, v1, a, b), long, storeys, trim)
        parts.append(fill(trim, pose.across(front, bands, bands + 0.2, -long, long)))
        if shop:
            parts += shop_front(pose, front, long)
    if gable:
        parts += windows(pose, lambda a, v0, v1, b: pose.along(gable, a, b, v0, v1), half, storeys, trim)
    pose.view.add("building", parts, max(pose.z - long, 1.0))


def windows(pose: Pose, place: Place, half: float, storeys: np.ndarray, trim: Colour) -> list[Part]:
    """Frames, panes (some lit in the evening) and bars; `place(a, v0, v1, b)` puts rectangles on the face."""
    rng = pose.rng
    pitch, wide, tall = rng.uniform(1.9, 2.8), rng.uniform(0.9, 1.25), rng.uniform(1.4, 1.8)
    columns = np.arange(-half + 0.7, half - wide - 0.4, pitch)
    a, v = (grid.ravel() for grid in np.meshgrid(columns, storeys))
    if not len(a):
        return []
    lit = rng.random(len(a)) < (0.45 if pose.view.light.lamps else 0.0)
    middle = a + wide / 2
    return [
        fill(trim, place(a - 0.12, v - 0.12, v + tall + 0.12, a + wide + 0.12)),
        fill(PANE, place(a, v, v + tall, a + wide)),
        fill(shaded(PANE, 1.35), place(a, v + tall * 0.55, v + tall, a + wide)),
        fill(LAMPLIGHT, place(a[lit], v[lit], v[lit] + tall, a[lit] + wide), glow=True),
        fill(trim, place(middle - 0.05, v, v + tall, middle + 0.05)),
    ]


def shop_front(pose: Pose, u: float, half: float) -> list[Part]:
    """Plate glass, doors and striped awnings along the ground floor."""
    a = np.arange(-half + 0.5, half - 2.6, 3.2)
    out = u + 0.9 * np.sign(u)

    def slope(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return pose(corners((u, 3.2, start), (u, 3.2, end), (out, 2.55, end), (out, 2.55, start)))

    stripes = (a[:, None] + np.arange(0, 2.3, 0.92)).ravel()
    glass, door = pose.across(u, 0.5, 2.7, a, a + 1.7), pose.across(u, 0.05, 2.5, a + 1.85, a + 2.65)
    return [
        fill((52, 62, 72), glass, door),
        fill((96, 104, 110), pose.across(u, 0.6, 1.5, a + 0.1, a + 1.6)),
        fill((236, 230, 216), slope(a, a + 2.76)),
        fill(pick(pose.rng, AWNINGS), slope(stripes, stripes + 0.46)),
    ]


def wall(pose: Pose, length: float, height: float) -> None:
    """A wall along u: rows of stones under a row of wider ones."""
    stone, half, course = pick(pose.rng, STONES, 3), length / 2, 0.4
    parts = prism(pose, box(-half, half, 0, height), 0.2, stone, "leaves", 0.09)
    w = pose.side(0.2) * 0.2
    if w:
        levels = np.arange(course, height - 0.1, course)
        joints = [pose.along(w, -half, half, levels - 0.02, levels + 0.02)]
        for row, v in enumerate(levels):
            starts = np.arange(-half + 0.45 * (row % 2), half, 0.9)
            joints.append(pose.along(w, starts, starts + 0.04, v - course, v))
        parts.append(fill(shaded(stone, 0.68), *joints))
    parts += prism(pose, box(-half, half, height, height + 0.16), 0.3, shaded(stone, 1.22))
    pose.view.add("wall", parts, max(pose.z - half, 1.0))


def fence(pose: Pose, length: float, height: float) -> None:
    """Pointed boards between posts, along u; the gaps count as fence, as they do in Cityscapes."""
    rng = pose.rng
    paint, half, wide = pick(rng, WOODS, 3), length / 2, rng.uniform(0.13, 0.24)
    start = np.arange(-half, half - wide, 0.3)
    end, tip = start + wide, start + wide / 2
    posts, rails = np.arange(-half, half, 2.4), np.array((0.25, 0.8)) * height
    boards = corners((start, 0.05, 0), (end, 0.05, 0), (end, height, 0), (tip, height + 0.12, 0), (start, height, 0))
    parts = [
        fill(shaded(paint, 0.7), pose.along(0.03, -half, half, rails, rails + 0.14)),
        fill(paint, pose(boards)),
        fill(shaded(paint, 0.6), pose.along(-0.02, posts, posts + 0.16, 0, height + 0.2)),
    ]
    pose.view.add("fence", parts, max(pose.z - half, 1.0))
