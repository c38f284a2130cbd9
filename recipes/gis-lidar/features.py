"""What the network sees of a block of points: a ground estimate, pillar channels on a grid, and local features.

Everything is in metres and relative to the ground estimate or to the neighbourhood, so that neither the place, nor the
coordinate system, nor intensity (whose scale every sensor chooses for itself) can be learned. Distances follow the
density of the cloud: the cell is 0.5, 1 or 2 m wide and the neighbourhoods hold about the same number of points at
0.3 as at 12 points/m2.

The order: `thin` -> `density` -> `layout` -> `ground_estimate` -> `local_features`
-> `_grid`, all of it done by `describe`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

THIN_VOXEL_M = 0.29  # one point a voxel: a surface keeps at most 12 points/m2, wires and crowns keep nearly all
COARSE_VOXEL = 0.7  # the outer neighbourhood is thinned again, to voxels of this many inner radii
WIRE_HEIGHT_M = 3.0  # lower things are no wires
STRIDE = 16  # the U-Net halves the grid four times
POINT_CHANNELS = 40
GRID_CHANNELS = 40

# Compiled once a process; kept on disk only where somebody names a folder for it (a recipe's own folder is read-only).
kernel: Any = numba.njit(nogil=True, error_model="numpy", cache=bool(os.environ.get("NUMBA_CACHE_DIR")))
vector_kernel: Any = numba.njit(
    nogil=True, error_model="numpy", fastmath=True, cache=bool(os.environ.get("NUMBA_CACHE_DIR"))
)


@dataclass(frozen=True)
class Layout:
    """A grid over a block, rows along y: point (x, y) lies at column (x - x0) / cell_m, row (y - y0) / cell_m."""

    x0: float
    y0: float
    rows: int
    columns: int
    cell_m: float
    radius_m: float  # of the inner neighbourhood; the outer is twice that


@dataclass(frozen=True)
class Description:
    """A described block of N points (those asked for) on an H x W grid."""

    layout: Layout
    grid: F32  # (GRID_CHANNELS, H, W)
    points: F32  # (N, POINT_CHANNELS)
    row: F32  # (N,) fractional grid position; cell centres lie at .5
    column: F32  # (N,)
    height: F32  # (N,) metres above `ground`, bilinear
    ground: F32  # (H, W) the ground estimate at the cell centres, metres above the block's lowest reference


# --- thinning and density ------------------------------------------------------------------------------------------


@kernel
def _first_in_voxel(xyz: F64, size: float) -> Bool:
    """(N, 3) metres -> (N,) True for the first point of each voxel, by an open-addressed table of voxel keys."""
    n = xyz.shape[0]
    capacity = 16
    while capacity < 2 * n:
        capacity *= 2
    table = np.full(capacity, -1, np.int64)
    keep = np.zeros(n, np.bool_)
    for i in range(n):
        a = np.int64(np.floor(xyz[i, 0] / size)) & 0x1FFFFF
        b = np.int64(np.floor(xyz[i, 1] / size)) & 0x1FFFFF
        c = np.int64(np.floor(xyz[i, 2] / size)) & 0x1FFFFF
        key = (a << 42) | (b << 21) | c
        slot = ((key * 0x9E3779B97F4A7C1) >> 20) & (capacity - 1)
        while table[slot] != -1 and table[slot] != key:
            slot = (slot + 1) & (capacity - 1)
        if table[slot] == -1:
            table[slot] = key
            keep[i] = True
    return keep


def thin(xyz: F64, voxel_m: float = THIN_VOXEL_M) -> I64:
    """Indices of one point a voxel, ascending."""
    return np.flatnonzero(_first_in_voxel(xyz, voxel_m))


def density(xyz: F64, cell_m: float = 4.0) -> float:
    """Points/m2: the median over the occupied cells, so that water and the block's outline do not dilute it."""
    column = ((xyz[:, 0] - xyz[:, 0].min()) / cell_m).astype(np.int64)
    row = ((xyz[:, 1] - xyz[:, 1].min()) / cell_m).astype(np.int64)
    count = np.bincount(row * (column.max() + 1) + column)
    return float(np.median(count[count > 0])) / cell_m**2


