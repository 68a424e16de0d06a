"""What stands in the made-up city: sky, buildings, walls, fences, plants, poles with their lights and signs. Metres."""

from collections.abc import Callable

import numpy as np

from segformer_core.data.scene_view import SUPERSAMPLING, Colour, Part, Pose, View, box, corners, disc, limb, pick, prism, shaded

FACADES: tuple[Colour, ...] = (
    (222, 196, 156), (206, 150, 112), (232, 220, 196), (186, 116, 92), (214, 176, 120), (196, 172, 158), (226, 184, 160),
)  # fmt: skip
ROOFS: tuple[Colour, ...] = ((150, 76, 58), (122, 66, 56), (92, 82, 80))
STONES: tuple[Colour, ...] = ((148, 136, 132), (134, 128, 138), (158, 146, 138))
LEAVES: tuple[Colour, ...] = ((62, 106, 44), (48, 92, 48), (78, 112, 42), (58, 98, 34))
BARK: Colour = (84, 66, 50)
STEEL: Colour = (112, 118, 122)
SIGN_RED: Colour = (206, 30, 38)
SIGN_BLUE: Colour = (24, 92, 190)
SIGN_WHITE: Colour = (246, 246, 242)
SIGN_YELLOW: Colour = (250, 206, 20)


def sky(view: View, bottom: float) -> None:
    """Gradient and clouds down to the row `bottom`."""
    light = view.light
    rows = int(bottom * SUPERSAMPLING) + SUPERSAMPLING
    height = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None] ** 1.3
    top, bottom_colour = np.float32(light.sky_top), np.float32(light.sky_bottom)
    colours = top + height * (bottom_colour - top)
    clouds = np.clip((view.textures["clouds"][:rows] + 2.2 * light.cloudiness - 1.1) * 0.9, 0, 1)[..., None] * (0.25 + 0.6 * (1 - height))
    white = 0.72 * np.float32((255, 252, 248)) * min(1.0, 0.2 + max(light.tint)) + 0.28 * bottom_colour
    view.pixels[:rows] = np.clip(colours + clouds * (white - colours), 0, 255)
    view.objects.append({"label": "sky", "polygon": rectangle(view, 0, int(bottom))})


def rectangle(view: View, top: int, bottom: int) -> list[list[int]]:
    """A polygon over the picture's whole width."""
    right = view.width - 1
    return [[0, top], [right, top], [right, bottom], [0, bottom]]


def building(view: View, pose: Pose, rng: np.random.Generator, depth: float, length: float, height: float) -> None:
    """u across the street, w along it. A gable roof or a flat one, windows on the two faces that can be seen."""
    paint, half, long = pick(rng, FACADES), depth / 2, length / 2
    trim, roof = shaded(paint, 1.14), pick(rng, ROOFS)
    ridge = height + (rng.uniform(0.25, 0.5) * half if rng.random() < 0.6 else 0.02)
    profile = [(-half, 0.0), (half, 0.0), (half, height), (0.0, ridge), (-half, height)]
    parts = prism(pose, profile, long, paint, "grain", 0.035, (paint, paint, roof, roof, paint))
    facade, gable = pose.end(half), pose.side(long)
    storeys = np.arange(1.0 if rng.random() < 0.5 else 4.2, height - 2.0, 3.1)
    if facade:
        parts += windows(rng, lambda a, v0, v1, b: pose.across(facade * half, v0, v1, a, b), long, storeys, trim, view.light.lamps)
        bands = np.array((3.4, height - 0.3))
        parts.append(Part([pose.across(facade * half, bands, bands + 0.2, -long, long)], trim))
        if storeys[0] > 4:
            parts += shop_front(pose, rng, facade * half, long)
    if gable:
        face = gable * long
        parts += windows(rng, lambda a, v0, v1, b: pose.along(face, a, b, v0, v1), half, storeys, trim, view.light.lamps)
    view.add("building", parts, max(pose.z - long, 1.0))


def windows(
    rng: np.random.Generator,
    place: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    half: float,
    storeys: np.ndarray,
    trim: Colour,
    lamps: bool,
) -> list[Part]:
    """Frames, panes (some lit in the evening) and sills; `place(a, v0, v1, b)` puts rectangles on the face."""
    pitch, wide, tall = rng.uniform(1.9, 2.8), rng.uniform(0.9, 1.25), rng.uniform(1.4, 1.8)
    columns = np.arange(-half + 0.7, half - wide - 0.4, pitch)
    a, v = (grid.ravel() for grid in np.meshgrid(columns, storeys))
    if not len(a):
        return []
    lit = rng.random(len(a)) < (0.45 if lamps else 0.0)
    parts = [
        Part([place(a - 0.12, v - 0.12, v + tall + 0.12, a + wide + 0.12)], trim),
        Part([place(a, v, v + tall, a + wide)], (66, 84, 104)),
        Part([place(a, v + tall * 0.55, v + tall, a + wide)], (92, 114, 136)),
    ]
    if lit.any():
        parts.append(Part([place(a[lit], v[lit], v[lit] + tall, a[lit] + wide)], (255, 206, 120), glow=True))
    parts.append(Part([place(a + wide / 2 - 0.05, v, v + tall, a + wide / 2 + 0.05)], trim))
    return parts


