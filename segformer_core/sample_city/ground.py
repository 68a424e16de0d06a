"""A street's cross-section and plots, and the sky, the ground and the markings. Lengths are in metres."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from segformer_core.sample_city.pose import Pose
from segformer_core.sample_city.shapes import Colour, pick, shaded
from segformer_core.sample_city.view import SUPERSAMPLING, View, fill

FAR = 400.0  # at this Z the ground is within a pixel or two of the horizon
WIDE = 150.0  # anything this far to the left or right is outside every picture
PAVINGS: tuple[Colour, ...] = ((186, 172, 168), (178, 168, 172), (192, 176, 164))
GRASSES: tuple[Colour, ...] = ((132, 168, 74), (142, 170, 84), (124, 160, 70))
ASPHALTS: tuple[Colour, ...] = ((92, 92, 98), (102, 100, 102), (84, 86, 94))
PAINT: Colour = (228, 228, 222)
PLOTS = ("house", "fence", "wall", "house", "lawn", "fence", "house", "wall", "hedge")


class Plot(NamedTuple):
    """What stands beside the street, or bounds a garden there, from Z `near` to `far`."""

    kind: str
    near: float
    far: float


@dataclass(frozen=True)
class Street:
    """The cross-section from the centre line; `crossing` is the range of Z where another street crosses, or None."""

    road: float
    verges: tuple[float, float]  # grass between road and pavement, left and right
    pavement: float
    crossing: tuple[float, float] | None

    def kerb(self, side: int) -> float:
        """The distance from the centre line to the pavement; side is -1 (left) or +1 (right)."""
        return self.road + self.verges[side > 0]

    def frontage(self, side: int) -> float:
        """The distance from the centre line to houses and gardens."""
        return self.kerb(side) + self.pavement

    def stretches(self, far: float) -> list[tuple[float, float]]:
        """The ranges of Z up to `far`, without the crossing."""
        return [(0.0, self.crossing[0]), (self.crossing[1], far)] if self.crossing else [(0.0, far)]


def plots(rng: np.random.Generator, street: Street) -> list[Plot]:
    """One side's plots from near to far."""
    start = int(rng.integers(len(PLOTS)))
    row: list[Plot] = []
    for near, end in street.stretches(90.0):
        near -= 4.0 if near == 0.0 else 0.0  # the first plot begins beside the camera
        while end - near > 3.0:
            far = min(near + rng.uniform(9, 14), end)
            row.append(Plot(PLOTS[(start + len(row)) % len(PLOTS)], near, far))
            near = far
    return row


def sky(view: View, horizon: int) -> None:
    """Draw a gradient and clouds down to the row `horizon`."""
    light = view.light
    rows = (horizon + 1) * SUPERSAMPLING
    height = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None] ** 1.3
    top, bottom = np.asarray(light.sky_top, np.float32), np.asarray(light.sky_bottom, np.float32)
    cover = np.clip(0.9 * view.textures["clouds"][:rows] + 2.0 * light.cloudiness - 1.0, 0, 1)[..., None]
    white = np.array((255, 252, 248), np.float32) * min(1.0, 0.2 + max(light.tint))
    cloud = 0.72 * white + 0.28 * bottom
    colours = top + height * (bottom - top)
    view.pixels[:rows] = np.clip(colours + cover * (0.85 - 0.6 * height) * (cloud - colours), 0, 255)
    view.objects.append({"label": "sky", "polygon": rectangle(0, 0, view.width - 1, horizon)})


