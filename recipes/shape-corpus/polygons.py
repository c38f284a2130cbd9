"""Cuts polygons into triangles."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .mesh import F32


def cut_polygons(corners: F32) -> NDArray[np.int64]:
    """Triangles of p polygons of n corners each. corners: (p, n, 3) -> (p, n - 2, 3), indices of corners.

    Convex ones become fans; of others, ears are cut off (Meisters 1975), as seen along the mean normal.
    """
    polygons, count = corners.shape[:2]
    k = np.arange(1, count - 1)
    cuts = np.tile(np.stack([np.zeros_like(k), k, k + 1], 1), (polygons, 1, 1))
    if count == 3:
        return cuts
    points = corners.astype(np.float64) - corners[:, :1]
    normal = np.cross(points, np.roll(points, -1, 1)).sum(1)  # Newell's
    length = np.linalg.norm(normal, axis=1)
    side = np.roll(points, -1, 1) - points
    turns = (np.cross(np.roll(side, 1, 1), side) * normal[:, None]).sum(2)
    for polygon in np.flatnonzero((turns < -1e-6 * length[:, None] ** 2).any(1)):
        up = normal[polygon] / length[polygon]
        x = np.cross(up, np.eye(3)[np.abs(up).argmin()])
        x /= np.linalg.norm(x)
        cuts[polygon] = _ears(points[polygon] @ np.stack([x, np.cross(up, x)], 1))
    return cuts


@njit(cache=False)
def _turn(points, a, b, c):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Twice the area of the triangle, positive if it goes counter-clockwise."""
    return (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (points[b, 1] - points[a, 1]) * (
        points[c, 0] - points[a, 0]
    )


@njit(cache=False)
def _ears(points: NDArray[np.float64]) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """Triangles of one polygon that goes counter-clockwise: (n, 2) -> (n - 2, 3)."""
    left, count = np.arange(len(points)), len(points)
    out = np.empty((count - 2, 3), np.int64)
    for row in range(len(out)):
        best = 0  # of a polygon that crosses itself, some corner
        for at in range(count):
            a, b, c = left[(at + count - 1) % count], left[at], left[(at + 1) % count]
            free = _turn(points, a, b, c) > 0
            for k in range(count):
                p = left[k]
                if free and p != a and p != b and p != c:
                    within = _turn(points, a, b, p) >= 0 and _turn(points, b, c, p) >= 0 and _turn(points, c, a, p) >= 0
                    free = not within or _same(points, p, a) or _same(points, p, c)
            if free:
                best = at
                break
        out[row] = left[(best + count - 1) % count], left[best], left[(best + 1) % count]
        count -= 1
        for k in range(best, count):
            left[k] = left[k + 1]
    return out


@njit(cache=False)
def _same(points, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return points[a, 0] == points[b, 0] and points[a, 1] == points[b, 1]
