"""Streets of a made-up city in the style of Cityscapes. One drawing gives both the image and the labels.

All random numbers come from the generator that is passed in, so equal seeds give equal pictures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from segformer_core.sample_city import buildings, furniture, people, vehicles
from segformer_core.sample_city.ground import Plot, Street, ground, image_frame, plots, sky
from segformer_core.sample_city.pose import Pose
from segformer_core.sample_city.view import Light, Object, View

AWAY, TOWARDS, RIGHT, LEFT = np.pi / 2, -np.pi / 2, 0.0, np.pi
LANE = 1.45  # metres from the centre line
LENGTHS = {vehicles.car: 4.4, vehicles.truck: 8.0, vehicles.bus: 11.2, vehicles.tram: 15.0}
# These are rare in real streets, but a network can learn a class only if the pictures show it.
LARGE = ((vehicles.truck, 0.65), (vehicles.bus, 0.75), (vehicles.tram, 0.6))
KERBSIDE = (
    (furniture.traffic_light, 0.55),
    (furniture.traffic_sign, 0.65),
    (furniture.traffic_sign, 0.3),
    (furniture.litter_bin, 0.35),
)
TWO_WHEELERS = (
    (people.cyclist, people.bicycle, 0.55),
    (people.motorcyclist, people.motorcycle, 0.5),
)
# Share of the scenes, sky colours at the top and at the horizon, tint, cloudiness, whether lamps are on.
TIMES_OF_DAY = (
    (0.30, (74, 138, 214), (196, 220, 242), (1.0, 1.0, 0.98), 0.35, False),  # noon
    (0.20, (116, 168, 222), (250, 228, 198), (1.03, 0.98, 0.9), 0.3, False),  # morning
    (0.20, (150, 160, 174), (212, 216, 220), (0.86, 0.88, 0.92), 0.8, False),  # overcast
    (0.18, (104, 132, 190), (255, 200, 134), (1.06, 0.91, 0.76), 0.35, False),  # late afternoon
    (0.12, (58, 68, 122), (226, 150, 138), (0.68, 0.65, 0.8), 0.4, True),  # dusk
)

Entry = tuple[float, Callable[[], None]]  # the Z of an object's nearest point, and a function that draws the object


@dataclass(frozen=True)
class Scene:
    """image: (H, W, 3) uint8 RGB; objects: Cityscapes' labels and integer polygons, in painter's order."""

    image: np.ndarray
    objects: list[Object]


def scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draw one street of `height` x `width` pixels; every random draw advances the generator."""
    view = View(
        height,
        width,
        focal=width * rng.uniform(0.74, 0.92),
        vanishing_point=(width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.5)),
        eye=(rng.uniform(-0.3, 2.0), rng.uniform(1.5, 2.1)),
        light=time_of_day(rng),
        rng=rng,
    )
    junction = rng.uniform(17, 27)
    street = Street(
        road=rng.uniform(4.6, 5.2),
        verges=(2.2 * (rng.random() < 0.35), 2.2 * (rng.random() < 0.35)),
        pavement=rng.uniform(3.0, 4.2),
        crossing=(junction, junction + 9.0) if rng.random() < 0.65 else None,
    )
    sides = {side: plots(rng, street) for side in (-1, 1)}
    sky(view, int(view.vanishing_point[1]) + 2)
    skyline(view)
    ground(view, street, sides)
    for side, row in sides.items():
        frontage(view, row, side, street.frontage(side))
    # Buildings are behind everything that stands in the street, so only what stands there needs sorting.
    cast = [entry for group in (kerbside, traffic, two_wheelers, walkers) for entry in group(view, street)]
    for _, draw in sorted(cast, key=lambda entry: -entry[0]):
        draw()
    image_frame(view)
    return Scene(view.photograph(), view.objects)


def time_of_day(rng: np.random.Generator) -> Light:
    """A random row of TIMES_OF_DAY, slightly varied."""
    chosen = rng.choice(len(TIMES_OF_DAY), p=[row[0] for row in TIMES_OF_DAY])
    _, top, bottom, tint, clouds, lamps = TIMES_OF_DAY[chosen]
    shift, cast = rng.normal(0, 7, 3), rng.uniform(0.97, 1.03) + rng.normal(0, 0.012, 3)
    return Light(
        sky_top=(top[0] + shift[0], top[1] + shift[1], top[2] + shift[2]),
        sky_bottom=(bottom[0] + shift[0], bottom[1] + shift[1], bottom[2] + shift[2]),
        tint=(tint[0] * cast[0], tint[1] * cast[1], tint[2] * cast[2]),
        sun=(0.6 if rng.random() < 0.5 else -0.6, 0.7, -0.4),
        cloudiness=float(np.clip(clouds + rng.normal(0, 0.12), 0.05, 1)),
        lamps=lamps,
    )


def skyline(view: View) -> None:
    """Draw buildings and hedges where the street ends."""
    for x in np.arange(-72, 73, 18):
        if view.rng.random() < 0.6:
            buildings.building(Pose(view, x, 150), 17, 8, view.rng.uniform(7, 17))
        else:
            furniture.hedge(Pose(view, x, 145), 20, view.rng.uniform(5, 10))