def layout(xyz: F64) -> Layout:
    """The grid and the neighbourhood that suit the block's density. xyz: thinned points."""
    rho = max(density(xyz), 0.05)
    cell = 0.5 if rho >= 5.0 else 1.0 if rho >= 1.2 else 2.0
    radius = float(np.clip(np.sqrt(20.0 / (np.pi * rho)), 0.75, 3.5))
    low, high = xyz[:, :2].min(axis=0), xyz[:, :2].max(axis=0)
    origin = np.floor(low / cell) * cell
    cells = np.floor((high - origin) / cell).astype(int) + 1
    columns, rows = (-(-cells // STRIDE) * STRIDE).tolist()
    return Layout(float(origin[0]), float(origin[1]), rows, columns, cell, radius)


# --- the ground estimate -------------------------------------------------------------------------------------------


@kernel
def _cell_minimum(x: F64, y: F64, z: F64, rows: int, columns: int, cell: float) -> F64:
    """The lowest z of each cell, NaN where there is none. x, y: metres from the grid's corner."""
    lowest = np.full((rows, columns), np.inf)
    for i in range(x.shape[0]):
        r = min(max(int(y[i] / cell), 0), rows - 1)
        c = min(max(int(x[i] / cell), 0), columns - 1)
        lowest[r, c] = min(lowest[r, c], z[i])
    for r in range(rows):
        for c in range(columns):
            if lowest[r, c] == np.inf:
                lowest[r, c] = np.nan
    return lowest


@kernel
def _cell_ground_mean(
    x: F64, y: F64, z: F64, surface: F64, known: Bool, cell: float, below: float, above: float
) -> F64:
    """Mean z of each cell's points within [-below, above] of `surface` where it is known, else NaN."""
    rows, columns = surface.shape
    total = np.zeros((rows, columns))
    count = np.zeros((rows, columns))
    for i in range(x.shape[0]):
        r = min(max(int(y[i] / cell), 0), rows - 1)
        c = min(max(int(x[i] / cell), 0), columns - 1)
        h = z[i] - surface[r, c]
        if known[r, c] and -below <= h <= above:
            total[r, c] += z[i]
            count[r, c] += 1.0
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def fill(surface: F64, smoothing: int = 12) -> F64:
    """Fill NaN cells: averages of coarser and coarser grids, then relaxed towards the mean of their neighbours."""
    hole = np.isnan(surface)
    if not hole.any():
        return surface
    if hole.all():
        return np.zeros_like(surface)
    rows, columns = surface.shape
    padded = np.pad(surface, ((0, rows % 2), (0, columns % 2)), constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    known = (~np.isnan(blocks)).sum(axis=(1, 3))
    coarse = fill(np.where(known > 0, np.nansum(blocks, axis=(1, 3)) / np.maximum(known, 1), np.nan), smoothing)
    filled = np.where(hole, np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:rows, :columns], surface)
    for _ in range(smoothing):
        filled[hole] = ndimage.uniform_filter(filled, 3, mode="nearest")[hole]
    return filled


def _open(surface: F64, radius: int) -> F64:
    size = (2 * radius + 1, 2 * radius + 1)
    eroded = ndimage.grey_erosion(surface, size=size, mode="nearest")
    return np.asarray(ndimage.grey_dilation(eroded, size=size, mode="nearest"))


def _low_outliers(lowest: F64, drop_m: float = 1.0, reach: int = 3, companions: int = 5) -> Bool:
    """Cells that hardly any other is as deep as: but for `companions`, all seen cells within `reach` lie more than
    drop_m higher. Multipath, which comes in clusters, not pits, ditches and the foot of slopes.
    """
    size = 2 * reach + 1
    deep = np.where(np.isnan(lowest), np.inf, lowest)
    rank = min(companions, lowest.size - 1)
    others = ndimage.rank_filter(deep, rank, size=size, mode="nearest")
    return np.asarray((others - lowest > drop_m) & np.isfinite(others))


def smrf_surface(xyz: F64, cell_m: float, window_m: float, slope: float, shape: tuple[int, int]) -> tuple[F64, Bool]:
    """Simple morphological filter: opens the lowest-return surface with growing windows and drops the cells that fall.

    xyz: metres from the grid's corner. Returns the surface with objects filled in, and where it was seen.
    Pingel, Clarke, McBride 2013 (square windows instead of discs).
    """
    lowest = _cell_minimum(xyz[:, 0], xyz[:, 1], xyz[:, 2], shape[0], shape[1], cell_m)
    seen = ~np.isnan(lowest)
    low = _low_outliers(lowest)
    surface = fill(np.where(low, np.nan, lowest))
    objects = np.zeros(shape, np.bool_)
    opened = surface
    for radius in range(1, max(1, round(window_m / cell_m)) + 1):
        last, opened = opened, _open(opened, radius)
        objects |= last - opened > slope * radius * cell_m
    known = seen & ~objects & ~low
    if not known.any():
        known = seen
    return fill(np.where(known, lowest, np.nan)), known


def smrf_ground(xyz: F64, cell_m: float = 1.0, window_m: float = 18.0, slope: float = 0.15) -> Bool:
    """SMRF's own answer with its usual settings (threshold 0.5 m, scalar 1.25), the baseline: (N, 3) -> (N,)."""
    local = xyz - xyz.min(axis=0)
    shape = (int(local[:, 1].max() / cell_m) + 1, int(local[:, 0].max() / cell_m) + 1)
    surface, _ = smrf_surface(local, cell_m, window_m, slope, shape)
    steepness = np.hypot(*np.gradient(surface, cell_m)) if min(shape) > 1 else np.zeros(shape)
    row, column = local[:, 1] / cell_m, local[:, 0] / cell_m
    height = local[:, 2] - bilinear(surface, row, column)
    return np.asarray(np.abs(height) <= 0.5 + 1.25 * bilinear(steepness, row, column))


def bilinear(grid: NDArray[Any], row: NDArray[Any], column: NDArray[Any]) -> F64:
    """Values of an (H, W) grid at fractional positions; cell centres lie at .5."""
    return np.asarray(_bilinear(grid.astype(np.float64), row.astype(np.float64), column.astype(np.float64)))


@kernel
def _bilinear(grid: F64, row: F64, column: F64) -> F64:
    rows, columns = grid.shape
    value = np.empty(row.shape[0])
    for i in range(row.shape[0]):
        r = min(max(row[i] - 0.5, 0.0), rows - 1.0)
        c = min(max(column[i] - 0.5, 0.0), columns - 1.0)
        r0, c0 = int(r), int(c)
        r1, c1 = min(r0 + 1, rows - 1), min(c0 + 1, columns - 1)
        fr, fc = r - r0, c - c0
        value[i] = (grid[r0, c0] * (1 - fc) + grid[r0, c1] * fc) * (1 - fr) + (
            grid[r1, c0] * (1 - fc) + grid[r1, c1] * fc
        ) * fr
    return value


def ground_estimate(local: F64, place: Layout) -> tuple[F64, F64]:
    """Two ground surfaces at the cells' centres, (H, W): with SMRF's usual window, and with one that removes halls.

    local: thinned points, metres from the grid's corner. The lowest point of a cell is biased by noise, so the
    surface is the mean of the points close to it.
    """
    extent = (place.rows * place.cell_m, place.columns * place.cell_m)
    surfaces = []
    for cell, window, slope in ((max(1.0, place.cell_m), 18.0, 0.15), (2.0 * max(1.0, place.cell_m), 50.0, 0.10)):
        shape = (int(np.ceil(extent[0] / cell)), int(np.ceil(extent[1] / cell)))
        surface, known = smrf_surface(local, cell, window, slope, shape)
        steep = np.hypot(*np.gradient(surface, cell)) * cell
        mean = _cell_ground_mean(local[:, 0], local[:, 1], local[:, 2], surface, known & (steep < 4.0), cell, 0.2, 0.3)
        surface = fill(np.where(np.isnan(mean) & known, surface, mean))
        row = (np.arange(place.rows) + 0.5) * place.cell_m / cell
        column = (np.arange(place.columns) + 0.5) * place.cell_m / cell
        rr, cc = np.meshgrid(row, column, indexing="ij")
        surfaces.append(bilinear(surface, rr.ravel(), cc.ravel()).reshape(place.rows, place.columns))
    return surfaces[0], surfaces[1]


# --- local features ------------------------------------------------------------------------------------------------


@kernel
def _sort_by_cell(x: F64, y: F64, rows: int, columns: int, cell: float) -> tuple[I32, I32]:
    """Counting sort: (start of each cell, (rows * columns + 1,)), (order of the points, (N,))."""
    n = x.shape[0]
    where = np.empty(n, np.int32)
    start = np.zeros(rows * columns + 1, np.int32)
    for i in range(n):
        r = min(max(int(y[i] / cell), 0), rows - 1)
        c = min(max(int(x[i] / cell), 0), columns - 1)
        where[i] = r * columns + c
        start[where[i] + 1] += 1
    for k in range(rows * columns):
        start[k + 1] += start[k]
    head = start[:-1].copy()
    order = np.empty(n, np.int32)
    for i in range(n):
        order[head[where[i]]] = i
        head[where[i]] += 1
    return start, order


@kernel
def _shape_of(n: float, s: F64, out: F32, at: int, scale: float) -> None:
    """Eigenfeatures of a neighbourhood from its sums s = (x, y, z, xx, xy, xz, yy, yz, zz), relative to the query.

    Writes linearity, planarity, sphericity, |normal z|, log thickness, signed distance to the plane in thicknesses of
    0.1 m, |axis z| and the height above the centroid, to out[at:at+8]. Needs 4 points.
    """
    if n < 4:
        for k in range(8):
            out[at + k] = 0.0
        return
    mx, my, mz = s[0] / n, s[1] / n, s[2] / n
    a = s[3] / n - mx * mx + 1e-8
    b = s[6] / n - my * my + 1e-8
    c = s[8] / n - mz * mz + 1e-8
    d, e, f = s[4] / n - mx * my, s[7] / n - my * mz, s[5] / n - mx * mz
    # eigenvalues of [[a, d, f], [d, b, e], [f, e, c]] (Smith 1961)
    q = (a + b + c) / 3.0
    p = np.sqrt(max(((a - q) ** 2 + (b - q) ** 2 + (c - q) ** 2 + 2.0 * (d * d + e * e + f * f)) / 6.0, 1e-30))
    aa, bb, cc = (a - q) / p, (b - q) / p, (c - q) / p
    dd, ee, ff = d / p, e / p, f / p
    det = aa * (bb * cc - ee * ee) - dd * (dd * cc - ee * ff) + ff * (dd * ee - bb * ff)
    phi = np.arccos(min(max(det / 2.0, -1.0), 1.0)) / 3.0
    l1 = max(q + 2.0 * p * np.cos(phi), 1e-8)
    l3 = max(q + 2.0 * p * np.cos(phi + 2.0943951023931953), 1e-9)
    l2 = max(3.0 * q - l1 - l3, l3)
    for k in range(2):  # normal: eigenvector of l3; axis: of l1
        value = l3 if k == 0 else l1
        ux, uy, uz = a - value, d, f
        vx, vy, vz = d, b - value, e
        wx, wy, wz = f, e, c - value
        x1, y1, z1 = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        x2, y2, z2 = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        x3, y3, z3 = vy * wz - vz * wy, vz * wx - vx * wz, vx * wy - vy * wx
        n1, n2, n3 = x1 * x1 + y1 * y1 + z1 * z1, x2 * x2 + y2 * y2 + z2 * z2, x3 * x3 + y3 * y3 + z3 * z3
        if n2 > n1 and n2 >= n3:
            x1, y1, z1, n1 = x2, y2, z2, n2
        elif n3 > n1:
            x1, y1, z1, n1 = x3, y3, z3, n3
        length = np.sqrt(n1) + 1e-30
        if k == 0:
            out[at + 3] = abs(z1) / length
            side = 1.0 if z1 >= 0 else -1.0
            distance = -side * (mx * x1 + my * y1 + mz * z1) / length
            out[at + 5] = min(max(distance / 0.2, -3.0), 3.0)
        else:
            out[at + 6] = abs(z1) / length
    out[at] = (np.sqrt(l1) - np.sqrt(l2)) / np.sqrt(l1)
    out[at + 1] = (np.sqrt(l2) - np.sqrt(l3)) / np.sqrt(l1)
    out[at + 2] = np.sqrt(l3 / l1)
    out[at + 4] = 0.5 * np.log(np.sqrt(l3) + 0.01) + 1.0
    out[at + 7] = min(max(-mz / scale, -3.0), 3.0)


@vector_kernel
def _moments(cloud: F32, n: int, x: float, y: float, z: float, square: float, gap: float, out: F32) -> None:
    """Sums over the first n points of cloud (4: x, y, z, weight; M) near a query, into out[:14].

    out: 9 moments and count within the ball; weights in the ball; in the cylinder count, points more than `gap` below,
    and above. Without branches or minima, so that it becomes vector instructions: 0.5 ns a neighbour instead of 4.
    """
    zero, one = np.float32(0), np.float32(1)
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = count = weight = within = below = above = zero
    cx, cy, cz, cw = cloud[0], cloud[1], cloud[2], cloud[3]
    for j in range(n):
        dx, dy, dz = cx[j] - x, cy[j] - y, cz[j] - z
        flat = dx * dx + dy * dy
        tube = one if flat <= square else zero
        ball = one if flat + dz * dz <= square else zero
        within += tube
        below += tube if dz < -gap else zero
        above += tube if dz > gap else zero
        count += ball
        weight += ball * cw[j]
        bx, by, bz = ball * dx, ball * dy, ball * dz
        s0 += bx
        s1 += by
        s2 += bz
        s3 += bx * dx
        s4 += bx * dy
        s5 += bx * dz
        s6 += by * dy
        s7 += by * dz
        s8 += bz * dz
    out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8] = s0, s1, s2, s3, s4, s5, s6, s7, s8
    out[9], out[10], out[11], out[12], out[13] = count, weight, within, below, above


@vector_kernel
def _reach(cloud: F32, millimetres: I32, n: int, x: float, y: float, z: int, square: float, gap: int, out: F32) -> None:
    """How far the cylinder reaches below and above the query, and the least steps of more than `gap` down and up
    (30 m if none), in metres, into out[14:18]. In whole millimetres: minima of floats would not be vectorised.
    """
    far, none = np.int32(30000), np.int32(0)
    low = high = none
    down = up = far
    cx, cy = cloud[0], cloud[1]
    for j in range(n):
        dx, dy = cx[j] - x, cy[j] - y
        h = np.int32(millimetres[j] - z) if dx * dx + dy * dy <= square else none
        low, high = min(low, h), max(high, h)
        down = min(down, np.int32(-h) if h < -gap else far)
        up = min(up, h if h > gap else far)
    metre = np.float32(0.001)
    out[14], out[15], out[16], out[17] = -low * metre, high * metre, down * metre, up * metre


@kernel
def _gather(
    cloud: F32, start: I32, r0: int, c0: int, reach: int, rows: int, columns: int, buffer: F32
) -> tuple[F32, int]:
    """Copy the points of the cells within `reach` of cell (r0, c0) side by side; the buffer grows when it must."""
    n = 0
    for r in range(max(r0 - reach, 0), min(r0 + reach + 1, rows)):
        first = start[r * columns + max(c0 - reach, 0)]
        end = start[r * columns + min(c0 + reach, columns - 1) + 1]
        if n + end - first > buffer.shape[1]:
            grown = np.empty((4, 2 * (n + end - first)), np.float32)
            grown[:, :n] = buffer[:, :n]
            buffer = grown
        for k in range(4):
            for j in range(first, end):
                buffer[k, n + j - first] = cloud[k, j]
        n += end - first
    return buffer, n


@kernel
def _millimetres(z: F32, n: int) -> I32:
    out = np.empty(n, np.int32)
    for j in range(n):
        out[j] = np.int32(np.floor(z[j] * 1000.0))
    return out


@kernel
def _neighbourhoods(
    query: F32, query_start: I32, cloud: F32, start: I32, coarse: F32, coarse_start: I32, rows: int, columns: int,
    radius: float, out: F32,
) -> None:  # fmt: skip
    """Local features of each query (4, N) into out (N, 30): of the `cloud` (4, M) within radius, of the coarser one
    within twice that; all sorted by cells of one radius, and a cell's queries share what is gathered around it.
    """
    inner, outer = np.float32(radius * radius), np.float32(4.0 * radius * radius)
    near, far = np.empty(18, np.float32), np.empty(18, np.float32)
    near_buffer, far_buffer = np.empty((4, 1024), np.float32), np.empty((4, 1024), np.float32)
    half, third = np.int32(500), np.int32(300)
    for cell in range(rows * columns):
        if query_start[cell] == query_start[cell + 1]:
            continue
        r0, c0 = cell // columns, cell % columns
        near_buffer, n_near = _gather(cloud, start, r0, c0, 1, rows, columns, near_buffer)
        far_buffer, n_far = _gather(coarse, coarse_start, r0, c0, 2, rows, columns, far_buffer)
        near_mm = _millimetres(near_buffer[2], n_near)
        far_mm = _millimetres(far_buffer[2], n_far)
        for i in range(query_start[cell], query_start[cell + 1]):
            x, y, z = query[0, i], query[1, i], query[2, i]
            mm = np.int32(np.floor(z * 1000.0))
            _moments(near_buffer, n_near, x, y, z, inner, np.float32(0.3), near)
            _moments(far_buffer, n_far, x, y, z, outer, np.float32(0.5), far)
            _reach(near_buffer, near_mm, n_near, x, y, mm, inner, third, near)
            _reach(far_buffer, far_mm, n_far, x, y, mm, outer, half, far)
            _shape_of(near[9], near, out[i], 0, radius)
            _shape_of(far[9], far, out[i], 8, 2.0 * radius)
            tube, wide = max(near[11], 1.0), max(far[11], 1.0)
            out[i, 16] = near[12] / tube
            out[i, 17] = near[13] / tube
            out[i, 18] = 1.0 - (near[12] + near[13]) / tube
            out[i, 19] = far[12] / wide
            out[i, 20] = far[13] / wide
            out[i, 21] = np.arcsinh(near[14])
            out[i, 22] = np.arcsinh(near[15])
            out[i, 23] = np.arcsinh(far[14])
            out[i, 24] = np.arcsinh(far[15])
            out[i, 25] = np.log(0.3 + near[16]) if near[12] > 0 else 0.0
            out[i, 26] = np.log(0.3 + near[17]) if near[13] > 0 else 0.0
            out[i, 27] = np.log(near[9] + 1.0) - 2.5
            out[i, 28] = far[9] / wide
            out[i, 29] = far[10] / max(far[9], 1.0)


def _as_rows(xyz: F64, order: I32, weight: NDArray[Any] | None = None) -> F32:
    """(N, 3) float64 -> (4, N) float32 in order: block-relative metres keep 0.1 mm in it."""
    rows = np.zeros((4, len(order)), np.float32)
    rows[:3] = xyz[order].T
    if weight is not None:
        rows[3] = weight[order]
    return rows


def local_features(query: F64, cloud: F64, number_of_returns: U8, place: Layout) -> F32:
    """(N, 30) features of `query` points among the thinned `cloud`; both in metres from the grid's corner."""
    cell = place.radius_m
    rows = int(place.rows * place.cell_m / cell) + 1
    columns = int(place.columns * place.cell_m / cell) + 1
    kept = thin(cloud, COARSE_VOXEL * cell)
    coarse, multiple = cloud[kept], number_of_returns[kept] > 1
    start, order = _sort_by_cell(cloud[:, 0], cloud[:, 1], rows, columns, cell)
    coarse_start, coarse_order = _sort_by_cell(coarse[:, 0], coarse[:, 1], rows, columns, cell)
    query_start, query_order = _sort_by_cell(query[:, 0], query[:, 1], rows, columns, cell)
    found = np.empty((len(query), 30), np.float32)
    _neighbourhoods(
        _as_rows(query, query_order), query_start, _as_rows(cloud, order), start,
        _as_rows(coarse, coarse_order, multiple), coarse_start, rows, columns, cell, found,
    )  # fmt: skip
    out = np.empty_like(found)
    out[query_order] = found
    return out


# --- pillar channels -----------------------------------------------------------------------------------------------


@kernel
def _pillars(row: F32, column: F32, height: F32, flags: F32, local: F32, rows: int, columns: int) -> F32:
    """Sums over the points of each cell -> (27, H, W) channels; flags: (N, 3) multiple, last, intermediate."""
    grid = np.zeros((27, rows, columns), np.float32)
    low = np.full((rows, columns), np.float32(1e9))
    high = np.full((rows, columns), np.float32(-1e9))
    edges = np.array([-1.0, -0.25, 0.25, 0.75, 1.5, 3.0, 6.0, 12.0, 25.0], np.float32)
    for i in range(row.shape[0]):
        r = min(max(int(row[i]), 0), rows - 1)
        c = min(max(int(column[i]), 0), columns - 1)
        h = height[i]
        grid[0, r, c] += 1.0
        a = np.float32(np.arcsinh(h))
        grid[3, r, c] += a
        grid[4, r, c] += a * a
        low[r, c] = min(low[r, c], h)
        high[r, c] = max(high[r, c], h)
        for k in range(3):
            grid[5 + k, r, c] += flags[i, k]
        k = 0
        while k < 9 and h > edges[k]:
            k += 1
        grid[8 + k, r, c] += 1.0
        grid[18, r, c] += local[i, 1]  # planarity, inner
        grid[19, r, c] += local[i, 3]  # |normal z|, inner
        grid[20, r, c] += local[i, 4]  # thickness, inner
        grid[21, r, c] += local[i, 9]  # planarity, outer
        grid[22, r, c] += local[i, 11]  # |normal z|, outer
        grid[23, r, c] += local[i, 12]  # thickness, outer
        grid[24, r, c] += local[i, 8]  # linearity, outer
        grid[25, r, c] += local[i, 14]  # |axis z|, outer
        if h > WIRE_HEIGHT_M:  # what hangs in the air shows, however many points lie below it
            grid[26, r, c] = max(grid[26, r, c], local[i, 8])
    for r in range(rows):
        for c in range(columns):
            n = grid[0, r, c]
            if n > 0:
                for k in range(3, 26):
                    grid[k, r, c] /= n
                grid[4, r, c] = np.sqrt(max(grid[4, r, c] - grid[3, r, c] ** 2, 0.0))
                grid[1, r, c] = np.arcsinh(low[r, c])
                grid[2, r, c] = np.arcsinh(high[r, c])
                grid[0, r, c] = np.log(n + 1.0)
    return grid


def describe(
    xyz: F64, return_number: U8, number_of_returns: U8, wanted: I64 | None = None, thinned: I64 | None = None
) -> Description:
    """Describe a block for the network. wanted: indices of the points to describe (default: the thinned ones).

    xyz: (N, 3) float64, metres. Returns features of the wanted points in their order.
    """
    kept = thin(xyz) if thinned is None else thinned
    place = layout(xyz[kept])
    corner = np.array([place.x0, place.y0, float(np.median(xyz[kept, 2]))])
    cloud = xyz[kept] - corner
    ground, wide_ground = ground_estimate(cloud, place)
    rn, nr = return_number[kept], number_of_returns[kept]
    around = local_features(cloud, cloud, nr, place)
    grid = _grid(cloud, rn, nr, around, ground, wide_ground, place)
    if wanted is None:
        wanted, query, local = kept, cloud, around
    else:
        query = xyz[wanted] - corner
        local = local_features(query, cloud, nr, place)
    row = (query[:, 1] / place.cell_m).astype(np.float32)
    column = (query[:, 0] / place.cell_m).astype(np.float32)
    height = (query[:, 2] - bilinear(ground, row, column)).astype(np.float32)
    wide_height = (query[:, 2] - bilinear(wide_ground, row, column)).astype(np.float32)
    points = _point_channels(local, height, wide_height, return_number[wanted], number_of_returns[wanted], place)
    return Description(place, grid, points, row, column, height, ground.astype(np.float32))


def _grid(cloud: F64, rn: U8, nr: U8, local: F32, ground: F64, wide_ground: F64, place: Layout) -> F32:
    """(GRID_CHANNELS, H, W): 27 pillar channels, mask, slopes, difference of the grounds, curvature, cell size,
    levelness, relative density.
    """
    row = (cloud[:, 1] / place.cell_m).astype(np.float32)
    column = (cloud[:, 0] / place.cell_m).astype(np.float32)
    height = (cloud[:, 2] - bilinear(ground, row, column)).astype(np.float32)
    flags = np.stack([nr > 1, rn >= nr, (rn > 1) & (rn < nr)], axis=1).astype(np.float32)
    grid = np.zeros((GRID_CHANNELS, place.rows, place.columns), np.float32)
    grid[:27] = _pillars(row, column, height, flags, local, place.rows, place.columns)
    grid[27] = grid[0] > 0
    grid[28], grid[29] = np.clip(np.gradient(ground, place.cell_m), -2.0, 2.0)
    grid[30] = np.arcsinh(ground - wide_ground)
    grid[31] = np.arcsinh(ground - ndimage.uniform_filter(ground, round(20.0 / place.cell_m), mode="nearest"))
    grid[32] = np.log2(place.cell_m)
    # how level the ground is, on the scale of centimetres: water is told from a field by it
    ten, forty = round(10.0 / place.cell_m) | 1, round(40.0 / place.cell_m) | 1
    mean = ndimage.uniform_filter(ground, ten, mode="nearest")
    variance = ndimage.uniform_filter(ground**2, ten, mode="nearest") - mean**2
    grid[33] = 0.5 * np.log(1e-4 + np.maximum(variance, 0.0)) + 2.0
    grid[34] = np.arcsinh(np.hypot(*np.gradient(mean, place.cell_m)) / 0.02)
    grid[35] = np.arcsinh(ground - ndimage.minimum_filter(ground, forty, mode="nearest"))
    grid[36] = np.arcsinh((ground - mean) / 0.05)
    spread = (
        ndimage.uniform_filter(mean**2, forty, mode="nearest")
        - ndimage.uniform_filter(mean, forty, mode="nearest") ** 2
    )
    grid[39] = 0.5 * np.log(1e-4 + np.maximum(spread, 0.0)) + 2.0
    # how many points there are beside the block's average, near and far: echoes that never came back
    count = np.expm1(grid[0])
    seen = max(float(count.mean()), 1e-3)
    for k, reach in ((37, 3), (38, ten)):
        grid[k] = np.log(0.1 + ndimage.uniform_filter(count, reach, mode="nearest") / seen)
    return grid


def _point_channels(local: F32, height: F32, wide: F32, rn: U8, nr: U8, place: Layout) -> F32:
    """(N, POINT_CHANNELS): 30 local features, two heights on two scales each, the echo's place among its returns."""
    points = np.empty((len(local), POINT_CHANNELS), np.float32)
    points[:, :30] = local
    points[:, 30] = np.arcsinh(height)
    points[:, 31] = np.clip(height / 0.5, -2.0, 2.0)
    points[:, 32] = np.arcsinh(wide)
    points[:, 33] = np.clip(wide / 0.5, -2.0, 2.0)
    points[:, 34] = rn <= 1
    points[:, 35] = rn >= nr
    points[:, 36] = nr <= 1
    points[:, 37] = np.minimum(nr, 6) / 3.0
    points[:, 38] = np.log2(place.radius_m)
    points[:, 39] = np.log2(place.cell_m)
    return points
