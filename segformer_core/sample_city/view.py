"""The camera of the made-up city, and a canvas that records the polygons of everything it paints.

World coordinates are metres: X to the right of the road's centre line, Y up, Z ahead of the camera.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from segformer_core.sample_city.shapes import Colour

SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
# Scale and offset from a picture's pixel centres to cv2's fixed-point coordinates on the canvas.
SCALE = SUPERSAMPLING << SUBPIXEL_BITS
OFFSET = (SUPERSAMPLING - 1) / 2 * (1 << SUBPIXEL_BITS)
SMALLEST_OBJECT = 6  # pixels; anything smaller is noise to a network that predicts at a quarter of the size
NEAR = 0.6  # metres; anything nearer is outside every picture
HAZE = 260.0  # metres of air after which 1/e of a colour is left

Object = dict[str, str | list[list[int]]]  # as in a Cityscapes file: "label" and "polygon"


@dataclass(frozen=True)
class Light:
    """A time of day: sky colours, the tint of everything lit, the direction to the sun, cloudiness 0..1, whether lamps are on."""

    sky_top: Colour
    sky_bottom: Colour
    tint: Colour
    sun: tuple[float, float, float]
    cloudiness: float
    lamps: bool


class Part(NamedTuple):
    """Polygons of one colour, each (N, 2) float x, y in pixels, or M of them as (M, N, 2).

    `texture` names one of the view's noise fields and `contrast` is its strength; a part that glows is not tinted.
    """

    polygons: Sequence[np.ndarray]
    colour: Colour
    texture: str
    contrast: float
    glow: bool


def fill(colour: Colour, *polygons: np.ndarray, texture: str = "", contrast: float = 0.0, glow: bool = False) -> Part:
    return Part(polygons, colour, texture, contrast, glow)


@dataclass
class View:
    """A picture while it is drawn. `objects` is the list of a Cityscapes file: each covers the ones before it."""

    height: int
    width: int
    focal: float
    vanishing_point: tuple[float, float]
    eye: tuple[float, float]  # the camera's X and Y
    light: Light
    rng: np.random.Generator
    objects: list[Object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.height * SUPERSAMPLING, self.width * SUPERSAMPLING, 3), np.uint8)
        self.textures = noise_fields(self.rng, *self.pixels.shape[:2])

    def project(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Metres, each of one shape S -> (S, 2) pixels. Points behind the camera are moved to it along Z."""
        scale = self.focal / np.maximum(z, NEAR)
        pixels = np.empty((*scale.shape, 2))
        pixels[..., 0] = self.vanishing_point[0] + scale * (x - self.eye[0])
        pixels[..., 1] = self.vanishing_point[1] + scale * (self.eye[1] - y)
        return pixels

    def add(self, label: str, parts: Sequence[Part], depth: float) -> None:
        """Paint the parts and record the outline of their union under the Cityscapes name `label`."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for part in parts:
            for polygon in _rounded(part, 1.0, 0.0):
                cv2.fillPoly(mask, [polygon], (1,))
        if np.count_nonzero(mask) < SMALLEST_OBJECT:
            return
        self.mark(parts, depth)
        for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            outline = cv2.approxPolyDP(contour, 0.6, True)[:, 0]
            if len(outline) > 2:
                self.objects.append({"label": label, "polygon": outline.tolist()})

    def mark(self, parts: Sequence[Part], depth: float) -> None:
        """Paint without a label: markings and joints on an object that is already labelled."""
        for part in parts:
            colour = part.colour if part.glow else self._through_air(part.colour, depth)
            if part.texture:
                self._paint_texture(part, colour)
            else:
                for polygon in _rounded(part, SCALE, OFFSET):
                    cv2.fillPoly(self.pixels, [polygon], colour, cv2.LINE_AA, SUBPIXEL_BITS)

    def shadow(self, polygon: np.ndarray, strength: float) -> None:
        """Darken the ground; less under a cloudy sky."""
        part = fill((0, 0, 0), polygon)
        window = self._window(part)
        if window:
            black = np.zeros_like(self.pixels[window])
            self._blend(part, window, black, strength * (1.0 - 0.6 * self.light.cloudiness))

    def photograph(self) -> np.ndarray:
        """(height, width, 3) uint8 RGB, with the darker corners of a lens and the noise of a sensor."""
        image = cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)
        x = np.linspace(-1, 1, self.width, dtype=np.float32)
        y = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        exposure = self.rng.uniform(0.94, 1.06) * (1.0 - 0.1 * (x * x + y * y))
        noise = self.rng.standard_normal(image.shape, np.float32) * self.rng.uniform(1.5, 4.0)
        return np.clip(image * exposure[..., None] + noise, 0, 255).astype(np.uint8)

    def _through_air(self, colour: Colour, depth: float) -> Colour:
        haze = 1.0 - math.exp(-max(depth, 0.0) / HAZE)
        lit = [min(level * tint, 255.0) for level, tint in zip(colour, self.light.tint, strict=True)]
        red, green, blue = (near + haze * (far - near) for near, far in zip(lit, self.light.sky_bottom, strict=True))
        return red, green, blue

    def _paint_texture(self, part: Part, colour: Colour) -> None:
        window = self._window(part)
        if window:
            noise = self.textures[part.texture][window]
            paint = [cv2.convertScaleAbs(noise, alpha=part.contrast * level, beta=level) for level in colour]
            self._blend(part, window, cv2.merge(paint), 1.0)

    def _blend(self, part: Part, window: tuple[slice, slice], paint: np.ndarray, opacity: float) -> None:
        region = self.pixels[window]
        mask = np.zeros(region.shape[:2], np.uint8)
        corner = np.array((window[1].start, window[0].start)) << SUBPIXEL_BITS
        for polygon in _rounded(part, SCALE, OFFSET - corner):
            cv2.fillPoly(mask, [polygon], (255,), cv2.LINE_AA, SUBPIXEL_BITS)
        alpha = mask * np.float32(opacity / 255.0)
        region[:] = cv2.blendLinear(paint, np.ascontiguousarray(region), alpha, 1.0 - alpha)

    def _window(self, part: Part) -> tuple[slice, slice] | None:
        """Rows and columns of the canvas that the part can touch; None if it lies outside."""
        points = np.concatenate([polygon.reshape(-1, 2) for polygon in part.polygons]) * SUPERSAMPLING
        x0, y0 = np.maximum(np.floor(points.min(axis=0)) - 2, 0).astype(int)
        x1, y1 = np.minimum(np.ceil(points.max(axis=0)) + 3, self.pixels.shape[1::-1]).astype(int)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def _rounded(part: Part, scale: float, offset: float | np.ndarray) -> Iterator[np.ndarray]:
    """The part's polygons times `scale` plus `offset`, each as (N, 2) int32 for cv2."""
    for polygons in part.polygons:
        points = np.rint(polygons * scale + offset).astype(np.int32)
        yield from points if points.ndim == 3 else (points,)


def noise_fields(rng: np.random.Generator, height: int, width: int) -> dict[str, np.ndarray]:
    """(height, width) float32 fields of about unit spread: fine grain, leaves, and clouds."""

    def smooth(cell: float) -> np.ndarray:
        cell *= width / 1024.0  # the same street in a larger picture has larger leaves
        coarse = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), np.float32)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return {
        "grain": smooth(2) + 0.3 * smooth(60),
        "leaves": np.tanh(1.6 * (smooth(5) + 0.8 * smooth(11))),
        "clouds": smooth(260) + 0.6 * smooth(110) + 0.35 * smooth(50) + 0.2 * smooth(22),
    }
