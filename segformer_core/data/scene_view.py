"""The drawing board of the made-up city: a pinhole camera, shaded solids, and a canvas that keeps image and polygons in step.

World coordinates are metres: X to the right of the road's centre line, Y up, Z ahead of the camera. Colours are RGB, 0..255.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

Colour = tuple[float, float, float]
Scalars = float | np.ndarray  # one number, or (N,) of them
SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
# Scale and offset from a picture's pixel centres to cv2's fixed-point coordinates on the canvas.
CANVAS = (SUPERSAMPLING * (1 << SUBPIXEL_BITS), (SUPERSAMPLING - 1) / 2 * (1 << SUBPIXEL_BITS))
SMALLEST_OBJECT = 6  # pixels; anything smaller is noise to a network that predicts at a quarter of the resolution
NEAR = 0.6  # metres; what lies nearer is out of every picture


@dataclass(frozen=True)
class Light:
    """Time of day: sky colours, the tint of everything lit by it, the sun's direction (X, Y, Z) and whether lamps are on."""

    sky_top: Colour
    sky_bottom: Colour
    tint: Colour
    sun: tuple[float, float, float]
    cloudiness: float
    lamps: bool


class Part(NamedTuple):
    """Polygons of one colour, each (N, 2) float x, y or M of them as (M, N, 2); `texture` names a noise field, `contrast` its strength."""

    polygons: Sequence[np.ndarray]
    colour: Colour
    texture: str = ""
    contrast: float = 0.0
    glow: bool = False