def frontage(view: View, row: list[Plot], side: int, edge: float) -> None:
    """Draw one side's houses and garden trees, then its fences, walls and hedges; each from far to near."""
    rng = view.rng
    for plot in reversed(row):
        if plot.kind == "house":
            depth, length = rng.uniform(9, 13), plot.far - plot.near
            pose = Pose(view, side * (edge + depth / 2), (plot.near + plot.far) / 2)
            buildings.building(pose, depth, length, rng.uniform(6.5, 13))
        else:
            for z in -np.sort(-rng.uniform(max(plot.near, 6.0), max(plot.far, 7.0), 2)):
                furniture.tree(Pose(view, side * (edge + rng.uniform(2.5, 5)), z), rng.uniform(5, 9))
    for plot in reversed(row):
        pose, length = Pose(view, side * edge, (plot.near + plot.far) / 2, AWAY), plot.far - plot.near
        if plot.kind == "fence":
            buildings.fence(pose, length, rng.uniform(1.7, 2.2))
        elif plot.kind == "wall":
            buildings.wall(pose, length, rng.uniform(1.8, 2.5))
        elif plot.kind == "hedge":
            furniture.hedge(pose, length, rng.uniform(1.0, 1.5))


def in_sight(view: View, x: float, spread: float = 0.8) -> float:
    """A random Z at which an object at `x` is inside the picture: the nearest such Z times 1 to 1 + spread."""
    centre = view.vanishing_point[0]
    room = view.width - centre if x > view.eye[0] else centre
    nearest = max(6.0, 1.12 * abs(x - view.eye[0]) * view.focal / room)
    return nearest * (1.0 + spread * view.rng.beta(1.2, 2.5))


def kerbside(view: View, street: Street) -> Iterator[Entry]:
    """Lamps, traffic lights, signs, bins and trees along both kerbs."""
    rng = view.rng
    for side in (-1, 1):
        x = side * (street.road + 0.5)
        for z in np.arange(rng.uniform(9, 18), 80, 18.0):
            yield z, partial(furniture.street_lamp, Pose(view, x, z), -side * 1.6)
        for draw, chance in KERBSIDE:
            if rng.random() < chance:
                z = in_sight(view, x + side * 0.6)
                yield z, partial(draw, Pose(view, x + side * rng.uniform(-0.1, 0.4), z))
        if rng.random() < 0.4:
            z = in_sight(view, x, 3.0) + 5
            yield z, partial(furniture.tree, Pose(view, x + side * 0.6, z), rng.uniform(4.5, 6.5))


def traffic(view: View, street: Street) -> Iterator[Entry]:
    """A large vehicle on the crossing, a queue in each lane, and cars parked before the crossing."""
    rng = view.rng
    chosen = [draw for draw, chance in LARGE if rng.random() < chance]
    large = [chosen[i] for i in rng.permutation(len(chosen))]
    junction, end = street.crossing or (20.0, 20.0)
    crossed = street.crossing is not None and len(large) > 0 and rng.random() < 0.75
    if crossed:
        x, z = view.eye[0] + rng.uniform(-6, 6), junction + 2.5
        yield z - 1.3, partial(large.pop(), Pose(view, x, z, RIGHT if rng.random() < 0.5 else LEFT))
        if rng.random() < 0.6:
            beyond = Pose(view, x + rng.choice([-10, 10]), z + 4.0, LEFT)
            yield z + 3.1, partial(vehicles.car, beyond)
    lanes = [(-LANE, TOWARDS, rng.uniform(7, 12)), (LANE, AWAY, rng.uniform(10, 18))]
    for lane in rng.permutation(2):
        x, yaw, z = lanes[lane]
        while z < 75:
            # Large vehicles come first, because they are rare and should be near.
            draw = large.pop() if large and rng.random() < 0.75 else vehicles.car
            length = LENGTHS[draw]
            if crossed and z < end and z + length > junction:
                z = end + 1.0
            if draw is not vehicles.car or rng.random() < 0.7:
                yield z, partial(draw, Pose(view, x + rng.normal(0, 0.1), z + length / 2, yaw))
            z += length + rng.uniform(3, 9)
    for side in (-1, 1):
        x = side * (street.road - 0.95)
        for z in np.arange(in_sight(view, x), junction - 5, 5.5):
            if rng.random() < 0.35:
                pose = Pose(view, x, z + 2.2, AWAY if rng.random() < 0.5 else TOWARDS)
                yield z, partial(vehicles.car, pose)


def two_wheelers(view: View, street: Street) -> Iterator[Entry]:
    """Bicycles and motorcycles with riders on the road, and parked ones on the pavement."""
    rng = view.rng
    for ridden, parked, chance in TWO_WHEELERS:
        if rng.random() < chance:
            x = rng.uniform(-0.7, 0.9) * street.road
            z = in_sight(view, x, 1.2)
            yield z, partial(ridden, Pose(view, x, z, rng.uniform(-0.5, 0.5) + LEFT * rng.integers(2)))
        if rng.random() < 0.45:
            x = rng.choice([-1, 1]) * (street.road + 1.2)
            z = in_sight(view, x, 0.4)
            yield z, partial(parked, Pose(view, x, z, rng.uniform(-0.4, 0.4)))


def walkers(view: View, street: Street) -> Iterator[Entry]:
    """People on both pavements, and sometimes one on the road."""
    rng = view.rng
    for _ in range(rng.integers(3, 7)):
        side = 1 if rng.random() < 0.5 else -1
        x = side * (street.kerb(side) + rng.uniform(0.5, street.pavement - 0.3))
        z = in_sight(view, x)
        yield z, partial(people.person, Pose(view, x, z, LEFT * rng.integers(2)))
    if rng.random() < 0.4:
        x = rng.uniform(-0.8, 0.8) * street.road
        z = in_sight(view, x, 0.6) + 1.5
        yield z, partial(people.person, Pose(view, x, z, LEFT * rng.integers(2)))
