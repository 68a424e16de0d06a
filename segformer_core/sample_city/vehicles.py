"""Cars, trucks, buses and trams of the made-up city; u points to the front. Lengths are in metres."""

import numpy as np

from segformer_core.sample_city.pose import Pose, prism
from segformer_core.sample_city.shapes import Colour, box, disc, limb, pick, shaded
from segformer_core.sample_city.view import Part, fill

TYRE: Colour = (26, 26, 28)
GLASS: Colour = (62, 80, 96)
CHROME: Colour = (150, 152, 156)
UNDERBODY: Colour = (26, 26, 29)
BRAKE_LAMP: Colour = (214, 30, 28)
HEADLAMP: Colour = (252, 246, 214)
CARS: tuple[Colour, ...] = (
    (196, 199, 204),
    (38, 40, 46),
    (112, 116, 124),
    (34, 60, 120),
    (150, 26, 30),
    (228, 228, 226),
    (30, 74, 66),
    (96, 20, 34),
)
CARGOES: tuple[Colour, ...] = ((226, 226, 222), (70, 112, 176), (206, 210, 214), (58, 128, 120))
CABS: tuple[Colour, ...] = ((40, 84, 160), (226, 226, 224), (28, 110, 96), (170, 40, 34))
BUSES: tuple[Colour, ...] = ((238, 190, 30), (240, 160, 24), (232, 204, 70))
TRAM_WHITE: Colour = (238, 238, 234)
TRAM_SKIRTS: tuple[Colour, ...] = ((20, 140, 130), (24, 120, 150))


def car(pose: Pose) -> None:
    rng = pose.rng
    paint, half = pick(rng, CARS), 2.15
    longer, taller = rng.uniform(0, 0.45), rng.uniform(0.0, 0.18)
    hull = [(-half, 0.32), (half, 0.32), (2.2, 0.62), (2.0, 0.85), (-2.1, 0.96), (-2.19, 0.7)]
    back, front, roof = -1.75 - longer, 1.15, 1.45 + taller
    cabin = [(back, 0.93), (front, 0.9), (0.45, roof), (back + 0.4, roof)]
    pose.cast_shadow(half, 0.9)
    parts = [
        *tyres(pose, 1.35, 0.9, 0.33),
        *prism(pose, box(-2.0, 2.0, 0.16, 0.4), 0.8, UNDERBODY),
        *prism(pose, hull, 0.9, paint),
        *wheels(pose, (-1.35, 1.35), 0.9, 0.33),
        *prism(pose, cabin, 0.74, paint),
    ]
    end, side = pose.end(half), pose.side(0.9)
    if end:
        foot, head = (np.array(cabin[i]) for i in ((1, 2) if end > 0 else (0, 3)))
        (u0, v0), (u1, v1) = foot + 0.12 * (head - foot), foot + 0.88 * (head - foot)
        parts += [
            fill(GLASS, pose([(u0, v0, -0.64), (u0, v0, 0.64), (u1, v1, 0.58), (u1, v1, -0.58)])),
            fill(shaded(GLASS, 1.45), pose([(u0, v0, -0.2), (u0, v0, 0.05), (u1, v1, 0.3), (u1, v1, 0.12)])),
            *lamps(pose, half + 0.03, 0.9, 0.64, 0.16),
        ]
    if side:
        top = roof - 0.09
        rear_pane = [(back + 0.3, 1.0), (-0.45, 1.0), (-0.45, top), (back + 0.5, top)]
        front_pane = [(-0.35, 1.0), (0.92, 1.0), (0.4, top), (-0.35, top)]
        parts += [
            fill(GLASS, pose.flat(rear_pane, side * 0.74), pose.flat(front_pane, side * 0.74)),
            fill(shaded(paint, 0.7), pose.along(side * 0.9, 0.3 - half, half - 0.3, 0.6, 0.64)),
        ]
    pose.add("car", parts)
    if end:
        plate = pose.across(end * (half + 0.03), 0.42, 0.54, -0.26, 0.26)
        pose.add("license plate", [fill((236, 236, 230), plate)])


def truck(pose: Pose) -> None:
    cargo, paint = pick(pose.rng, CARGOES), pick(pose.rng, CABS)
    pose.cast_shadow(4.0, 1.25)
    chassis = [
        *tyres(pose, 2.8, 1.2, 0.5),
        *prism(pose, box(-3.9, 3.8, 0.4, 0.95), 1.05, UNDERBODY),
        *wheels(pose, (-2.9, -1.8, 2.7), 1.2, 0.5),
    ]
    load = prism(pose, box(-4.0, 1.7, 0.9, 3.5), 1.25, cargo, "grain", 0.02)
    cab = prism(pose, [(2.0, 0.55), (4.0, 0.55), (4.0, 1.6), (3.75, 2.75), (2.0, 2.75)], 1.15, paint)
    side, end = pose.side(1.25), pose.end(4.0)
    if side:
        w, ribs = side * 1.25, np.arange(-3.3, 1.6, 0.7)
        load += [
            fill(paint, pose.along(w, -3.7, 1.4, 1.2, 1.55)),
            fill(shaded(cargo, 0.84), pose.along(w, ribs, ribs + 0.05, 0.92, 3.48)),
        ]
        cab.append(fill(GLASS, pose.flat([(2.7, 1.6), (3.85, 1.6), (3.65, 2.5), (2.7, 2.5)], side * 1.15)))
    if end < 0:
        seam, bumper = pose.across(-4.0, 1.0, 3.4, -0.03, 0.03), pose.across(-4.0, 0.92, 1.06, -1.2, 1.2)
        inner = np.array((-1.2, 0.85))
        load += [
            fill(shaded(cargo, 0.6), seam, bumper),
            fill(BRAKE_LAMP, pose.across(-4.0, 0.9, 1.0, inner, inner + 0.35), glow=True),
        ]
    if end > 0:
        screen = pose([(3.98, 1.65, -1.0), (3.98, 1.65, 1.0), (3.78, 2.6, 1.0), (3.78, 2.6, -1.0)])
        grille = np.array((0.85, 1.02, 1.19))
        cab += [
            fill(GLASS, screen),
            fill(UNDERBODY, pose.across(4.0, grille, grille + 0.08, -0.7, 0.7)),
            *lamps(pose, 4.0, 1.15, 0.7, 0.2),
        ]
    pose.add("truck", [*chassis, *cab, *load] if end < 0 else [*chassis, *load, *cab])