@dataclass
class View:
    """A picture in the making. `objects` is Cityscapes' list: far to near, each drawn over the ones before it."""

    height: int
    width: int
    focal: float
    vanishing_point: tuple[float, float]
    eye: tuple[float, float]  # the camera's X and Y
    light: Light
    rng: np.random.Generator
    objects: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.height * SUPERSAMPLING, self.width * SUPERSAMPLING, 3), np.uint8)
        self.textures = noise_fields(self.rng, *self.pixels.shape[:2])

    def project(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Metres of one shape S -> (S, 2) pixels. Points behind the camera are moved to it along Z."""
        scale = self.focal / np.maximum(z, NEAR)
        pixels = np.empty((*scale.shape, 2))
        pixels[..., 0] = self.vanishing_point[0] + scale * (x - self.eye[0])
        pixels[..., 1] = self.vanishing_point[1] + scale * (self.eye[1] - y)
        return pixels

    def add(self, label: str, parts: Sequence[Part], depth: float) -> None:
        """Paint the parts and record the outline of their union under the Cityscapes name `label`."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for part in parts:
            for polygon in rounded(part.polygons, 1.0, 0.0):
                cv2.fillPoly(mask, [polygon], 1)
        if int(mask.sum()) < SMALLEST_OBJECT:
            return
        self.mark(parts, depth)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            polygon = cv2.approxPolyDP(contour, 0.6, True)[:, 0]
            if len(polygon) > 2:
                self.objects.append({"label": label, "polygon": polygon.tolist()})

    def mark(self, parts: Sequence[Part], depth: float) -> None:
        """Paint without a label of its own: markings and joints on what is already there."""
        for part in parts:
            colour = part.colour if part.glow else self._through_air(part.colour, depth)
            if part.texture:
                self._fill_textured(part, colour)
            else:
                for polygon in rounded(part.polygons, *CANVAS):
                    cv2.fillPoly(self.pixels, [polygon], colour, cv2.LINE_AA, SUBPIXEL_BITS)

    def shadow(self, polygon: np.ndarray, strength: float) -> None:
        """Darken the ground; softer under a cloudy sky."""
        part = Part([polygon], (0.0, 0.0, 0.0))
        box = self._box(part)
        if box is not None:
            black = np.zeros_like(self.pixels[box])
            self._blend(part, box, black, strength * (1.0 - 0.6 * self.light.cloudiness))

    def _through_air(self, colour: Colour, depth: float) -> Colour:
        haze = 1.0 - np.exp(-max(depth, 0.0) / 260.0)
        lit = np.clip(np.multiply(colour, self.light.tint), 0, 255)
        red, green, blue = lit + haze * (np.asarray(self.light.sky_bottom) - lit)
        return float(red), float(green), float(blue)

    def _fill_textured(self, part: Part, colour: Colour) -> None:
        box = self._box(part)
        if box is not None:
            field = self.textures[part.texture][box]
            fill = [cv2.convertScaleAbs(field, alpha=part.contrast * channel, beta=channel) for channel in colour]
            self._blend(part, box, cv2.merge(fill), 1.0)

    def _blend(self, part: Part, box: tuple[slice, slice], fill: np.ndarray, opacity: float) -> None:
        region = self.pixels[box]
        mask = np.zeros(region.shape[:2], np.uint8)
        corner = np.array((box[1].start, box[0].start)) * (1 << SUBPIXEL_BITS)
        for polygon in rounded(part.polygons, CANVAS[0], CANVAS[1] - corner):
            cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        alpha = mask * np.float32(opacity / 255.0)
        region[:] = cv2.blendLinear(fill, np.ascontiguousarray(region), alpha, 1.0 - alpha)

    def _box(self, part: Part) -> tuple[slice, slice] | None:
        """Rows and columns of the canvas that the part can touch."""
        points = np.concatenate([polygon.reshape(-1, 2) for polygon in part.polygons]) * SUPERSAMPLING
        x0, y0 = np.clip(np.floor(points.min(axis=0)) - 2, 0, None).astype(int)
        x1, y1 = np.clip(np.ceil(points.max(axis=0)) + 3, None, self.pixels.shape[1::-1]).astype(int)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None

    def photograph(self) -> np.ndarray:
        """(height, width, 3) uint8 RGB, with a lens's fall-off and a sensor's noise."""
        image = cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA).astype(np.float32)
        x = np.linspace(-1, 1, self.width, dtype=np.float32)
        y = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        image *= (self.rng.uniform(0.94, 1.06) * (1.0 - 0.1 * (x * x + y * y)))[..., None]
        image += self.rng.standard_normal(image.shape, np.float32) * self.rng.uniform(1.5, 4.0)
        return np.clip(image, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Pose:
    """Where a thing stands: its own axes are u (along its heading), v (up) and w; at yaw 0 u is X and w is Z."""

    view: View
    x: float
    z: float
    yaw: float = 0.0

    def __call__(self, points: Sequence[tuple[float, float, float]] | np.ndarray) -> np.ndarray:
        """(..., 3) metres u, v, w -> (..., 2) pixels."""
        points = np.asarray(points, np.float64)
        u, v, w = points[..., 0], points[..., 1], points[..., 2]
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        return self.view.project(self.x + u * cosine - w * sine, v, self.z + u * sine + w * cosine)

    @property
    def eye(self) -> tuple[float, float, float]:
        """The camera in this thing's own axes."""
        x, z = self.view.eye[0] - self.x, -self.z
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        return x * cosine + z * sine, self.view.eye[1], z * cosine - x * sine

    def side(self, half_width: float) -> int:
        """-1 or +1: the side plane w = ±half_width that the camera sees; 0 if it sees neither."""
        return int(np.sign(self.eye[2])) if abs(self.eye[2]) > half_width else 0

    def end(self, half_length: float) -> int:
        """-1 or +1: the end plane u = ±half_length that the camera sees; 0 if it sees neither."""
        return int(np.sign(self.eye[0])) if abs(self.eye[0]) > half_length else 0

    def flat(self, points: Sequence[tuple[float, float]] | np.ndarray) -> np.ndarray:
        """(N, 2) metres u, v in the plane w = 0 -> (N, 2) pixels."""
        points = np.asarray(points, np.float64)
        return self(np.column_stack((points, np.zeros(len(points)))))

    def across(self, u: Scalars, v0: Scalars, v1: Scalars, w0: Scalars, w1: Scalars) -> np.ndarray:
        """Rectangles in end planes: (4, 2) pixels, or (N, 4, 2) if any argument has N elements."""
        return self(corners((u, v0, w0), (u, v0, w1), (u, v1, w1), (u, v1, w0)))

    def along(self, w: Scalars, u0: Scalars, u1: Scalars, v0: Scalars, v1: Scalars) -> np.ndarray:
        """Rectangles in side planes, as `across`."""
        return self(corners((u0, v0, w), (u1, v0, w), (u1, v1, w), (u0, v1, w)))

    def ground(self, u0: Scalars, u1: Scalars, w0: Scalars, w1: Scalars) -> np.ndarray:
        """Rectangles on the ground, as `across`."""
        return self(corners((u0, 0.0, w0), (u1, 0.0, w0), (u1, 0.0, w1), (u0, 0.0, w1)))

    def brightness(self, normal: tuple[float, float, float]) -> float:
        """How a face with this normal (u, v, w) is lit."""
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        u, v, w = normal
        world = np.array((u * cosine - w * sine, v, u * sine + w * cosine))
        return 0.8 + 0.3 * max(0.0, float(world @ self.view.light.sun) / float(np.linalg.norm(world)))


def prism(
    pose: Pose,
    profile: Sequence[tuple[float, float]],
    half_width: float,
    colour: Colour,
    texture: str = "",
    contrast: float = 0.0,
    edge_colours: Sequence[Colour] | None = None,
) -> list[Part]:
    """The visible faces of a convex profile (u, v, counter-clockwise) drawn out to ±half_width along w."""
    parts = []
    eye = pose.eye
    for index, ((u0, v0), (u1, v1)) in enumerate(zip(profile, [*profile[1:], profile[0]], strict=True)):
        normal = (v1 - v0, u0 - u1, 0.0)
        if (eye[0] - u0) * normal[0] + (eye[1] - v0) * normal[1] > 0:
            face = pose([(u0, v0, -half_width), (u0, v0, half_width), (u1, v1, half_width), (u1, v1, -half_width)])
            base = edge_colours[index] if edge_colours else colour
            parts.append(Part([face], shaded(base, pose.brightness(normal)), texture, contrast))
    side = pose.side(half_width)
    if side:
        face = pose([(u, v, side * half_width) for u, v in profile])
        parts.append(Part([face], shaded(colour, pose.brightness((0.0, 0.0, side))), texture, contrast))
    return parts


def box(u0: float, u1: float, v0: float, v1: float) -> list[tuple[float, float]]:
    """The profile of a box."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


def disc(centre: tuple[float, float], radius: float, points: int = 20) -> np.ndarray:
    """(points, 2) of a circle."""
    return np.asarray(centre) + radius * _unit_circle(points)


@cache
def _unit_circle(points: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)


def limb(start: tuple[float, float], end: tuple[float, float], radius0: float, radius1: float) -> np.ndarray:
    """(N, 2) points of the hull of two circles: an arm, a tube, a trunk."""
    points = np.concatenate((disc(start, radius0, 12), disc(end, radius1, 12))).astype(np.float32)
    return cv2.convexHull(points)[:, 0]


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker or brighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def pick(rng: np.random.Generator, colours: Sequence[Colour], jitter: float = 12.0) -> Colour:
    """One of the colours, slightly off."""
    red, green, blue = np.clip(np.asarray(colours[rng.integers(len(colours))]) + rng.normal(0, jitter / 2, 3), 8, 250)
    return float(red), float(green), float(blue)


def noise_fields(rng: np.random.Generator, height: int, width: int) -> dict[str, np.ndarray]:
    """(height, width) float32 fields of about unit spread: fine grain, leaves, and clouds of several octaves."""

    def smooth(cell: float) -> np.ndarray:
        size = (int(height / cell) + 3, int(width / cell) + 3)
        return cv2.resize(rng.standard_normal(size, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)

    unit = width / 1024.0
    leaves = np.tanh(1.6 * (smooth(5 * unit) + 0.8 * smooth(11 * unit)))
    clouds = sum(weight * smooth(cell * unit) for cell, weight in ((260, 1.0), (110, 0.6), (50, 0.35), (22, 0.2)))
    return {"grain": smooth(2 * unit) + 0.3 * smooth(60 * unit), "leaves": leaves, "clouds": np.asarray(clouds)}


def rounded(polygons: Sequence[np.ndarray] | np.ndarray, scale: float, offset: float | np.ndarray) -> Iterable[np.ndarray]:
    """Pixels times `scale` plus `offset`, as cv2's int32 points; one pass if all polygons have as many corners."""
    batch = [polygons] if isinstance(polygons, np.ndarray) else polygons
    for some in batch:
        points = np.rint(some * scale + offset).astype(np.int32)
        yield from points if points.ndim == 3 else (points,)


def corners(*points: tuple[Scalars, Scalars, Scalars]) -> np.ndarray:
    """K points u, v, w whose coordinates may be arrays of N -> (K, 3) or (N, K, 3)."""
    shape = np.broadcast(*[coordinate for point in points for coordinate in point]).shape
    table = np.empty((*shape, len(points), 3))
    for index, point in enumerate(points):
        for axis, coordinate in enumerate(point):
            table[..., index, axis] = coordinate
    return table
