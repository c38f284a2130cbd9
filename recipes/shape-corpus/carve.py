"""Makes solids of meshes that need not be closed: a cell is free where several of many views see it.

Flood filling from outside leaks through the smallest gap in a surface; a view through a gap clears one thin ray only.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from .mesh import F32, Mesh

PIXELS = 400  # of a depth view, over the diagonal of the cube: a pixel is .55 of a cell of 1/128
SEEN = 3  # views that must see a cell to free it


def solid(mesh: Mesh, cells: int = 128, views: int = 80) -> NDArray[np.bool_]:
    """What of the cube [-.5, .5]^3 a normalised mesh fills: (cells, cells, cells), [x, y, z].

    A cell is free if at least SEEN of `views` orthographic depth views from all around have nothing in front of it.
    Surfaces with nothing behind them (a sheet of paper, a leaf) become one cell thick.
    """
    low, high = ((side + 0.5) * cells for side in (mesh.vertices.min(0), mesh.vertices.max(0)))
    first = np.clip(np.floor(low), 0, cells - 1).astype(int)
    last = np.maximum(np.clip(np.ceil(high), 0, cells).astype(int), first + 1)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))  # nothing is outside of it
    seen = np.zeros(tuple(last - first), np.uint8)
    for direction in directions(views):
        axes = _axes(direction)
        depth = _depth(mesh.vertices @ axes.T, mesh.faces, PIXELS)
        # the nearest of the four pixels around a point: with so many views, one that just grazes an edge must not free
        depth[:-1] = np.minimum(depth[:-1], depth[1:])
        depth[:, :-1] = np.minimum(depth[:, :-1], depth[:, 1:])
        _count(seen, depth, axes, first, cells)
    filled = np.zeros((cells, cells, cells), bool)
    filled[window] = ndimage.binary_fill_holes(seen < SEEN)
    thick = ndimage.binary_opening(filled[window], np.ones((2, 2, 2)))
    thin = touched(mesh, cells)[window] & ~ndimage.binary_dilation(thick, np.ones((3, 3, 3)))
    filled[window] |= thin
    return filled


def directions(count: int) -> F32:
    """Unit vectors spread evenly over the sphere, (count, 3): a Fibonacci lattice."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = k * np.pi * (1 + 5**0.5)
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), z], -1).astype(np.float32)


def touched(mesh: Mesh, cells: int) -> NDArray[np.bool_]:
    """The cells that the surface passes through (those within a third of a cell of it, about)."""
    out = np.zeros((cells, cells, cells), bool)
    _touch(out, mesh.vertices, mesh.faces)
    return out


def _axes(direction: F32) -> F32:
    """Rows: right, up, and the way the view looks."""
    forward = -direction
    helper = np.array([0, 0, 1] if abs(forward[2]) < 0.9 else [1, 0, 0], np.float32)
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward]).astype(np.float32)


@njit(cache=False)
def _depth(points: F32, faces: NDArray[np.int32], pixels: int) -> F32:  # pragma: no cover - compiled
    """Depth of the nearest surface. points: (n, 3) in the view's axes; pixels over [-sqrt(3)/2, sqrt(3)/2]."""
    depth = np.full((pixels, pixels), np.inf, np.float32)
    per_unit = pixels / np.sqrt(3.0)
    x, y = np.empty(3), np.empty(3)
    for t in range(len(faces)):
        for k in range(3):
            x[k] = points[faces[t, k], 0] * per_unit + pixels / 2 - 0.5  # pixel centres are whole numbers
            y[k] = points[faces[t, k], 1] * per_unit + pixels / 2 - 0.5
        area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
        if abs(area) < 1e-9:
            continue
        za = points[faces[t, 0], 2]
        zb, zc = points[faces[t, 1], 2] - za, points[faces[t, 2], 2] - za
        slope_x = (zb * (y[2] - y[0]) - zc * (y[1] - y[0])) / area
        slope_y = (zc * (x[1] - x[0]) - zb * (x[2] - x[0])) / area
        low = max(int(np.ceil(min(y[0], y[1], y[2]) - 1e-6)), 0)
        high = min(int(np.floor(max(y[0], y[1], y[2]) + 1e-6)), pixels - 1)
        for i in range(low, high + 1):
            left, right = np.inf, -np.inf  # where the row crosses the sides
            for k in range(3):
                n = (k + 1) % 3
                if (y[k] <= i + 1e-6 and y[n] >= i - 1e-6) or (y[n] <= i + 1e-6 and y[k] >= i - 1e-6):
                    if abs(y[n] - y[k]) < 2e-6:
                        left, right = min(left, x[k], x[n]), max(right, x[k], x[n])
                    else:
                        share = min(max((i - y[k]) / (y[n] - y[k]), 0.0), 1.0)
                        crossing = x[k] + share * (x[n] - x[k])
                        left, right = min(left, crossing), max(right, crossing)
            if left > right:
                continue
            for j in range(max(int(np.ceil(left - 1e-6)), 0), min(int(np.floor(right + 1e-6)), pixels - 1) + 1):
                z = np.float32(za + slope_x * (j - x[0]) + slope_y * (i - y[0]))
                if z < depth[i, j]:
                    depth[i, j] = z
    return depth


