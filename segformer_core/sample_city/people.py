"""People and two-wheelers of the made-up city, drawn from the side; u points ahead of them. Lengths are in metres."""

import numpy as np

from segformer_core.sample_city.pose import Pose
from segformer_core.sample_city.shapes import Colour, disc, limb, pick, ring, shaded
from segformer_core.sample_city.vehicles import CHROME, HEADLAMP, TYRE
from segformer_core.sample_city.view import Part, fill

SKINS: tuple[Colour, ...] = ((236, 196, 166), (206, 158, 122), (150, 104, 74), (98, 66, 48))
SHIRTS: tuple[Colour, ...] = (
    (206, 60, 70),
    (240, 210, 120),
    (90, 150, 210),
    (236, 236, 232),
    (226, 110, 150),
    (120, 80, 160),
    (60, 66, 78),
    (80, 160, 140),
)
TROUSERS: tuple[Colour, ...] = ((40, 48, 80), (30, 30, 34), (92, 84, 72), (64, 78, 104))
HELMETS: tuple[Colour, ...] = ((240, 240, 236), (226, 60, 40), (250, 200, 40))
FRAMES: tuple[Colour, ...] = ((30, 150, 170), (200, 60, 120), (70, 170, 80), (230, 120, 40))
TANKS: tuple[Colour, ...] = ((190, 30, 30), (210, 70, 20), (30, 34, 40))
SHOES: Colour = (38, 31, 28)
HAIR: Colour = (52, 38, 30)
LEATHER: Colour = (26, 24, 24)
ENGINE: Colour = (92, 94, 100)


def person(pose: Pose) -> None:
    rng = pose.rng
    stride, size = rng.uniform(0.05, 0.32), rng.uniform(0.92, 1.06)
    swing = stride * rng.uniform(0.5, 1.0)
    skin, shirt, trousers = pick(rng, SKINS, 3), pick(rng, SHIRTS), pick(rng, TROUSERS)
    pose.cast_shadow(0.3, 0.15)

    def part(colour: Colour, *outlines: np.ndarray) -> Part:
        return fill(colour, *[pose.flat(size * outline) for outline in outlines])

    shoes = [limb((toe, 0.05), (toe + 0.13, 0.05), 0.06, 0.05) for toe in (stride, -stride)]
    parts = [
        part(shaded(shirt, 0.72), limb((0.05, 1.38), (0.16 + swing, 0.9), 0.07, 0.06)),
        part(shaded(trousers, 0.75), limb((0.05, 0.9), (-stride, 0.08), 0.12, 0.075)),
        part(trousers, limb((-0.05, 0.9), (stride, 0.08), 0.12, 0.075)),
        part(SHOES, *shoes),
        part(shirt, limb((0, 0.95), (0, 1.36), 0.18, 0.2)),
        part(shaded(shirt, 0.82), limb((-0.08, 1.38), (-0.16 - swing, 0.92), 0.075, 0.06)),
        part(skin, limb((0, 1.45), (0.01, 1.62), 0.06, 0.125), disc((-0.17 - swing, 0.88), 0.06)),
        part(HAIR, limb((-0.05, 1.68), (0.02, 1.72), 0.1, 0.1)),
    ]
    if rng.random() < 0.3:
        rucksack = limb((-0.24, 1.0), (-0.22, 1.28), 0.12, 0.11)
        parts.append(part(pick(rng, SHIRTS), rucksack))
    pose.add("person", parts)


def bicycle(pose: Pose) -> None:
    rear, front, crank, saddle, bars = (-0.55, 0.36), (0.58, 0.36), (-0.12, 0.36), (-0.24, 0.8), (0.43, 0.82)
    post, fork = (crank, (-0.27, 0.9)), (front, (0.4, 1.0))
    tubes = (post, fork, (rear, crank), (saddle, bars), (crank, bars), (rear, saddle))
    grips = limb((-0.38, 0.93), (-0.14, 0.92), 0.055, 0.04), limb((0.3, 1.0), (0.48, 1.0), 0.04, 0.04)
    pose.cast_shadow(0.85, 0.08)
    parts = [
        # Spokes would be thinner than a pixel, so the wheels are filled with their average.
        fill((126, 130, 134), *[pose.flat(disc(hub, 0.3)) for hub in (rear, front)]),
        fill(TYRE, *[pose.flat(ring(hub, 0.37, 0.28)) for hub in (rear, front)]),
        fill(pick(pose.rng, FRAMES), *[pose.flat(limb(a, b, 0.045, 0.045)) for a, b in tubes]),
        fill(LEATHER, *map(pose.flat, grips)),
    ]
    pose.add("bicycle", parts)


def motorcycle(pose: Pose) -> None:
    hubs = ((-0.78, 0.36), (0.82, 0.36))
    tank = [(-0.55, 0.55), (0.5, 0.5), (0.66, 0.95), (0.2, 1.06), (-0.15, 0.86), (-1.0, 0.98), (-1.02, 0.82)]
    engine = limb((-0.78, 0.4), (0.3, 0.42), 0.1, 0.2), limb((0.82, 0.38), (0.5, 1.05), 0.06, 0.06)
    seat = limb((-0.75, 0.93), (-0.05, 0.9), 0.09, 0.07), limb((0.32, 1.14), (0.55, 1.08), 0.05, 0.05)
    pose.cast_shadow(1.05, 0.2)
    parts = [
        fill(TYRE, *[pose.flat(disc(hub, 0.38)) for hub in hubs]),
        fill(CHROME, *[pose.flat(disc(hub, 0.2)) for hub in hubs]),
        fill(ENGINE, *map(pose.flat, engine)),
        fill(pick(pose.rng, TANKS), pose.flat(tank)),
        fill(LEATHER, *map(pose.flat, seat)),
        fill(HEADLAMP, pose.flat(disc((0.66, 0.9), 0.1)), glow=True),
        fill(CHROME, pose.flat(limb((-0.9, 0.34), (0.1, 0.3), 0.07, 0.05))),
    ]
    pose.add("motorcycle", parts)


def rider(pose: Pose) -> None:
    """A rider for either two-wheeler. The lean, the bent leg and the helmet distinguish it from a person on foot."""
    rng = pose.rng
    shirt, trousers, skin = pick(rng, SHIRTS), pick(rng, TROUSERS), pick(rng, SKINS, 3)
    limbs = (
        (trousers, limb((-0.28, 0.98), (0.16, 0.76), 0.12, 0.1)),
        (trousers, limb((0.16, 0.76), (-0.02, 0.3), 0.09, 0.07)),
        (SHOES, limb((-0.02, 0.26), (0.14, 0.26), 0.06, 0.05)),
        (shirt, limb((-0.27, 1.02), (0.06, 1.46), 0.17, 0.19)),
        (shaded(shirt, 0.8), limb((0.06, 1.45), (0.28, 1.16), 0.08, 0.06)),
        (skin, limb((0.28, 1.16), (0.46, 1.06), 0.06, 0.05)),
        (skin, limb((0.12, 1.55), (0.19, 1.68), 0.06, 0.12)),
        (pick(rng, HELMETS), limb((0.12, 1.75), (0.2, 1.77), 0.13, 0.12)),
    )
    pose.add("rider", [fill(colour, pose.flat(outline)) for colour, outline in limbs])


def cyclist(pose: Pose) -> None:
    bicycle(pose)
    rider(pose)


def motorcyclist(pose: Pose) -> None:
    motorcycle(pose)
    rider(pose)
