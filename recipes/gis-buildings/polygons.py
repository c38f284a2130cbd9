"""From a probability map to outlines as a draughtsman would give them: few corners, right angles where walls have them.

    contours (marching squares, holes kept) -> simplify (Douglas and Peucker 1973) -> walls turned into the building's
    two directions -> corners where walls meet

An outline that the last step would move too far stays merely simplified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

import numpy as np
import shapely
import shapely.affinity
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Polygon

from .place import CELL_M, F32, Bool

F64 = NDArray[np.float64]

MINIMUM_AREA_M2 = 10.0
SMALLEST_HOLE_M2 = 4.0
SIMPLIFY_M = 0.6
TURNED_AT_MOST = np.deg2rad(25.0)  # a wall so far from the building's directions is oblique, and stays
LEAST_OVERLAP = 0.85  # of the regularised outline with the contour (IoU)
SHORT = 3.0  # tolerances: an oblique piece of wall shorter than that is a rounded corner


def mask_of(probability: F32, threshold: float, minimum_area_m2: float = MINIMUM_AREA_M2) -> Bool:
    """(H, W) cells that are part of a building large enough; small holes in them are closed."""
    high = probability > threshold
    holes, count = ndimage.label(~high)
    small = np.bincount(holes.ravel(), minlength=count + 1) * CELL_M**2 < SMALLEST_HOLE_M2
    return large_parts(high | small[holes] & (holes > 0), minimum_area_m2)


def large_parts(mask: Bool, minimum_area_m2: float = MINIMUM_AREA_M2) -> Bool:
    """(H, W) cells of those connected parts of a mask that are large enough."""
    parts, count = ndimage.label(mask)
    large = np.bincount(parts.ravel(), minlength=count + 1) * CELL_M**2 >= minimum_area_m2
    large[0] = False
    kept: Bool = large[parts]
    return kept


def contours(probability: F32, threshold: float, row: int = 0, column: int = 0) -> list[Polygon]:
    """The areas above `threshold` as polygons with holes, between the centres of the outermost cells; cut there.

    row, column: where the first cell lies in the whole grid, whose coordinates come out: x is the
    column and y the row, the centre of the first cell of all at (0.5, 0.5).
    """
    if min(probability.shape) < 2 or not (probability > threshold).any():
        return []
    x = np.arange(probability.shape[1]) + column + 0.5
    y = np.arange(probability.shape[0]) + row + 0.5
    generator = contour_generator(x, y, probability, fill_type=FillType.OuterOffset)
    points, offsets = generator.filled(threshold, np.inf)
    found = []
    for ring_points, ring_offsets in zip(points, offsets, strict=True):
        rings = [ring_points[begin:end] for begin, end in pairwise(ring_offsets)]
        rings = [ring for ring in rings if len(ring) >= 4]
        if rings:
            found.append(Polygon(rings[0], rings[1:]))
    return found


def joined(pieces: Iterable[Polygon], seams: Collection[float] = ()) -> list[Polygon]:
    """Pieces that were cut at lines of equal y, put together again; those that reach none stay as they are."""
    valid = shapely.make_valid(list(pieces))
    cut = np.isin(shapely.bounds(valid)[:, [1, 3]], list(seams)).any(axis=1)
    whole = [*valid[~cut], shapely.union_all(valid[cut])]
    return [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area > 0]


def tidy(polygon: Polygon, cell_m: float, minimum_area_m2: float, simplify_m: float) -> Polygon | None:
    """The regularised outline of a contour, in the same coordinates; None if it is too small."""
    if polygon.area * cell_m**2 < minimum_area_m2:
        return None
    holes = [ring for ring in polygon.interiors if Polygon(ring).area * cell_m**2 >= SMALLEST_HOLE_M2]
    kept = Polygon(polygon.exterior, holes)
    simple = kept.simplify(simplify_m / cell_m)
    if not isinstance(simple, Polygon) or simple.is_empty:
        return kept
    return regularised(simple, kept, simplify_m / cell_m)


def regularised(simple: Polygon, contour: Polygon, tolerance: float) -> Polygon:
    """`simple` with its walls in two directions at right angles, or itself where that would not fit `contour`."""
    turn = main_direction(simple)
    box = _box(contour, turn)
    if not contour.interiors and contour.intersection(box).area >= LEAST_OVERLAP * contour.union(box).area:
        return box
    traced, corners = (
        [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
        for polygon in (contour, simple)
    )
    rings = [
        _squared(ring, middles, turn, tolerance)
        for ring, middles in zip(corners, wall_middles(corners, traced), strict=True)
    ]
    if rings[0] is None:
        return simple
    squared = Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])
    if not squared.is_valid or squared.is_empty:
        return simple
    overlap = squared.intersection(contour).area / max(squared.union(contour).area, 1e-9)
    return squared if overlap >= LEAST_OVERLAP else simple


def _box(polygon: Polygon, turn: float) -> Polygon:
    """The rectangle along `turn` that has the polygon's area, about the middle of its outermost corners."""
    local = shapely.affinity.rotate(polygon, -turn, origin=(0, 0), use_radians=True)
    west, south, east, north = local.bounds
    shrink = np.sqrt(polygon.area / max((east - west) * (north - south), 1e-9))
    x, y, half_x, half_y = (
        (west + east) / 2,
        (south + north) / 2,
        (east - west) / 2 * shrink,
        (north - south) / 2 * shrink,
    )
    box = shapely.box(x - half_x, y - half_y, x + half_x, y + half_y)
    return shapely.affinity.rotate(box, turn, origin=(0, 0), use_radians=True)