def bus(pose: Pose) -> None:
    paint = pick(pose.rng, BUSES)
    half, axles = 5.6, (-3.4, 3.4)
    pose.cast_shadow(half, 1.27)
    body = coach(pose, half, 3.1, paint, shaded(paint, 0.72), doors=(3.6, -0.6))
    pose.add("bus", [*tyres(pose, 3.4, 1.27, 0.5), *body, *wheels(pose, axles, 1.27, 0.5)])


def tram(pose: Pose) -> None:
    """White over teal, with its rails and its pantograph. Its label in Cityscapes is `train`."""
    teal, half = pick(pose.rng, TRAM_SKIRTS), 7.5
    gauge = np.array((-0.72, 0.72))
    pose.view.mark([fill(CHROME, pose.ground(-30, 30, gauge - 0.05, gauge + 0.05))], pose.z)
    pose.cast_shadow(half, 1.27)
    bow = [limb((0, 3.6), (0.9, 4.2), 0.05, 0.05), limb((0.9, 4.2), (0, 4.75), 0.05, 0.05)]
    parts = [
        fill((60, 60, 64), *map(pose.flat, bow)),
        *prism(pose, box(-6.5, 6.5, 3.38, 3.62), 0.9, teal),
        *coach(pose, half, 3.4, TRAM_WHITE, teal, doors=(-5.2, -1.6, 3.6)),
    ]
    pose.add("train", parts)


def coach(pose: Pose, half_length: float, height: float, paint: Colour, skirt: Colour, doors: tuple[float, ...]) -> list[Part]:
    """A long box with a band of windows and a lit destination sign: the body that buses and trams share."""
    half_width = 1.27
    parts = prism(pose, box(0.2 - half_length, half_length - 0.2, 0.1, 0.5), 1.15, UNDERBODY)
    parts += prism(pose, box(-half_length, half_length, 0.32, height), half_width, paint)
    side, end = pose.side(half_width), pose.end(half_length)
    if side:
        w = side * half_width
        door, pane = np.array(doors), np.arange(0.4 - half_length, half_length - 1.2, 1.45)
        leaf = np.concatenate((door + 0.06, door + 0.64))
        parts += [
            fill(skirt, pose.along(w, -half_length, half_length, 0.32, 0.95)),
            fill((30, 38, 46), pose.along(w, 0.3 - half_length, half_length - 0.2, 1.3, 2.4)),
            fill(shaded(GLASS, 1.2), pose.along(w, pane, pane + 1.3, 1.36, 2.34)),
            fill((44, 52, 60), pose.along(w, door, door + 1.2, 0.42, 2.42)),
            fill(shaded(GLASS, 1.35), pose.along(w, leaf, leaf + 0.5, 0.6, 2.3)),
        ]
    if end:
        u = end * half_length
        parts += [
            fill(shaded(skirt, 0.92), pose.across(u, 0.32, 0.95, -half_width, half_width)),
            fill(GLASS, pose.across(u, 1.25, 2.5, -1.12, 1.12)),
            fill(shaded(GLASS, 1.4), pose([(u, 1.25, -0.5), (u, 1.25, 0.0), (u, 2.5, 0.45), (u, 2.5, 0.1)])),
            fill(UNDERBODY, pose.across(u, 2.6, 2.88, -0.75, 0.75)),
            fill((255, 176, 40), pose.across(u, 2.67, 2.81, -0.6, 0.45), glow=True),
            *lamps(pose, half_length, half_width, 0.6, 0.2),
        ]
    return parts


def tyres(pose: Pose, axle: float, half_width: float, radius: float) -> list[Part]:
    """The visible part of the wheels under the visible end. Paint it before the body."""
    end, w = pose.end(axle), np.array((0.14 - half_width, half_width - 0.14))
    return [fill(TYRE, pose.across(end * axle, 0.0, 2 * radius, w - 0.12, w + 0.12))] if end else []


def wheels(pose: Pose, axles: tuple[float, ...], half_width: float, radius: float) -> list[Part]:
    """Tyres and hubs on the visible side."""
    w = pose.side(half_width) * half_width
    if not w:
        return []
    layers = ((1.0, TYRE), (0.58, CHROME), (0.2, (60, 60, 64)))
    return [fill(colour, *[pose.flat(disc((axle, radius), radius * share), w) for axle in axles]) for share, colour in layers]


def lamps(pose: Pose, half_length: float, half_width: float, height: float, size: float) -> list[Part]:
    """Brake lamps if the rear is visible, headlamps if the front is."""
    end = pose.end(half_length)
    outer, wide = half_width - 0.1, 1.6 * size
    left = np.array((-outer, outer - wide))
    pair = pose.across(end * half_length, height, height + size, left, left + wide)
    return [fill(HEADLAMP if end > 0 else BRAKE_LAMP, pair, glow=True)] if end else []
