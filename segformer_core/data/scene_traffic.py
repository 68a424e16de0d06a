"""What moves in the made-up city: cars, trucks, buses, trams, two-wheelers and people. Metres in the thing's own axes."""

import numpy as np

from segformer_core.data.scene_view import Colour, Part, Pose, View, box, disc, limb, pick, prism, shaded

TYRE: Colour = (26, 26, 28)
GLASS: Colour = (62, 80, 96)
CHROME: Colour = (150, 152, 156)
PAINTS: tuple[Colour, ...] = (
    (196, 199, 204), (38, 40, 46), (112, 116, 124), (34, 60, 120), (150, 26, 30), (228, 228, 226), (30, 74, 66), (96, 20, 34),
)  # fmt: skip
CARGOES: tuple[Colour, ...] = ((226, 226, 222), (70, 112, 176), (206, 210, 214), (58, 128, 120))
CABS: tuple[Colour, ...] = ((40, 84, 160), (226, 226, 224), (28, 110, 96), (170, 40, 34))
BUSES: tuple[Colour, ...] = ((238, 190, 30), (240, 160, 24), (232, 204, 70))
SKINS: tuple[Colour, ...] = ((236, 196, 166), (206, 158, 122), (150, 104, 74), (98, 66, 48))
SHIRTS: tuple[Colour, ...] = (
    (206, 60, 70), (240, 210, 120), (90, 150, 210), (236, 236, 232), (226, 110, 150), (120, 80, 160), (60, 66, 78), (80, 160, 140),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((40, 48, 80), (30, 30, 34), (92, 84, 72), (64, 78, 104))
HELMETS: tuple[Colour, ...] = ((240, 240, 236), (226, 60, 40), (250, 200, 40))


def ground_shadow(view: View, pose: Pose, half_length: float, half_width: float) -> None:
    """A soft patch under something, displaced away from the sun."""
    for grow in (0.35, 0.15, 0.0):
        u, w = half_length + grow, half_width + grow
        view.shadow(pose([(-u, 0, -w), (u, 0, -w), (u + 0.1, 0, w), (-u + 0.1, 0, w)]), 0.24)


def tyres(pose: Pose, axle: float, half_width: float, radius: float) -> list[Part]:
    """What shows of the wheels under the visible end; to be painted before the body."""
    end, w = pose.end(axle), np.array((0.14 - half_width, half_width - 0.14))
    return [Part([pose.across(end * axle, 0.0, 2 * radius, w - 0.12, w + 0.12)], TYRE)] if end else []


def wheels(pose: Pose, axles: tuple[float, ...], half_width: float, radius: float) -> list[Part]:
    """Tyres and hubs on the visible side."""
    parts: list[Part] = []
    side = pose.side(half_width)
    if side:
        for share, colour in ((1.0, TYRE), (0.58, CHROME), (0.2, (60, 60, 64))):
            discs = [disc((axle, radius), radius * share) for axle in axles]
            parts.append(Part([pose(np.column_stack((d, np.full(len(d), side * half_width)))) for d in discs], colour))
    return parts


def lamps(pose: Pose, half_length: float, half_width: float, height: float, size: float) -> list[Part]:
    """Red lamps if the rear (u < 0) is in sight, white ones if the front is."""
    end = pose.end(half_length)
    if not end:
        return []
    u, colour = end * half_length, (252, 246, 214) if end > 0 else (214, 30, 28)
    outer, inner = half_width - 0.1, half_width - 0.1 - 1.6 * size
    pair = [pose.across(u, height, height + size, w0, w1) for w0, w1 in ((-outer, -inner), (inner, outer))]
    return [Part(pair, colour, glow=True)]


def car(view: View, pose: Pose, rng: np.random.Generator) -> None:
    paint = pick(rng, PAINTS)
    half, estate, tall = 2.15, rng.uniform(0, 0.45), rng.uniform(0.0, 0.18)
    body = [(-half, 0.32), (half, 0.32), (half + 0.05, 0.62), (half - 0.15, 0.85), (-half + 0.05, 0.96), (-half - 0.04, 0.7)]
    back, front, roof = -1.75 - estate, 1.15, 1.45 + tall
    cabin = [(back, 0.93), (front, 0.9), (0.45, roof), (-1.35 - estate, roof)]
    ground_shadow(view, pose, half, 0.9)
    parts = tyres(pose, 1.35, 0.9, 0.33) + prism(pose, box(-half + 0.15, half - 0.15, 0.16, 0.4), 0.8, (22, 22, 24))
    parts += prism(pose, body, 0.9, paint) + wheels(pose, (-1.35, 1.35), 0.9, 0.33)
    parts += prism(pose, cabin, 0.74, paint)
    for (u0, v0), (u1, v1), seen in ((cabin[1], cabin[2], 1), (cabin[0], cabin[3], -1)):
        if pose.end(half) == seen:
            low, high = np.array((u0, v0)), np.array((u1, v1))
            (u0, v0), (u1, v1) = low + 0.12 * (high - low), low + 0.88 * (high - low)
            parts.append(Part([pose([(u0, v0, -0.64), (u0, v0, 0.64), (u1, v1, 0.58), (u1, v1, -0.58)])], GLASS))
            shine = [(u0, v0, -0.2), (u0, v0, 0.05), (u1, v1, 0.3), (u1, v1, 0.12)]
            parts.append(Part([pose(shine)], shaded(GLASS, 1.45)))
    side = pose.side(0.9)
    if side:
        w, top = side * 0.74, roof - 0.09
        panes = ([(back + 0.3, 1.0), (-0.45, 1.0), (-0.45, top), (-1.25 - estate, top)],
                 [(-0.35, 1.0), (0.92, 1.0), (0.4, top), (-0.35, top)])  # fmt: skip
        parts.append(Part([pose([(u, v, w) for u, v in pane]) for pane in panes], GLASS))
        parts.append(Part([pose.along(side * 0.9, -half + 0.3, half - 0.3, 0.6, 0.64)], shaded(paint, 0.7)))
    parts += lamps(pose, half + 0.03, 0.9, 0.64, 0.16)
    view.add("car", parts, pose.z)
    end = pose.end(half)
    if end:
        view.add("license plate", [Part([pose.across(end * (half + 0.03), 0.42, 0.54, -0.26, 0.26)], (236, 236, 230))], pose.z)


def truck(view: View, pose: Pose, rng: np.random.Generator) -> None:
    cargo, cab = pick(rng, CARGOES), pick(rng, CABS)
    ground_shadow(view, pose, 4.0, 1.25)
    under = tyres(pose, 2.8, 1.2, 0.5) + prism(pose, box(-3.9, 3.8, 0.4, 0.95), 1.05, (40, 40, 44)) + wheels(pose, (-2.9, -1.8, 2.7), 1.2, 0.5)
    load = prism(pose, box(-4.0, 1.7, 0.9, 3.5), 1.25, cargo, "grain", 0.02)
    side, end = pose.side(1.25), pose.end(4.0)
    if side:
        w, ribs = side * 1.25, np.arange(-3.3, 1.6, 0.7)
        load.append(Part([pose.along(w, -3.7, 1.4, 1.2, 1.55)], cab))
        load.append(Part([pose.along(w, ribs, ribs + 0.05, 0.92, 3.48)], shaded(cargo, 0.84)))
    if end < 0:
        load.append(Part([pose.across(-4.0, 1.0, 3.4, -0.03, 0.03), pose.across(-4.0, 0.92, 1.06, -1.2, 1.2)], shaded(cargo, 0.6)))
        load.append(Part([pose.across(-4.0, 0.9, 1.0, w, w + 0.35) for w in (-1.2, 0.85)], (220, 40, 30), glow=True))
    front = prism(pose, [(2.0, 0.55), (4.0, 0.55), (4.0, 1.6), (3.75, 2.75), (2.0, 2.75)], 1.15, cab)
    if side:
        front.append(Part([pose([(u, v, side * 1.15) for u, v in ((2.7, 1.6), (3.85, 1.6), (3.65, 2.5), (2.7, 2.5))])], GLASS))
    if end > 0:
        front.append(Part([pose([(3.98, 1.65, -1.0), (3.98, 1.65, 1.0), (3.78, 2.6, 1.0), (3.78, 2.6, -1.0)])], GLASS))
        front.append(Part([pose.across(4.0, v, v + 0.08, -0.7, 0.7) for v in (0.85, 1.02, 1.19)], (44, 46, 50)))
        front += lamps(pose, 4.0, 1.15, 0.7, 0.2)
    view.add("truck", under + (front + load if end < 0 else load + front), pose.z)


def coach(
    view: View, pose: Pose, label: str, half_length: float, height: float, livery: tuple[Colour, Colour], doors: tuple[float, ...]
) -> None:
    """A long box with a band of windows: the body shared by buses and trams."""
    paint, skirt = livery
    half_width = 1.27
    ground_shadow(view, pose, half_length, half_width)
    parts = tyres(pose, 0.6 * half_length, half_width, 0.5) if label == "bus" else []
    parts += prism(pose, box(-half_length + 0.2, half_length - 0.2, 0.1, 0.5), 1.15, (30, 30, 34))
    parts += prism(pose, box(-half_length, half_length, 0.32, height), half_width, paint)
    side, end = pose.side(half_width), pose.end(half_length)
    if side:
        w = side * half_width
        parts.append(Part([pose.along(w, -half_length, half_length, 0.32, 0.95)], skirt))
        parts.append(Part([pose.along(w, 0.3 - half_length, half_length - 0.2, 1.3, 2.4)], (30, 38, 46)))
        starts = np.arange(0.4 - half_length, half_length - 1.2, 1.45)
        parts.append(Part([pose.along(w, starts, starts + 1.3, 1.36, 2.34)], shaded(GLASS, 1.2)))
        parts.append(Part([pose.along(w, u, u + 1.2, 0.42, 2.42) for u in doors], (44, 52, 60)))
        parts.append(Part([pose.along(w, u + s, u + s + 0.5, 0.6, 2.3) for u in doors for s in (0.06, 0.64)], shaded(GLASS, 1.35)))
    if end:
        u = end * half_length
        parts.append(Part([pose.across(u, 0.32, 0.95, -half_width, half_width)], shaded(skirt, 0.92)))
        parts.append(Part([pose.across(u, 1.25, 2.5, -1.12, 1.12)], GLASS))
        parts.append(Part([pose([(u, 1.25, -0.5), (u, 1.25, 0.0), (u, 2.5, 0.45), (u, 2.5, 0.1)])], shaded(GLASS, 1.4)))
        parts.append(Part([pose.across(u, 2.6, 2.88, -0.75, 0.75)], (24, 24, 26)))
        parts.append(Part([pose.across(u, 2.67, 2.81, -0.6, 0.45)], (255, 176, 40), glow=True))
        parts += lamps(pose, half_length, half_width, 0.6, 0.2)
    if label == "bus":
        parts += wheels(pose, (-0.6 * half_length, 0.6 * half_length), half_width, 0.5)
    view.add(label, parts, pose.z)


def bus(view: View, pose: Pose, rng: np.random.Generator) -> None:
    paint = pick(rng, BUSES)
    coach(view, pose, "bus", 5.6, 3.1, (paint, shaded(paint, 0.72)), (3.6, -0.6))


def tram(view: View, pose: Pose, rng: np.random.Generator) -> None:
    """Cityscapes calls a tram `train`. White over teal, on its rails, under its pantograph."""
    teal = pick(rng, ((20, 140, 130), (24, 120, 150)))
    rails = [pose.ground(-30, 30, w - 0.05, w + 0.05) for w in (-0.72, 0.72)]
    view.mark([Part(rails, (150, 146, 140))], pose.z)
    bow = [limb(a, b, 0.05, 0.05) for a, b in (((0, 3.6), (0.9, 4.2)), ((0.9, 4.2), (0, 4.75)))]
    roof = [Part([pose.flat(tube) for tube in bow], (60, 60, 64)), *prism(pose, box(-6.5, 6.5, 3.38, 3.62), 0.9, teal)]
    view.add("train", roof, pose.z)
    coach(view, pose, "train", 7.5, 3.4, ((238, 238, 234), teal), (-5.2, -1.6, 3.6))


def person(view: View, pose: Pose, rng: np.random.Generator) -> None:
    stride, size = rng.uniform(0.05, 0.32), rng.uniform(0.92, 1.06)
    skin, shirt, trousers = pick(rng, SKINS, 6), pick(rng, SHIRTS), pick(rng, TROUSERS)
    ground_shadow(view, pose, 0.3, 0.15)

    def part(colour: Colour, *limbs: np.ndarray) -> Part:
        return Part([pose.flat(size * shape) for shape in limbs], colour)

    swing = stride * rng.uniform(0.5, 1.0)
    parts = [
        part(shaded(shirt, 0.72), limb((0.05, 1.38), (0.16 + swing, 0.9), 0.07, 0.06)),
        part(shaded(trousers, 0.75), limb((0.05, 0.9), (-stride, 0.08), 0.12, 0.075)),
        part(trousers, limb((-0.05, 0.9), (stride, 0.08), 0.12, 0.075)),
        part((40, 32, 28), limb((stride, 0.05), (stride + 0.14, 0.05), 0.06, 0.05), limb((-stride, 0.05), (0.12 - stride, 0.05), 0.06, 0.05)),
        part(shirt, limb((0, 0.95), (0, 1.36), 0.18, 0.2)),
        part(shaded(shirt, 0.82), limb((-0.08, 1.38), (-0.16 - swing, 0.92), 0.075, 0.06)),
        part(skin, limb((0, 1.45), (0.01, 1.62), 0.06, 0.125), disc((-0.17 - swing, 0.88), 0.06)),
        part((52, 38, 30), limb((-0.05, 1.68), (0.02, 1.72), 0.1, 0.1)),
    ]
    if rng.random() < 0.3:
        parts.append(part(pick(rng, SHIRTS), limb((-0.24, 1.0), (-0.22, 1.28), 0.12, 0.11)))
    view.add("person", parts, pose.z)


def bicycle(view: View, pose: Pose, rng: np.random.Generator) -> None:
    frame = pick(rng, ((30, 150, 170), (200, 60, 120), (70, 170, 80), (230, 120, 40)))
    ground_shadow(view, pose, 0.85, 0.08)
    rims = [pose.flat(np.concatenate((disc((u, 0.36), 0.37), [(u + 0.37, 0.36)], disc((u, 0.36), 0.28)[::-1]))) for u in (-0.55, 0.58)]
    tubes = (((-0.55, 0.36), (-0.12, 0.36)), ((-0.12, 0.36), (-0.26, 0.88)), ((-0.22, 0.78), (0.44, 0.82)), ((-0.12, 0.36), (0.44, 0.78)),
             ((-0.55, 0.36), (-0.22, 0.78)), ((0.58, 0.36), (0.42, 0.98)))  # fmt: skip
    parts = [
        Part([pose.flat(disc((u, 0.36), 0.3)) for u in (-0.55, 0.58)], (126, 130, 134)),
        Part(rims, TYRE),
        Part([pose.flat(limb(a, b, 0.045, 0.045)) for a, b in tubes], frame),
        Part([pose.flat(limb((-0.38, 0.93), (-0.14, 0.92), 0.055, 0.04)), pose.flat(limb((0.3, 1.0), (0.48, 1.0), 0.04, 0.04))], (30, 26, 24)),
    ]
    view.add("bicycle", parts, pose.z)


def motorcycle(view: View, pose: Pose, rng: np.random.Generator) -> None:
    paint = pick(rng, ((190, 30, 30), (210, 70, 20), (30, 34, 40)))
    ground_shadow(view, pose, 1.05, 0.2)
    parts = [
        Part([pose.flat(disc((u, 0.36), 0.38)) for u in (-0.78, 0.82)], TYRE),
        Part([pose.flat(disc((u, 0.36), 0.2)) for u in (-0.78, 0.82)], CHROME),
        Part([pose.flat(limb((-0.78, 0.4), (0.3, 0.42), 0.1, 0.2)), pose.flat(limb((0.82, 0.38), (0.5, 1.05), 0.06, 0.06))], (92, 94, 100)),
        Part([pose.flat([(-0.55, 0.55), (0.5, 0.5), (0.66, 0.95), (0.2, 1.06), (-0.15, 0.86), (-1.0, 0.98), (-1.02, 0.82)])], paint),
        Part([pose.flat(limb((-0.75, 0.93), (-0.05, 0.9), 0.09, 0.07)), pose.flat(limb((0.32, 1.14), (0.55, 1.08), 0.05, 0.05))], (24, 22, 24)),
        Part([pose.flat(disc((0.66, 0.9), 0.1))], (250, 244, 210), glow=True),
        Part([pose.flat(limb((-0.9, 0.34), (0.1, 0.3), 0.07, 0.05))], CHROME),
    ]
    view.add("motorcycle", parts, pose.z)


def rider(view: View, pose: Pose, rng: np.random.Generator) -> None:
    """Sits on either two-wheeler: a lean, a bent leg and a helmet tell it from a person on foot."""
    shirt, trousers, skin = pick(rng, SHIRTS), pick(rng, TROUSERS), pick(rng, SKINS, 6)
    limbs = (
        (trousers, ((-0.28, 0.98), (0.16, 0.76), 0.12, 0.1)), (trousers, ((0.16, 0.76), (-0.02, 0.3), 0.09, 0.07)),
        ((36, 30, 28), ((-0.02, 0.26), (0.14, 0.26), 0.06, 0.05)), (shirt, ((-0.27, 1.02), (0.06, 1.46), 0.17, 0.19)),
        (shaded(shirt, 0.8), ((0.06, 1.45), (0.28, 1.16), 0.08, 0.06)), (skin, ((0.28, 1.16), (0.46, 1.06), 0.06, 0.05)),
        (skin, ((0.12, 1.55), (0.19, 1.68), 0.06, 0.12)), (pick(rng, HELMETS), ((0.12, 1.75), (0.2, 1.77), 0.13, 0.12)),
    )  # fmt: skip
    view.add("rider", [Part([pose.flat(limb(*shape))], colour) for colour, shape in limbs], pose.z)


def cyclist(view: View, pose: Pose, rng: np.random.Generator) -> None:
    bicycle(view, pose, rng)
    rider(view, pose, rng)


def motorcyclist(view: View, pose: Pose, rng: np.random.Generator) -> None:
    motorcycle(view, pose, rng)
    rider(view, pose, rng)
