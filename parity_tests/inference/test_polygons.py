"""Rings of regions: each encloses exactly its pixels, and no ring touches itself, so that a GIS takes them."""

import numpy as np
import pytest

from segformer_core.inference.polygons import Ring, coordinates, regions


def inside(rings: list[Ring], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool by the even-odd rule: how often a ray from a pixel's centre to the right crosses an edge."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    found = np.zeros(shape, bool)
    for ring in rings:
        for (x0, y0), (_, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
            found ^= ((y0 <= y) != (y1 <= y)) & (x < x0)
    return found


def area(ring: np.ndarray) -> float:
    """Signed: positive if counterclockwise with y up."""
    x, y = np.asarray(ring, float).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@pytest.mark.parametrize("seed", range(60))
def test_rings_enclose_exactly_the_pixels(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.choice([0.3, 0.5, 0.7, 0.9])
    total = np.zeros(mask.shape, int)
    for region in regions(mask):
        rings = [region.outer, *region.holes]
        one = inside(rings, mask.shape)
        assert one.sum() == region.pixels == abs(area(region.outer)) - sum(abs(area(hole)) for hole in region.holes)
        total += one
        for ring in rings:
            assert len({tuple(point) for point in ring}) == len(ring), "a ring that touches itself"
            steps = np.roll(ring, -1, 0) - ring
            assert ((steps != 0).sum(1) == 1).all(), "an edge that is no side of a pixel"
            assert ((steps != 0) != (np.roll(steps, 1, 0) != 0)).all(), "a corner where the ring does not turn"
    assert np.array_equal(total, mask)


def test_a_ring_with_a_hole_by_hand():
    """A frame of 3×3 pixels with an open centre, at row 1, column 2."""
    mask = np.zeros((5, 6), bool)
    mask[1:4, 2:5] = True
    mask[2, 3] = False
    [region] = regions(mask)
    [hole] = region.holes
    assert region.pixels == 8
    assert {tuple(point) for point in region.outer} == {(2, 1), (5, 1), (5, 4), (2, 4)}
    assert {tuple(point) for point in hole} == {(3, 2), (4, 2), (4, 3), (3, 3)}


def test_pixels_that_touch_at_a_corner_are_two_regions():
    assert [region.pixels for region in regions(np.eye(3, dtype=bool))] == [1, 1, 1]


def test_small_regions_are_left_out():
    mask = np.zeros((4, 8), bool)
    mask[0, 0] = mask[2:, 3:6] = True
    assert [region.pixels for region in regions(mask, smallest=2)] == [6]
    assert [region.pixels for region in regions(mask, smallest=7)] == []


@pytest.mark.parametrize("transform", [None, (0.5, 0.0, 600000.0, 0.0, -0.5, 5700000.0, 0.0, 0.0, 1.0)])
def test_rings_turn_as_geojson_says_in_their_own_coordinates(transform):
    """RFC 7946: the outer ring counterclockwise, holes clockwise; a map's y points up, an image's down."""
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    [region] = regions(mask)
    outer = coordinates(region.outer, transform, outer=True)
    hole = coordinates(region.holes[0], transform, outer=False)
    assert outer[0] == outer[-1] and len(outer) == 5
    scale = 1 if transform is None else 0.25
    assert area(np.array(outer[:-1])) == 9 * scale and area(np.array(hole[:-1])) == -1 * scale
    if transform is None:
        assert all(isinstance(number, int) for point in outer for number in point)
    else:
        assert min(map(tuple, outer[:-1])) == (600000.0, 5699998.5)
