"""The grid that is refined, and how a mesh comes onto it and off again.

Grid: 128 cells over the longest side of the object, and 8 more on each side; field[x, y, z] is the depth below the
surface, in cells: above 0 inside, below 0 outside, cut off at REACH.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hive_recipe_shape_corpus.carve import solid as carve
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.surface import extract
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

Bool = NDArray[np.bool_]

CELLS = 128  # over the longest side
MARGIN = 8
SIDE = CELLS + 2 * MARGIN
REACH = 4.0  # cells
SMOOTHING = 0.7  # cells; takes the stairs off a distance to cells


def padded(solid: Bool) -> Bool:
    """(CELLS,)*3 -> (SIDE,)*3."""
    return np.pad(solid, MARGIN)


def depths_of_mesh(mesh: Mesh) -> F32:
    """(SIDE,)*3 depths of a normalised mesh. A closed surface is filled exactly; one with holes is carved."""
    if not is_closed(mesh):
        return distance(padded(carve(mesh, CELLS)))
    halves = fill(mesh, 2).reshape(SIDE, 2, SIDE, 2, SIDE, 2)
    share = halves.mean((1, 3, 5), dtype=np.float32)
    return depths_of_field(ndimage.gaussian_filter(share, 0.5) - np.float32(0.5))


def is_closed(mesh: Mesh) -> bool:
    """Whether each edge has as many faces on one side as on the other."""
    faces = mesh.faces.astype(np.int64)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    up = ends[:, 0] < ends[:, 1]
    count = len(mesh.vertices)
    there = np.sort(ends[up, 0] * count + ends[up, 1])
    back = np.sort(ends[~up, 1] * count + ends[~up, 0])
    return len(there) == len(back) and bool((there == back).all())


def fill(mesh: Mesh, parts: int = 1) -> Bool:
    """(parts * SIDE,)*3: the cells, or parts of them, whose centres a closed surface goes around (winding counted along
    z, so that pieces that overlap are one)."""
    side = SIDE * parts
    cells = ((mesh.vertices.astype(np.float64) + 0.5) * CELLS + MARGIN) * parts - 0.5
    cells[:, :2] += (1.3e-5, 2.9e-5)  # off the edges that lie on centres
    winding = np.zeros((side, side, side + 1), np.int8)
    _cross(winding, cells[mesh.faces])
    return np.asarray(np.cumsum(winding, 2, dtype=np.int8)[:, :, :side] != 0)


@njit(cache=False)
def _cross(winding, triangles):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Count the crossings of each column with each triangle, up or down, at the first cell beyond."""
    side = winding.shape[0]
    for t in range(len(triangles)):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        sign = -1 if area > 0 else 1  # a face that looks up is where one leaves
        for i in range(max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), side - 1) + 1):
            for j in range(max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), side - 1) + 1):
                u = ((i - ax) * (cy - ay) - (j - ay) * (cx - ax)) / area
                v = ((bx - ax) * (j - ay) - (by - ay) * (i - ax)) / area
                if u >= 0 and v >= 0 and u + v <= 1:
                    z = az + u * (bz - az) + v * (cz - az)
                    winding[i, j, min(max(int(np.ceil(z)), 0), side)] += sign


def distance(solid: Bool) -> F32:
    """Depth below the surface of a solid, in cells, cut off at REACH: (n, n, n) bool -> (n, n, n) float32.

    Smoothed, but a cell of the solid stays inside: parts one cell thick survive.
    """
    smooth = ndimage.gaussian_filter(_stepped(solid), SMOOTHING, truncate=3.0)
    return np.where(solid, np.maximum(smooth, 0.2), np.minimum(smooth, -0.05)).astype(np.float32)


def depths_of_field(field: F32) -> F32:
    """Depths of what a field is above 0 in. Beside the surface they are as exact as the field is smooth."""
    slope = np.sqrt(sum(np.square(each) for each in np.gradient(field)))
    exact = np.clip(field / np.maximum(slope, 1e-6), -1, 1)
    stepped = _stepped(field > 0)
    return np.where(np.abs(stepped) < 1, exact, stepped).astype(np.float32)


def _stepped(solid: Bool) -> F32:
    """Distances between centres of cells, less a half."""
    reach = int(REACH) + 1
    inside, outside = _squared(~solid, reach), _squared(solid, reach)
    depth = np.where(solid, np.sqrt(inside) - 0.5, 0.5 - np.sqrt(outside))
    return np.clip(depth, -REACH, REACH).astype(np.float32)


@njit(cache=False)
def _squared(there, reach):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Squared distance of each cell to the nearest cell that is `there`, at most reach**2."""
    nx, ny, nz = there.shape
    most = reach * reach
    along_z = np.empty((nx, ny, nz), np.int16)
    for i in range(nx):
        for j in range(ny):
            far = reach
            for k in range(nz):
                far = 0 if there[i, j, k] else min(far + 1, reach)
                along_z[i, j, k] = far
            far = reach
            for k in range(nz - 1, -1, -1):
                far = 0 if there[i, j, k] else min(far + 1, reach)
                along_z[i, j, k] = min(along_z[i, j, k], far) ** 2
    along_y = along_z.copy()
    for i in range(nx):
        for j in range(ny):
            for step in range(-reach, reach + 1):
                if 0 <= j + step < ny and step != 0:
                    for k in range(nz):
                        along_y[i, j, k] = min(along_y[i, j, k], along_z[i, j + step, k] + step * step)
    out = along_y.copy()
    for i in range(nx):
        for step in range(-reach, reach + 1):
            if 0 <= i + step < nx and step != 0:
                for j in range(ny):
                    for k in range(nz):
                        out[i, j, k] = min(out[i, j, k], along_y[i + step, j, k] + step * step)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                out[i, j, k] = min(out[i, j, k], most)
    return out


def surface(field: F32, level: float = 0.0) -> Mesh:
    """The closed surface at `level` of a field on the grid, in the object's frame. Raises ValueError if it is empty."""
    mesh = extract(field, level)
    return replace(mesh, vertices=(mesh.vertices * np.float32(SIDE / CELLS)).astype(np.float32))


def turned(field: F32, azimuth_deg: float, scale: float, centre: F32) -> F32:
    """The field of an object that is turned about z, then has `centre` moved to 0, then is scaled. Cells stay cells:
    depths are scaled too."""
    a = np.radians(azimuth_deg)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    back = turn.T / scale  # from new cells to old ones
    middle = (SIDE - 1) / 2
    offset = turn.T @ (np.asarray(centre, np.float64) * CELLS) + middle - back @ np.full(3, middle)
    moved = ndimage.affine_transform(field, back, offset, order=1, mode="constant", cval=-REACH)
    return np.clip(moved * np.float32(scale), -REACH, REACH).astype(np.float32)


def box_after_turn(solid: Bool, azimuth_deg: float) -> tuple[float, F32]:
    """(scale, centre) that normalise a solid on the grid once it is turned about z."""
    x, y, z = np.nonzero(solid & ~ndimage.binary_erosion(solid))
    points = (np.stack([x, y, z], 1) + 0.5 - MARGIN) / CELLS - 0.5
    a = np.radians(azimuth_deg)
    points = points @ np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]).T
    low, high = points.min(0) - 0.5 / CELLS, points.max(0) + 0.5 / CELLS
    return float(1 / (high - low).max()), ((low + high) / 2).astype(np.float32)