def main_direction(polygon: Polygon) -> float:
    """Direction of most of the walls, in radians, 0 to pi/2: the mean of four times the angle, weighted by length."""
    total = 0j
    for ring in (polygon.exterior, *polygon.interiors):
        edges = np.diff(np.asarray(ring.coords), axis=0)
        length = np.hypot(edges[:, 0], edges[:, 1])
        total += np.sum(length**2 * np.exp(4j * np.arctan2(edges[:, 1], edges[:, 0])))
    return float(np.angle(total) / 4 % (np.pi / 2))


def outlined(
    probability: F32, threshold: float, minimum_area_m2: float = MINIMUM_AREA_M2, simplify_m: float = SIMPLIFY_M
) -> list[Polygon]:
    """The regularised outlines of a whole map on cells of 0.5 m."""
    pieces = joined(contours(np.pad(probability, 1), threshold, -1, -1))
    found = (tidy(piece, CELL_M, minimum_area_m2, simplify_m) for piece in pieces)
    return [outline for outline in found if outline is not None]


def polis(one: Polygon, other: Polygon) -> float:
    """How far the corners of two polygons lie from each other's outline on average (Avbelj et al. 2015)."""
    distances = []
    for corners, outline in ((one, other), (other, one)):
        points = shapely.points(shapely.get_coordinates(corners.exterior)[:-1])
        distances.append(float(np.mean(shapely.distance(points, outline.exterior))))
    return sum(distances) / 2


def wall_middles(corners: list[F64], traced: list[F64]) -> list[F64]:
    """(N, 2) of each ring: the mean of the contour along its edges, for a corner alone may be half a metre off.

    corners: simplified rings, (N, 2), each corner a point of one of the `traced` rings, in its order.
    """
    place = {
        (x, y): (ring, number) for ring, points in enumerate(traced) for number, (x, y) in enumerate(points.tolist())
    }
    found = []
    for ring in corners:
        middles = (ring + np.roll(ring, -1, axis=0)) / 2
        places = [place[x, y] for x, y in ring.tolist()]
        for edge, ((which, begin), (same, end)) in enumerate(zip(places, places[1:] + places[:1], strict=True)):
            if which != same:  # rings touch here
                continue
            points = traced[which]
            count = (end - begin) % len(points)
            rim = round(0.2 * count)  # near the corners the contour is round
            along = (begin + np.arange(rim, count - rim + 1)) % len(points)
            if len(along) >= 3:
                middles[edge] = points[along].mean(axis=0)
        found.append(middles)
    return found


def _squared(corners: F64, middles: F64, turn: float, tolerance: float) -> F64 | None:
    """A ring with each wall turned into a direction of the building, about its middle. None if nothing is left.

    corners, middles: (N, 2), not closed. Walls along the same direction that follow each other become one, or, further
    apart than `tolerance`, a step.
    """
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    local = corners @ rotation  # the building's directions are the axes
    edges = np.roll(local, -1, axis=0) - local
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    keep = lengths > 1e-9
    edges, lengths, middle = edges[keep], lengths[keep], (middles @ rotation)[keep]
    if len(edges) < 3:
        return None
    angle = np.arctan2(edges[:, 1], edges[:, 0])
    nearest = np.round(angle / (np.pi / 2)) * (np.pi / 2)
    oblique = np.abs(angle - nearest) > TURNED_AT_MOST
    cut = oblique & (lengths < SHORT * tolerance)  # a rounded corner: the walls beside it meet
    if (~cut).sum() < 3:
        return None
    direction = np.where(oblique, angle, nearest)[~cut]
    middle, lengths = middle[~cut], lengths[~cut]
    walls: list[tuple[F64, float, float]] = []  # a point of it, its direction, its length
    for point, heading, length in zip(middle, direction, lengths, strict=True):
        if walls and _parallel(walls[-1][1], heading):
            before, same, earlier = walls[-1]
            if abs(_aside(before, point, heading)) <= tolerance or min(earlier, length) < tolerance:
                share = length / (earlier + length)
                walls[-1] = (before * (1 - share) + point * share, same, earlier + length)
                continue
        walls.append((point, heading, length))
    while (
        len(walls) > 2
        and _parallel(walls[0][1], walls[-1][1])
        and abs(_aside(walls[-1][0], walls[0][0], walls[0][1])) <= tolerance
    ):
        (before, _, earlier), (point, heading, length) = walls.pop(), walls[0]
        share = length / (earlier + length)
        walls[0] = (before * (1 - share) + point * share, heading, earlier + length)
    if len(walls) < 3:
        return None
    ring = []
    for (point, heading, length), (after, next_heading, next_length) in zip(walls, walls[1:] + walls[:1], strict=True):
        if _parallel(heading, next_heading):  # a step: across, half way between the two
            along = np.array([np.cos(heading), np.sin(heading)])
            end, start = point + along * length / 2, after - along * next_length / 2
            middle_along = ((end + start) / 2) @ along
            ring += [point + along * (middle_along - point @ along), after + along * (middle_along - after @ along)]
        else:
            ring.append(_meeting(point, heading, after, next_heading))
    found: F64 = np.array(ring) @ rotation.T
    return found


def _parallel(a: float, b: float) -> bool:
    return abs(np.sin(a - b)) < 0.2


def _aside(a: F64, b: F64, heading: float) -> float:
    """How far b lies beside the line through a."""
    return float((b - a) @ np.array([-np.sin(heading), np.cos(heading)]))


def _meeting(a: F64, heading_a: float, b: F64, heading_b: float) -> F64:
    """Where two lines cross that are not parallel."""
    u, v = np.array([np.cos(heading_a), np.sin(heading_a)]), np.array([np.cos(heading_b), np.sin(heading_b)])
    across = u[0] * v[1] - u[1] * v[0]
    step = ((b - a)[0] * v[1] - (b - a)[1] * v[0]) / across
    found: F64 = a + step * u
    return found
