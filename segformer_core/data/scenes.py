"""Streets of a made-up city, drawn from the same polygons that become their labels.

Nothing is random but the generator handed in, so a seed is a picture.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from segformer_core.data import scene_street as street
from segformer_core.data import scene_traffic as traffic
from segformer_core.data.scene_view import Light, Part, Pose, View, pick

AWAY, TOWARDS = np.pi / 2, -np.pi / 2
FAR = 400.0  # metres; here the ground meets the horizon to within a pixel or two

# name: sky at the top, sky at the horizon, tint, cloudiness, lamps
TIMES_OF_DAY = {
    "noon": ((74, 138, 214), (196, 220, 242), (1.0, 1.0, 0.98), 0.35, False),
    "morning": ((116, 168, 222), (250, 228, 198), (1.03, 0.98, 0.9), 0.3, False),
    "overcast": ((150, 160, 174), (212, 216, 220), (0.86, 0.88, 0.92), 0.8, False),
    "golden": ((104, 132, 190), (255, 200, 134), (1.06, 0.91, 0.76), 0.35, False),
    "dusk": ((58, 68, 122), (226, 150, 138), (0.68, 0.65, 0.8), 0.4, True),
}


@dataclass(frozen=True)
class Scene:
    """image: (H, W, 3) uint8 RGB; objects: [{"label": Cityscapes name, "polygon": [[x, y], ...]}], each drawn over those before it."""

    image: np.ndarray
    objects: list[dict]


@dataclass(frozen=True)
class Street:
    """Cross-section in metres from the centre line, and the crossing's stretch of Z (empty: start = end)."""

    road: float
    verges: tuple[float, float]  # grass between kerb and pavement, left and right
    pavement: float
    crossing: tuple[float, float]

    def kerb(self, side: int) -> float:
        return self.road + self.verges[side > 0]

    def frontage(self, side: int) -> float:
        """Where houses and gardens begin."""
        return self.kerb(side) + self.pavement


def scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """One street."""
    view = View(
        height,
        width,
        focal=width * rng.uniform(0.74, 0.92),
        vanishing_point=(width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.5)),
        eye=(rng.uniform(-0.3, 2.0), rng.uniform(1.5, 2.1)),
        light=time_of_day(rng),
        rng=rng,
    )
    start = rng.uniform(17, 27)
    layout = Street(
        road=rng.uniform(4.6, 5.2),
        verges=(rng.choice([0.0, 0.0, 2.2]), rng.choice([0.0, 0.0, 2.2])),
        pavement=rng.uniform(3.0, 4.2),
        crossing=(start, start + 9.0) if rng.random() < 0.65 else (start, start),
    )
    street.sky(view, view.vanishing_point[1] + 2)
    skyline(view, rng)
    plots = {side: list(parcels(rng, layout)) for side in (-1, 1)}
    ground(view, rng, layout, plots)
    for side in (-1, 1):
        frontage(view, rng, layout, side, plots[side])
    cast = [*furniture(view, rng, layout), *vehicles(view, rng, layout), *two_wheelers(view, rng, layout), *people(view, rng, layout)]
    for _, draw in sorted(cast, key=lambda entry: -entry[0]):
        draw()
    image_frame(view, rng)
    return Scene(view.photograph(), view.objects)


def time_of_day(rng: np.random.Generator) -> Light:
    names = list(TIMES_OF_DAY)
    top, bottom, tint, clouds, lamps = TIMES_OF_DAY[names[rng.choice(len(names), p=(0.3, 0.2, 0.2, 0.18, 0.12))]]
    shift = rng.normal(0, 7, 3)
    return Light(
        sky_top=tuple(np.clip(np.add(top, shift), 0, 255)),
        sky_bottom=tuple(np.clip(np.add(bottom, shift), 0, 255)),
        tint=tuple(np.multiply(tint, rng.uniform(0.97, 1.03) + rng.normal(0, 0.012, 3))),
        sun=(rng.choice([-0.6, 0.6]), 0.7, -0.4),
        cloudiness=float(np.clip(clouds + rng.normal(0, 0.12), 0.05, 1)),
        lamps=lamps,
    )


