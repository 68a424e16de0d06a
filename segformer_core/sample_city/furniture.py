"""Trees, hedges, lamps, traffic lights, signs and litter bins of the made-up city. Lengths are in metres."""

import numpy as np

from segformer_core.sample_city.pose import Pose, prism
from segformer_core.sample_city.shapes import Colour, box, disc, limb, pick, ragged, shaded
from segformer_core.sample_city.view import fill

LEAVES: tuple[Colour, ...] = ((62, 106, 44), (48, 92, 48), (78, 112, 42), (58, 98, 34))
STEEL: tuple[Colour, ...] = ((112, 118, 122),)
BINS: tuple[Colour, ...] = ((70, 84, 78),)
BARK: Colour = (84, 66, 50)
RED: Colour = (206, 30, 38)
BLUE: Colour = (24, 92, 190)
WHITE: Colour = (246, 246, 242)
YELLOW: Colour = (250, 206, 20)
BLACK: Colour = (40, 40, 44)
LENSES: tuple[Colour, ...] = ((255, 60, 40), (255, 196, 40), (60, 240, 130))


def plate(half_width: float, half_height: float) -> np.ndarray:
    return np.array(box(-half_width, half_width, -half_height, half_height))


TRIANGLE = np.array([(-0.5, -0.38), (0.5, -0.38), (0.0, 0.5)])
DIAMOND = np.array([(-0.5, 0.0), (0.0, -0.5), (0.5, 0.0), (0.0, 0.5)])
ROUND = disc((0, 0), 0.45)
SIGNS: tuple[tuple[tuple[np.ndarray, Colour], ...], ...] = (
    ((ROUND, RED), (ROUND * 0.7, WHITE), (plate(0.16, 0.14), BLACK)),
    ((ROUND, RED), (plate(0.32, 0.08), WHITE)),
    ((ROUND, WHITE), (ROUND * 0.9, BLUE), (plate(0.07, 0.28), WHITE)),
    ((TRIANGLE, RED), (TRIANGLE * 0.6, WHITE)),
    ((DIAMOND, WHITE), (DIAMOND * 0.8, YELLOW)),
    ((plate(0.42, 0.42), BLUE), (plate(0.16, 0.26), WHITE)),
    ((plate(0.7, 0.36), YELLOW), (plate(0.5, 0.06), BLACK)),
)


def tree(pose: Pose, height: float) -> None:
    rng = pose.rng
    leaf, radius, lean = pick(rng, LEAVES), height * rng.uniform(0.2, 0.28), rng.uniform(-0.3, 0.3)
    crown = height * 0.68
    blobs = rng.normal((lean, crown), (0.55 * radius, 0.5 * radius), (7, 2))
    pose.view.shadow(pose.ground(-radius, radius, -0.6, 0.6), 0.3)
    trunk = pose.flat(limb((0, 0), (lean, height * 0.6), 0.2, 0.12))
    parts = [fill(BARK, trunk, texture="grain", contrast=0.08)]
    for u, v in sorted(blobs, key=lambda blob: blob[1]):
        light = 0.84 + 0.2 * (v - crown + radius) / radius
        outline = pose.flat(ragged(rng, (u, v), radius * rng.uniform(0.65, 0.95)))
        parts.append(fill(shaded(leaf, light), outline, texture="leaves", contrast=0.26))
    pose.add("vegetation", parts)


def hedge(pose: Pose, length: float, height: float) -> None:
    """Bushes in a row along u, the far end first."""
    rng = pose.rng
    leaf = pick(rng, LEAVES)
    for u in np.linspace(length / 2, -length / 2, max(2, int(length / height))):
        outline = pose.flat(ragged(rng, (u, height * 0.45), height * rng.uniform(0.5, 0.7)))
        paint = shaded(leaf, rng.uniform(0.85, 1.1))
        pose.add("vegetation", [fill(paint, outline, texture="leaves", contrast=0.26)])


def street_lamp(pose: Pose, reach: float) -> None:
    """A tall pole with an arm over the road; `reach` is the arm's length, and its sign the direction along u."""
    height, steel = pose.rng.uniform(5.5, 7.0), pick(pose.rng, STEEL, 4)
    mast, arm = limb((0, 0), (0, height), 0.12, 0.08), limb((0, height), (reach, height + 0.3), 0.07, 0.05)
    head = limb((reach, height + 0.25), (reach * 1.4, height + 0.25), 0.12, 0.08)
    parts = [
        fill(steel, pose.flat(mast), pose.flat(arm)),
        fill(shaded(steel, 0.75), pose.flat(limb((0, 0), (0, 0.7), 0.17, 0.15))),
        fill((240, 236, 214), pose.flat(head), glow=pose.view.light.lamps),
    ]
    pose.add("pole", parts)


def traffic_light(pose: Pose) -> None:
    rng = pose.rng
    top, on, heads = rng.uniform(3.0, 3.6), int(rng.integers(3)), 1 + int(rng.random() < 0.4)
    pole(pose, top)
    bottom = top - 1.15
    for u in (0.0, 0.55)[:heads]:
        parts = [
            fill((28, 32, 30), pose.flat(box(u - 0.25, u + 0.25, bottom, bottom + 1.25))),
            fill((46, 50, 44), pose.flat(box(u - 0.19, u + 0.19, bottom + 0.06, bottom + 1.19))),
        ]
        for index, colour in enumerate(LENSES):
            lens = pose.flat(disc((u, bottom + 1.0 - 0.38 * index), 0.15))
            parts.append(fill(colour if index == on else shaded(colour, 0.28), lens, glow=index == on))
        pose.add("traffic light", parts)


def traffic_sign(pose: Pose) -> None:
    rng = pose.rng
    top, count = rng.uniform(2.5, 3.1), 1 + int(rng.random() < 0.5)
    pole(pose, top)
    for v in (top - 0.35, top - 1.25)[:count]:
        sign = SIGNS[rng.integers(len(SIGNS))]
        pose.add("traffic sign", [fill(colour, pose.flat(outline + (0, v))) for outline, colour in sign])


def pole(pose: Pose, height: float) -> None:
    pose.add("pole", [fill(pick(pose.rng, STEEL, 4), pose.flat(limb((0, 0), (0, height), 0.09, 0.08)))])


def litter_bin(pose: Pose) -> None:
    """Its label in Cityscapes is `static`, a class that training ignores."""
    parts = prism(pose, box(-0.3, 0.3, 0, 0.95), 0.3, pick(pose.rng, BINS, 4))
    pose.add("static", [*parts, fill((24, 24, 24), pose.along(-0.3, -0.24, 0.24, 0.66, 0.8))])