def shop_front(pose: Pose, rng: np.random.Generator, u: float, half: float) -> list[Part]:
    """Plate glass, a door and a striped awning along the ground floor."""
    awning = pick(rng, ((176, 52, 48), (40, 96, 84), (44, 70, 120), (190, 130, 50)))
    a = np.arange(-half + 0.5, half - 2.6, 3.2)
    out = u + 0.9 * np.sign(u)

    def slope(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return pose(corners((u, 3.2, start), (u, 3.2, end), (out, 2.55, end), (out, 2.55, start)))

    stripes = (a[:, None] + np.arange(0, 2.3, 0.92)).ravel()
    return [
        Part([pose.across(u, 0.5, 2.7, a, a + 1.7), pose.across(u, 0.05, 2.5, a + 1.85, a + 2.65)], (52, 62, 72)),
        Part([pose.across(u, 0.6, 1.5, a + 0.1, a + 1.6)], (96, 104, 110)),
        Part([slope(a, a + 2.76)], (236, 230, 216)),
        Part([slope(stripes, stripes + 0.46)], awning),
    ]


def wall(view: View, pose: Pose, rng: np.random.Generator, length: float, height: float) -> None:
    """Courses of stone under a coping; along u."""
    stone, half = pick(rng, STONES, 6), length / 2
    parts = prism(pose, box(-half, half, 0, height), 0.2, stone, "leaves", 0.09)
    side = pose.side(0.2)
    if side:
        w, course = side * 0.2, 0.4
        levels = np.arange(course, height - 0.1, course)
        joints = [pose.along(w, -half, half, levels - 0.02, levels + 0.02)]
        for row, v in enumerate(levels):
            starts = np.arange(-half + 0.45 * (row % 2), half, 0.9)
            joints.append(pose.along(w, starts, starts + 0.04, v - course, v))
        parts.append(Part(joints, shaded(stone, 0.68)))
    parts += prism(pose, box(-half, half, height, height + 0.16), 0.3, shaded(stone, 1.22))
    view.add("wall", parts, max(pose.z - half, 1.0))


def fence(view: View, pose: Pose, rng: np.random.Generator, length: float, height: float) -> None:
    """Upright boards or bars between two rails; the gaps count as fence, as they do in Cityscapes. Along u."""
    wood = rng.random() < 0.6
    paint = pick(rng, ((172, 122, 74), (150, 100, 62)) if wood else ((198, 160, 108),), 6)
    half, pitch, wide = length / 2, 0.3, 0.22 if wood else 0.13
    boards = np.arange(-half, half - wide, pitch)
    posts, rails = np.arange(-half, half, 2.4), np.array((0.25, 0.8)) * height
    ends, peaks = boards + wide, boards + wide / 2
    parts = [
        Part([pose.along(0.03, -half, half, rails, rails + 0.14)], shaded(paint, 0.7)),
        Part([pose(corners((boards, 0.05, 0), (ends, 0.05, 0), (ends, height, 0), (peaks, height + 0.12, 0), (boards, height, 0)))], paint),
        Part([pose.along(-0.02, posts, posts + 0.16, 0, height + 0.2)], shaded(paint, 0.6)),
    ]
    view.add("fence", parts, max(pose.z - half, 1.0))


def tree(view: View, pose: Pose, rng: np.random.Generator, height: float) -> None:
    leaf, radius = pick(rng, LEAVES), height * rng.uniform(0.2, 0.28)
    lean = rng.uniform(-0.3, 0.3)
    parts = [Part([pose.flat(limb((0, 0), (lean, height * 0.6), 0.2, 0.12))], BARK, "grain", 0.08)]
    blobs = [(lean + rng.normal(0, 0.55) * radius, height * 0.68 + rng.normal(0, 0.5) * radius) for _ in range(7)]
    view.shadow(pose.ground(-radius, radius, -0.6, 0.6), 0.3)
    for u, v in sorted(blobs, key=lambda blob: blob[1]):
        factor = 0.84 + 0.4 * (v - height * 0.68 + radius) / (2 * radius)
        parts.append(Part([pose.flat(ragged(rng, (u, v), radius * rng.uniform(0.65, 0.95)))], shaded(leaf, factor), "leaves", 0.26))
    view.add("vegetation", parts, pose.z)


def hedge(view: View, pose: Pose, rng: np.random.Generator, length: float, height: float) -> None:
    """Bushes in a row along u."""
    leaf = pick(rng, LEAVES)
    for u in np.linspace(length / 2, -length / 2, max(2, int(length / height))):
        outline = pose.flat(ragged(rng, (u, height * 0.45), height * rng.uniform(0.5, 0.7)))
        view.add("vegetation", [Part([outline], shaded(leaf, rng.uniform(0.85, 1.1)), "leaves", 0.26)], pose.z)


def ragged(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> np.ndarray:
    """(N, 2) points of a leafy outline."""
    circle = disc((0, 0), radius, 26)
    return np.asarray(centre) + circle * rng.uniform(0.86, 1.1, (26, 1))


def street_lamp(view: View, pose: Pose, rng: np.random.Generator, reach: float) -> None:
    """A tall pole with an arm of `reach` metres (its sign is the direction) over the road."""
    height, steel = rng.uniform(5.5, 7.0), pick(rng, (STEEL,), 8)
    parts = [Part([pose.flat(limb((0, 0), (0, height), 0.12, 0.08)), pose.flat(limb((0, height), (reach, height + 0.3), 0.07, 0.05))], steel)]
    parts.append(Part([pose.flat(limb((0, 0), (0, 0.7), 0.17, 0.15))], shaded(steel, 0.75)))
    parts.append(Part([pose.flat(limb((reach, height + 0.25), (reach * 1.4, height + 0.25), 0.12, 0.08))], (240, 236, 214), glow=view.light.lamps))
    view.add("pole", parts, pose.z)


def traffic_light(view: View, pose: Pose, rng: np.random.Generator) -> None:
    top, on = rng.uniform(3.0, 3.6), int(rng.integers(3))
    pole(view, pose, rng, top)
    heads = [(0.0, top - 1.15)] if rng.random() < 0.6 else [(0.0, top - 1.15), (0.55, top - 1.15)]
    for u, v in heads:
        parts = [Part([pose.flat(box(u - 0.25, u + 0.25, v, v + 1.25))], (28, 32, 30))]
        parts.append(Part([pose.flat(box(u - 0.19, u + 0.19, v + 0.06, v + 1.19))], (46, 50, 44)))
        for index, colour in enumerate(((255, 60, 40), (255, 196, 40), (60, 240, 130))):
            lens = pose.flat(disc((u, v + 1.0 - 0.38 * index), 0.15))
            parts.append(Part([lens], colour if index == on else shaded(colour, 0.28), glow=index == on))
        view.add("traffic light", parts, pose.z)


def traffic_sign(view: View, pose: Pose, rng: np.random.Generator) -> None:
    top = rng.uniform(2.5, 3.1)
    pole(view, pose, rng, top)
    for v in (top - 0.35, top - 1.25)[: 1 + int(rng.random() < 0.5)]:
        shape = SIGNS[rng.integers(len(SIGNS))]
        view.add("traffic sign", [Part([pose.flat(outline + (0, v))], colour) for outline, colour in shape], pose.z)


def pole(view: View, pose: Pose, rng: np.random.Generator, height: float) -> None:
    view.add("pole", [Part([pose.flat(limb((0, 0), (0, height), 0.09, 0.08))], pick(rng, (STEEL,), 8))], pose.z)


def bollard(view: View, pose: Pose, rng: np.random.Generator) -> None:
    """A litter bin: Cityscapes calls it `static`, which no network is asked to learn."""
    parts = prism(pose, box(-0.3, 0.3, 0, 0.95), 0.3, pick(rng, ((70, 84, 78),), 8))
    view.add("static", [*parts, Part([pose.along(-0.3, -0.24, 0.24, 0.66, 0.8)], (24, 24, 24))], pose.z)


def _square(half_width: float, half_height: float) -> np.ndarray:
    return np.array(box(-half_width, half_width, -half_height, half_height))


TRIANGLE = np.array([(-0.5, -0.38), (0.5, -0.38), (0.0, 0.5)])
DIAMOND = np.array([(-0.5, 0.0), (0.0, -0.5), (0.5, 0.0), (0.0, 0.5)])
SIGNS: tuple[tuple[tuple[np.ndarray, Colour], ...], ...] = (
    ((disc((0, 0), 0.45), SIGN_RED), (disc((0, 0), 0.32), SIGN_WHITE), (_square(0.16, 0.14), (40, 40, 44))),
    ((disc((0, 0), 0.45), SIGN_RED), (_square(0.32, 0.08), SIGN_WHITE)),
    ((disc((0, 0), 0.45), SIGN_WHITE), (disc((0, 0), 0.41), SIGN_BLUE), (_square(0.07, 0.28), SIGN_WHITE)),
    ((TRIANGLE, SIGN_RED), (TRIANGLE * 0.6, SIGN_WHITE)),
    ((DIAMOND, SIGN_WHITE), (DIAMOND * 0.8, SIGN_YELLOW)),
    ((_square(0.42, 0.42), SIGN_BLUE), (_square(0.16, 0.26), SIGN_WHITE)),
    ((_square(0.7, 0.36), SIGN_YELLOW), (_square(0.5, 0.06), (40, 40, 44))),
)