def skyline(view: View, rng: np.random.Generator) -> None:
    """Blocks and woods where the street ends."""
    for x in np.arange(-72, 73, 18):
        if rng.random() < 0.6:
            street.building(view, Pose(view, x, 150), rng, 17, 8, rng.uniform(7, 17))
        else:
            street.hedge(view, Pose(view, x, 145), rng, 20, rng.uniform(5, 10))


def parcels(rng: np.random.Generator, layout: Street) -> Iterator[tuple[str, float, float]]:
    """(kind, near, far) along Z, from the camera on, with the crossing left out."""
    kinds = ["house", "fence", "wall", "house", "lawn", "fence", "house", "wall", "hedge"]
    offset, near = int(rng.integers(len(kinds))), -4.0
    count = 0
    while near < 90:
        far = near + rng.uniform(9, 14)
        if near < layout.crossing[1] and far > layout.crossing[0] < layout.crossing[1]:
            far = layout.crossing[0]
        if far - near > 3:
            yield kinds[(offset + count) % len(kinds)], near, far
            count += 1
        near = far if far != layout.crossing[0] else layout.crossing[1]


def ground(view: View, rng: np.random.Generator, layout: Street, plots: dict[int, list[tuple[str, float, float]]]) -> None:
    """Pavements, gardens, verges, then the road over them with its markings."""
    world = Pose(view, 0.0, 0.0)
    crossing = layout.crossing
    paving = pick(rng, ((186, 172, 168), (178, 168, 172), (192, 176, 164)), 8)
    grass = pick(rng, ((132, 168, 74), (142, 170, 84), (124, 160, 70)), 8)
    asphalt = pick(rng, ((92, 92, 98), (102, 100, 102), (84, 86, 94)), 8)
    for side in (-1, 1):
        view.add("sidewalk", [Part([world.ground(side * layout.road, side * 150, 0, FAR)], paving, "grain", 0.04)], 8)
        tiles(view, layout, side, paving)
        for kind, near, far in plots[side]:
            if kind != "house":
                edge = side * layout.frontage(side)
                view.add("terrain", [Part([world.ground(edge, side * 60, max(near, 0.0), far)], grass, "grain", 0.07)], 10)
        if layout.verges[side > 0]:
            for near, far in ((0.0, crossing[0]), (crossing[1], 90.0)):
                strip = world.ground(side * layout.road, side * layout.kerb(side), near, far)
                view.add("terrain", [Part([strip], grass, "grain", 0.07)], 8)
    lanes = [world.ground(-layout.road, layout.road, 0, FAR)]
    if crossing[1] > crossing[0]:
        lanes.append(world.ground(-150, 150, *crossing))
    view.add("road", [Part(lanes[i : i + 1], asphalt, "grain", 0.045) for i in range(len(lanes))], 8)
    markings(view, rng, layout)


def tiles(view: View, layout: Street, side: int, paving: tuple[float, float, float]) -> None:
    """Joints between slabs, and the kerb."""
    world = Pose(view, 0.0, 0.0)
    inner, outer = side * layout.kerb(side), side * (layout.frontage(side) + 1)
    z, x = np.arange(3.6, 26, 1.2), np.arange(min(inner, outer), max(inner, outer), 1.2)
    joints = [world.ground(inner, outer, z, z + 0.05), world.ground(x, x + 0.04, 0, 40)]
    view.mark([Part(joints, tuple(0.84 * np.asarray(paving)))], 8)
    view.mark([Part([world.ground(inner, inner + side * 0.25, 0, 120)], tuple(1.16 * np.asarray(paving)))], 8)


def markings(view: View, rng: np.random.Generator, layout: Street) -> None:
    """Centre line, parking lines, zebra, patches of newer asphalt."""
    world = Pose(view, 0.0, 0.0)
    start, end = layout.crossing
    patch, x = rng.uniform(4, 12), rng.uniform(-3, 2)
    view.shadow(world.ground(x, x + 1.6, patch, patch + rng.uniform(2, 6)), 0.16)
    white = (228, 228, 222)
    stripes = [z for z in np.arange(rng.uniform(2, 6), 90, 6.0) if z + 3 < start - 3 or z > end]
    lines = [world.ground(-0.08, 0.08, z, z + 3) for z in stripes]
    lines += [world.ground(s * layout.road - s * 0.2, s * layout.road - s * 0.34, 0, start - 3) for s in (-1, 1)]
    if end > start:
        lines += [world.ground(x, x + 0.5, start - 2.6, start - 0.6) for x in np.arange(-layout.road + 0.3, layout.road - 0.5, 1.0)]
    view.mark([Part(lines, white)], 10)