@njit(cache=False)
def _count(
    seen: NDArray[np.uint8], depth: F32, axes: F32, first: NDArray[np.int64], cells: int
) -> None:  # pragma: no cover - compiled
    """Add 1 to each cell whose centre lies in front of the surface. seen: of the cells from `first` on."""
    pixels = depth.shape[0]
    per_unit = pixels / np.sqrt(3.0)
    for i in range(seen.shape[0]):
        for j in range(seen.shape[1]):
            for k in range(seen.shape[2]):
                if seen[i, j, k] >= SEEN:
                    continue
                x = (first[0] + i + 0.5) / cells - 0.5
                y = (first[1] + j + 0.5) / cells - 0.5
                z = (first[2] + k + 0.5) / cells - 0.5
                column = int((axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z) * per_unit + pixels / 2 - 0.5)
                row = int((axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z) * per_unit + pixels / 2 - 0.5)
                if axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z < depth[row, column]:
                    seen[i, j, k] += 1


@njit(cache=False)
def steps_across(triangle: F32, cells: int) -> int:  # pragma: no cover - compiled
    """Into how many steps to divide a triangle's sides so that two fit into a cell."""
    longest = 0.0
    for axis in range(3):
        a, b, c = triangle[0, axis], triangle[1, axis], triangle[2, axis]
        longest = max(longest, max(a, b, c) - min(a, b, c))
    return int(longest * cells * 2) + 1


@njit(cache=False)
def cell_at(triangle: F32, u: float, v: float, axis: int, cells: int) -> int:  # pragma: no cover - compiled
    """Index along `axis` of the cell that holds the point a + u (b - a) + v (c - a)."""
    a, b, c = triangle[0, axis], triangle[1, axis], triangle[2, axis]
    return min(max(int((a + u * (b - a) + v * (c - a) + 0.5) * cells), 0), cells - 1)


@njit(cache=False)
def _touch(out: NDArray[np.bool_], vertices: F32, faces: NDArray[np.int32]) -> None:  # pragma: no cover - compiled
    cells = out.shape[0]
    triangle = np.empty((3, 3), np.float32)
    for t in range(len(faces)):
        for k in range(3):
            for axis in range(3):
                triangle[k, axis] = vertices[faces[t, k], axis]
        steps = steps_across(triangle, cells)
        for p in range(steps + 1):
            for q in range(steps + 1 - p):
                u, v = p / steps, q / steps
                i, j, k = (
                    cell_at(triangle, u, v, 0, cells),
                    cell_at(triangle, u, v, 1, cells),
                    cell_at(triangle, u, v, 2, cells),
                )
                out[i, j, k] = True


def flooded(mesh: Mesh, cells: int = 128) -> NDArray[np.bool_]:
    """The usual way, to compare with: cells that the surface touches, and what they enclose. Leaks where it is open."""
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(touched(mesh, cells))
    return filled
