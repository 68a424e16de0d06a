"""Objects with a place and a heading: their own axes, the faces that the camera sees, and shaded solids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.sample_city.shapes import Colour, Point, Scalars, corners, shaded
from segformer_core.sample_city.view import Part, View, fill


@dataclass(frozen=True)
class Pose:
    """An object's own axes are u (along its heading), v (up) and w; at yaw 0, u is X and w is Z."""

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
    def rng(self) -> np.random.Generator:
        return self.view.rng

    @property
    def eye(self) -> tuple[float, float, float]:
        """The camera's position in the object's own axes."""
        x, z = self.view.eye[0] - self.x, -self.z
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        return x * cosine + z * sine, self.view.eye[1], z * cosine - x * sine

    def side(self, half_width: float) -> int:
        """The sign, -1 or +1, of the side plane w = ±half_width that the camera sees; 0 if it sees neither."""
        return int(np.sign(self.eye[2])) if abs(self.eye[2]) > half_width else 0

    def end(self, half_length: float) -> int:
        """The sign, -1 or +1, of the end plane u = ±half_length that the camera sees; 0 if it sees neither."""
        return int(np.sign(self.eye[0])) if abs(self.eye[0]) > half_length else 0

    def flat(self, points: Sequence[Point] | np.ndarray, w: float = 0.0) -> np.ndarray:
        """(N, 2) metres u, v in a plane of constant w -> (N, 2) pixels."""
        outline = np.asarray(points, np.float64)
        return self(np.column_stack((outline, np.full(len(outline), w))))

    def across(self, u: Scalars, v0: Scalars, v1: Scalars, w0: Scalars, w1: Scalars) -> np.ndarray:
        """Rectangles in end planes: (4, 2) pixels, or (N, 4, 2) if any argument has N elements."""
        return self(corners((u, v0, w0), (u, v0, w1), (u, v1, w1), (u, v1, w0)))

    def along(self, w: Scalars, u0: Scalars, u1: Scalars, v0: Scalars, v1: Scalars) -> np.ndarray:
        """Rectangles in side planes, as `across`."""
        return self(corners((u0, v0, w), (u1, v0, w), (u1, v1, w), (u0, v1, w)))

    def ground(self, u0: Scalars, u1: Scalars, w0: Scalars, w1: Scalars) -> np.ndarray:
        """Rectangles on the ground, as `across`."""
        return self(corners((u0, 0.0, w0), (u1, 0.0, w0), (u1, 0.0, w1), (u0, 0.0, w1)))

    def add(self, label: str, parts: Sequence[Part]) -> None:
        """Paint and label the parts, with the haze between the object and the camera."""
        self.view.add(label, parts, self.z)

    def cast_shadow(self, half_length: float, half_width: float) -> None:
        """Darken a patch on the ground; its edge is soft."""
        for rim in (0.35, 0.15, 0.0):
            u, w = half_length + rim, half_width + rim
            self.view.shadow(self.ground(-u, u, -w, w), 0.24)

    def brightness(self, normal: tuple[float, float, float]) -> float:
        """The factor by which light changes the colour of a face with this normal (u, v, w)."""
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        u, v, w = normal
        world = np.array((u * cosine - w * sine, v, u * sine + w * cosine))
        towards_sun = float(world @ np.asarray(self.view.light.sun)) / float(np.linalg.norm(world))
        return 0.8 + 0.3 * max(0.0, towards_sun)


def prism(
    pose: Pose,
    profile: Sequence[Point],
    half_width: float,
    colour: Colour,
    texture: str = "",
    contrast: float = 0.0,
    edge_colours: Sequence[Colour] | None = None,
) -> list[Part]:
    """The visible faces of the solid that a convex profile (u, v, counter-clockwise) forms between w = ±half_width."""
    parts = []
    eye = pose.eye
    for index, ((u0, v0), (u1, v1)) in enumerate(zip(profile, [*profile[1:], profile[0]], strict=True)):
        normal = (v1 - v0, u0 - u1, 0.0)
        if (eye[0] - u0) * normal[0] + (eye[1] - v0) * normal[1] > 0:
            w = half_width
            face = pose([(u0, v0, -w), (u0, v0, w), (u1, v1, w), (u1, v1, -w)])
            base = edge_colours[index] if edge_colours else colour
            paint = shaded(base, pose.brightness(normal))
            parts.append(fill(paint, face, texture=texture, contrast=contrast))
    side = pose.side(half_width)
    if side:
        paint = shaded(colour, pose.brightness((0.0, 0.0, side)))
        parts.append(fill(paint, pose.flat(profile, side * half_width), texture=texture, contrast=contrast))
    return parts