def ground(view: View, street: Street, sides: dict[int, list[Plot]]) -> None:
    """Draw pavements, gardens and verges, then the road over them with its markings."""
    rng, world = view.rng, Pose(view, 0.0, 0.0)
    paving, grass, asphalt = pick(rng, PAVINGS, 4), pick(rng, GRASSES, 4), pick(rng, ASPHALTS, 4)
    for side, row in sides.items():
        pavement = world.ground(side * street.road, side * WIDE, 0, FAR)
        view.add("sidewalk", [fill(paving, pavement, texture="grain", contrast=0.04)], 8)
        slabs(view, street, side, paving)
        edge = side * street.frontage(side)
        lawns = [world.ground(edge, side * 60, max(p.near, 0.0), p.far) for p in row if p.kind != "house"]
        if street.verges[side > 0]:
            strip = side * street.road, side * street.kerb(side)
            lawns += [world.ground(*strip, near, far) for near, far in street.stretches(90.0)]
        for lawn in lawns:
            view.add("terrain", [fill(grass, lawn, texture="grain", contrast=0.07)], 8)
    lanes = [world.ground(-street.road, street.road, 0, FAR)]
    if street.crossing:
        lanes.append(world.ground(-WIDE, WIDE, *street.crossing))
    view.add("road", [fill(asphalt, *lanes, texture="grain", contrast=0.045)], 8)
    markings(view, street)


def slabs(view: View, street: Street, side: int, paving: Colour) -> None:
    """Draw the joints between the pavement's slabs, and the kerb."""
    world = Pose(view, 0.0, 0.0)
    inner, outer = side * street.kerb(side), side * (street.frontage(side) + 1)
    z, x = np.arange(3.6, 26, 1.2), np.arange(min(inner, outer), max(inner, outer), 1.2)
    joints = world.ground(inner, outer, z, z + 0.05), world.ground(x, x + 0.04, 0, 40)
    view.mark([fill(shaded(paving, 0.84), *joints)], 8)
    view.mark([fill(shaded(paving, 1.16), world.ground(inner, inner + side * 0.25, 0, 120))], 8)


def markings(view: View, street: Street) -> None:
    """Draw the centre line, edge lines, a zebra crossing before the other street, and a patch of newer asphalt."""
    rng, world = view.rng, Pose(view, 0.0, 0.0)
    x, z = rng.uniform(-3, 2), rng.uniform(4, 12)
    view.shadow(world.ground(x, x + 1.6, z, z + rng.uniform(2, 6)), 0.16)
    dashes = np.arange(rng.uniform(2, 6), 90, 6.0)
    edges = np.array((-street.road + 0.2, street.road - 0.34))
    for near, far in street.stretches(90.0):
        stop = far - 3.0
        some = dashes[(dashes > near) & (dashes + 3.0 < stop)]
        lines = world.ground(-0.08, 0.08, some, some + 3.0), world.ground(edges, edges + 0.14, near, stop)
        view.mark([fill(PAINT, *lines)], 10)
    if street.crossing:
        bars = np.arange(-street.road + 0.3, street.road - 0.5, 1.0)
        zebra = world.ground(bars, bars + 0.5, street.crossing[0] - 2.6, street.crossing[0] - 0.6)
        view.mark([fill(PAINT, zebra)], 10)


def image_frame(view: View) -> None:
    """Draw the camera car's bonnet and label the margin that Cityscapes leaves out. Training ignores both."""
    right, bottom, margin = view.width - 1, view.height - 1, 2
    crest = view.height * view.rng.uniform(0.93, 0.96)
    x = np.linspace(0, right, 24)
    arch = np.stack((x, crest + (view.height - crest) * 0.8 * np.abs(2 * x / right - 1) ** 2.5), axis=1)
    bonnet = np.concatenate((arch, [(right, bottom), (0, bottom)]))
    gleam = np.concatenate((arch, arch[::-1] + (0, 1.2)))
    view.add("ego vehicle", [fill((46, 48, 54), bonnet), fill(view.light.sky_bottom, gleam)], 0)
    outer = rectangle(0, 0, right, bottom)
    inner = rectangle(margin, margin, right - margin, bottom - margin)
    # One polygon with a hole: it follows the outer edge, then a seam inwards, then the edge of the hole.
    view.objects.append({"label": "out of roi", "polygon": [*outer, outer[0], *inner, inner[0]]})


def rectangle(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