def frontage(view: View, rng: np.random.Generator, layout: Street, side: int, plots: list[tuple[str, float, float]]) -> None:
    """Houses, and gardens with trees behind a fence, a wall or a hedge; far to near."""
    edge = layout.frontage(side)
    for kind, near, far in reversed(plots):
        middle, length = (near + far) / 2, far - near
        if kind == "house":
            depth = rng.uniform(9, 13)
            street.building(view, Pose(view, side * (edge + depth / 2), middle), rng, depth, length, rng.uniform(6.5, 13))
        else:
            for z in np.sort(rng.uniform(max(near, 6.0), max(far, 7.0), 2))[::-1]:
                street.tree(view, Pose(view, side * (edge + rng.uniform(2.5, 5)), z), rng, rng.uniform(5, 9))
    for kind, near, far in reversed(plots):
        pose = Pose(view, side * edge, (near + far) / 2, AWAY)
        if kind == "fence":
            street.fence(view, pose, rng, far - near, rng.uniform(1.7, 2.2))
        elif kind == "wall":
            street.wall(view, pose, rng, far - near, rng.uniform(1.8, 2.5))
        elif kind == "hedge":
            street.hedge(view, pose, rng, far - near, rng.uniform(1.0, 1.5))


Entry = tuple[float, Callable[[], None]]  # the Z of the nearest point, by which things are ordered, and how to draw it


def in_sight(view: View, rng: np.random.Generator, x: float, spread: float = 0.8) -> float:
    """A Z at which something at X stands inside the picture, nearer rather than farther."""
    if x > view.eye[0]:
        room = view.width - view.vanishing_point[0]
    else:
        room = view.vanishing_point[0]
    return max(6.0, abs(x - view.eye[0]) * view.focal / room * 1.12) * (1.0 + spread * rng.beta(1.2, 2.5))


def furniture(view: View, rng: np.random.Generator, layout: Street) -> Iterator[Entry]:
    """What stands at the kerb."""
    for side in (-1, 1):
        x = side * (layout.road + 0.5)
        for z in np.arange(rng.uniform(9, 18), 80, 18.0):
            yield z, partial(street.street_lamp, view, Pose(view, x, z), rng, -side * 1.6)
        for draw, chance in ((street.traffic_light, 0.55), (street.traffic_sign, 0.65), (street.traffic_sign, 0.3), (street.bollard, 0.35)):
            if rng.random() < chance:
                z = in_sight(view, rng, x + side * 0.6)
                yield z, partial(draw, view, Pose(view, x + side * rng.uniform(-0.1, 0.4), z), rng)
        if rng.random() < 0.4:
            z = in_sight(view, rng, x, 3.0) + 5
            yield z, partial(street.tree, view, Pose(view, x + side * 0.6, z), rng, rng.uniform(4.5, 6.5))


LENGTHS = {traffic.car: 4.4, traffic.truck: 8.0, traffic.bus: 11.2, traffic.tram: 15.0}


def vehicles(view: View, rng: np.random.Generator, layout: Street) -> Iterator[Entry]:
    """Each lane is a queue; the large vehicles are dealt first because they are rare and should be near."""
    large = [draw for draw, chance in ((traffic.truck, 0.65), (traffic.bus, 0.75), (traffic.tram, 0.6)) if rng.random() < chance]
    rng.shuffle(large)  # type: ignore[arg-type]
    lanes = [(-1.45, TOWARDS, rng.uniform(7, 12)), (1.45, AWAY, rng.uniform(10, 18))]
    start, end = layout.crossing
    crossed = end > start and len(large) > 0 and rng.random() < 0.75
    if crossed:
        x = view.eye[0] + rng.uniform(-6, 6)
        yield start + 1.2, partial(large.pop(), view, Pose(view, x, start + 2.5, rng.choice([0.0, np.pi])), rng)
        if rng.random() < 0.6:
            yield start + 5.6, partial(traffic.car, view, Pose(view, x + rng.choice([-10, 10]), start + 6.5, np.pi), rng)
    for lane in rng.permutation(2):
        x, yaw, z = lanes[lane]
        while z < 75:
            draw = large.pop() if large and rng.random() < 0.75 else traffic.car
            if crossed and z < end and z + LENGTHS[draw] > start:
                z = end + 1.0
            if draw is not traffic.car or rng.random() < 0.7:
                middle = z + LENGTHS[draw] / 2
                yield z, partial(draw, view, Pose(view, x + rng.normal(0, 0.1), middle, yaw), rng)
            z += LENGTHS[draw] + rng.uniform(3, 9)
    for side in (-1, 1):
        x = side * (layout.road - 0.95)
        z = in_sight(view, rng, x)
        while z < start - 5:
            if rng.random() < 0.35:
                yield z, partial(traffic.car, view, Pose(view, x, z + 2.2, rng.choice([AWAY, TOWARDS])), rng)
            z += 5.5


def two_wheelers(view: View, rng: np.random.Generator, layout: Street) -> Iterator[Entry]:
    """Ridden over the road, or parked on the pavement."""
    for ridden, parked, chance in ((traffic.cyclist, traffic.bicycle, 0.55), (traffic.motorcyclist, traffic.motorcycle, 0.5)):
        if rng.random() < chance:
            x = rng.uniform(-0.7, 0.9) * layout.road
            z = in_sight(view, rng, x, 1.2)
            yield z, partial(ridden, view, Pose(view, x, z, rng.uniform(-0.5, 0.5) + rng.choice([0, np.pi])), rng)
        if rng.random() < 0.45:
            x = rng.choice([-1, 1]) * (layout.road + 1.2)
            z = in_sight(view, rng, x, 0.4)
            yield z, partial(parked, view, Pose(view, x, z, rng.uniform(-0.4, 0.4)), rng)


def people(view: View, rng: np.random.Generator, layout: Street) -> Iterator[Entry]:
    """On both pavements, and now and then across the road."""
    for _ in range(rng.integers(3, 7)):
        side = int(rng.choice([-1, 1]))
        x = side * (layout.kerb(side) + rng.uniform(0.5, layout.pavement - 0.3))
        z = in_sight(view, rng, x)
        yield z, partial(traffic.person, view, Pose(view, x, z, rng.choice([0.0, np.pi])), rng)
    if rng.random() < 0.4:
        x = rng.uniform(-0.8, 0.8) * layout.road
        z = in_sight(view, rng, x, 0.6) + 1.5
        yield z, partial(traffic.person, view, Pose(view, x, z, rng.choice([0.0, np.pi])), rng)


def image_frame(view: View, rng: np.random.Generator) -> None:
    """The camera car's own bonnet and the margin that Cityscapes leaves out: both are ignored in training."""
    height, width = view.height, view.width
    top = height * rng.uniform(0.93, 0.96)
    x = np.linspace(0, 1, 24)
    arch = top + (height - top) * 0.8 * np.abs(2 * x - 1) ** 2.5
    bonnet = np.concatenate((np.stack((x * (width - 1), arch), axis=1), [(width - 1, height - 1), (0, height - 1)]))
    view.add("ego vehicle", [Part([bonnet], (46, 48, 54))], 0)
    gleam = np.concatenate((np.stack((x * (width - 1), arch), axis=1), np.stack((x * (width - 1), arch + 1.2), axis=1)[::-1]))
    view.mark([Part([gleam], view.light.sky_bottom)], 0)
    margin, right, bottom = 2, width - 1, height - 1
    outer = [[0, 0], [right, 0], [right, bottom], [0, bottom], [0, 0]]
    inner = [[margin, margin], [margin, bottom - margin], [right - margin, bottom - margin], [right - margin, margin], [margin, margin]]
    view.objects.append({"label": "out of roi", "polygon": outer + inner})
