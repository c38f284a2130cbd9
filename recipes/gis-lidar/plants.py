"""Plants as extinction in voxels: trees, shrubs, hedges, stands and undergrowth.

Crowns are cones, ellipsoids or columns with lobes, boughs (lumps of 2 m) and gaps; extinction 0.25-2.5 1/m in
leaf, drawn once a scene, with single branches instead of leaves in 4 of 10 scenes, so that ground below crowns
gets from 40 % of the beams down to 1 %. Heights 0.5-40 m.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .world import COLUMN_M, EXTINCTION_STEP, FIRST_TOWER, LEVEL_M, MARGIN_M, Flora, World, fractal, scramble

ELLIPSOID, CONE, COLUMN = 0, 1, 2


def draw_shape(rng: np.random.Generator, flora: Flora) -> tuple[int, bool]:
    """-> the form of a crown, and whether it is bare."""
    if rng.random() < flora.conifers:
        return CONE, False
    return (COLUMN if rng.random() < 0.06 else ELLIPSOID), flora.bare


def tree(
    rng: np.random.Generator, world: World, x: float, y: float, height: float, shape: int, extinction: float,
    bare: bool, radius: float | None = None, start: float | None = None, gaps: float | None = None,
) -> None:  # fmt: skip
    """Adds one crown. start: where it begins, a share of the height; gaps: share of its clumps that are empty."""
    if radius is None:
        slender = {CONE: (0.14, 0.28), ELLIPSOID: (0.25, 0.55), COLUMN: (0.1, 0.18)}[shape]
        radius = height * rng.uniform(*slender)
    if start is None:
        start = rng.uniform(0.0, 0.35) if shape == CONE else rng.uniform(0.03, 0.4)
    if gaps is None:
        gaps = rng.uniform(0.2, 0.65) if rng.random() < 0.85 else rng.uniform(0.0, 0.1)
    seed = int(rng.integers(0, 1 << 30))
    world.crowns.append((x, y, height, radius, start, shape, extinction, float(bare), gaps, seed))


def shrub(rng: np.random.Generator, world: World, x: float, y: float) -> None:
    """A bush, wild or clipped to a smooth outline."""
    height = rng.uniform(0.5, 4.0)
    radius = height * rng.uniform(0.3, 0.8) + 0.2
    bare = world.flora.bare and rng.random() < 0.5
    extinction = world.flora.extinction * rng.uniform(0.8, 2.5)
    if rng.random() < 0.3:
        tree(rng, world, x, y, height, ELLIPSOID, max(extinction, 2.0), False, radius, 0.0, gaps=0.0)
    else:
        tree(rng, world, x, y, height, ELLIPSOID, extinction, bare, radius, 0.0)


def hedge(rng: np.random.Generator, world: World, x0: float, y0: float, x1: float, y1: float) -> None:
    h, r, k = rng.uniform(0.8, 3.0), rng.uniform(0.35, 0.9), rng.uniform(1.0, 4.0)
    length = np.hypot(x1 - x0, y1 - y0)
    for t in np.arange(0, 1, 0.6 / max(length, 0.6)):
        x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
        if not world.taken_at(x, y) & 7:
            tree(rng, world, x, y, h * rng.uniform(0.92, 1.08), COLUMN, k, False, r, 0.0)


def scatter_trees(
    rng: np.random.Generator, world: World, count: int, height: tuple[float, float], against: int = 7
) -> None:
    for x, y in rng.uniform(-MARGIN_M, world.size_m + MARGIN_M, (count, 2)):
        if not world.taken_at(x, y) & against:
            shape, bare = draw_shape(rng, world.flora)
            tree(rng, world, x, y, rng.uniform(*height), shape, world.flora.extinction * rng.uniform(0.6, 1.5), bare)


def forest(rng: np.random.Generator, world: World, where: NDArray[np.bool_]) -> None:
    """A stand over the columns marked: spacing, height and undergrowth of its own."""
    closed = rng.random() < 0.4  # a canopy that lets few beams through
    spacing = rng.uniform(2.4, 4.5) if closed else rng.uniform(2.6, 7.5)
    tall = rng.uniform(6, 32)
    leafy = rng.uniform(1.0, 2.0) if closed else 1.0
    first_bough = rng.choice([0.05, 0.25, 0.6])
    count = int(world.extent_m**2 / spacing**2)
    n = int(np.sqrt(count))
    gx, gy = np.meshgrid(np.arange(n), np.arange(n))
    jitter = 0.25 if rng.random() < 0.3 else 0.9  # plantations stand in rows
    xs = (gx.ravel() + rng.uniform(-0.5, 0.5, n * n) * jitter) * world.extent_m / n - MARGIN_M
    ys = (gy.ravel() + rng.uniform(-0.5, 0.5, n * n) * jitter) * world.extent_m / n - MARGIN_M
    cells = len(world.terrain)
    ix = np.clip(((xs + MARGIN_M) / COLUMN_M).astype(int), 0, cells - 1)
    iy = np.clip(((ys + MARGIN_M) / COLUMN_M).astype(int), 0, cells - 1)
    chosen = where[iy, ix] & (world.taken[iy, ix] == 0)
    cover = rng.uniform(0.55, 1.0) if not closed else rng.uniform(0.85, 1.0)
    vary = rng.uniform(0.05, 0.35)
    for x, y in zip(xs[chosen], ys[chosen], strict=True):
        if rng.random() < cover:
            shape, bare = draw_shape(rng, world.flora)
            h = max(tall * (1 + vary * rng.standard_normal()), 2.0)
            wide = min(h * rng.uniform(0.14, 0.32), spacing * rng.uniform(*((0.6, 1.1) if closed else (0.45, 0.9))))
            start = first_bough * rng.uniform(0.5, 1.3)
            tree(rng, world, x, y, h, shape, leafy * world.flora.extinction * rng.uniform(0.6, 1.5), bare, wide, start)
    undergrowth(rng, world, where)


def undergrowth(rng: np.random.Generator, world: World, where: NDArray[np.bool_]) -> None:
    """Herbs, brambles, shrubs and young trees in patches over the columns marked; from none to a second storey."""
    n = len(world.terrain)
    if rng.random() < 0.6:
        patch = where & (world.water == 0) & (world.taken == 0) & (fractal(rng, n, 1.2) > rng.uniform(-1.0, 1.5))
        tips = rng.uniform(0.15, 1.6) * np.clip(1 + 0.5 * fractal(rng, n, 0.9), 0.1, 2)
        world.low_height[patch] = tips[patch]
        world.low_cover[patch] = rng.uniform(0.05, 0.85) ** 1.5
    per_hectare = rng.choice([0, 50, 200, 600, 1500]) * rng.uniform(0.5, 1.5)
    tall = rng.uniform(1.0, 9.0)
    for x, y in rng.uniform(-MARGIN_M, world.size_m + MARGIN_M, (int(per_hectare * world.extent_m**2 / 1e4), 2)):
        i, j = min(int((y + MARGIN_M) / COLUMN_M), n - 1), min(int((x + MARGIN_M) / COLUMN_M), n - 1)
        if where[i, j] and not world.taken[i, j]:
            shape, bare = draw_shape(rng, world.flora)
            h = max(tall * rng.uniform(0.3, 1.2), 0.6)
            radius = h * rng.uniform(0.2, 0.5) + 0.2
            tree(
                rng,
                world,
                x,
                y,
                h,
                shape,
                world.flora.extinction * rng.uniform(0.5, 1.5),
                bare,
                radius,
                rng.uniform(0, 0.2),
            )


@njit(cache=False)
def lump(seed, i, j, k):  # type: ignore[no-untyped-def]
    """A random word for one cell of a lattice."""
    return scramble(
        seed
        + np.uint64(i) * np.uint64(73856093)
        + np.uint64(j) * np.uint64(19349663)
        + np.uint64(k) * np.uint64(83492791)
    )


@njit(cache=False)
def fill_crowns(porous, terrain, crowns):  # type: ignore[no-untyped-def]
    """porous: (n, n, levels); crowns: (m, 10) x, y, height, radius, start, shape, extinction, bare, gaps, seed."""
    n, levels = porous.shape[0], porous.shape[2]
    for t in range(crowns.shape[0]):
        x, y, height, radius = crowns[t, 0], crowns[t, 1], crowns[t, 2], crowns[t, 3]
        start, shape, extinction, bare, gaps = crowns[t, 4], int(crowns[t, 5]), crowns[t, 6], crowns[t, 7], crowns[t, 8]
        seed = np.uint64(crowns[t, 9])
        cx, cy = int((x + MARGIN_M) / COLUMN_M), int((y + MARGIN_M) / COLUMN_M)
        if cx < 0 or cy < 0 or cx >= n or cy >= n:
            continue
        z0 = terrain[cy, cx]
        low = height * start
        lobes = 2 + int(seed % np.uint64(3))
        phase = float(seed % np.uint64(628)) / 100.0
        reach = int(radius * 1.25 / COLUMN_M) + 1
        for iy in range(max(cy - reach, 0), min(cy + reach + 1, n)):
            for ix in range(max(cx - reach, 0), min(cx + reach + 1, n)):
                dx = (ix + 0.5) * COLUMN_M - MARGIN_M - x
                dy = (iy + 0.5) * COLUMN_M - MARGIN_M - y
                d = np.sqrt(dx * dx + dy * dy)
                lobe = 1.0
                if radius > 1.0:
                    lobe = 1.0 + 0.18 * np.sin(lobes * np.arctan2(dy, dx) + phase)
                if d > radius * lobe:
                    continue
                offset = terrain[iy, ix] - z0
                first = max(int((low - offset) / LEVEL_M), 0)
                last = min(int((height - offset) / LEVEL_M) + 1, levels)
                for iz in range(first, last):
                    h = (iz + 0.5) * LEVEL_M + offset
                    q = (h - low) / (height - low + 1e-6)
                    if q < 0.0 or q > 1.0:
                        if not (height < 1.5 and iz == first):
                            continue
                        q = 0.5
                    if shape == CONE:
                        r = radius * (1.0 - q) ** 0.85 * (0.8 + 0.2 * np.sin(h * 4.0 + phase)) + 0.15
                    elif shape == ELLIPSOID:
                        e = (0.4 - q) / 0.4 if q < 0.4 else (q - 0.4) / 0.6
                        r = radius * np.sqrt(1.0 - e * e)
                    else:
                        e = (2 * q - 1) ** 2
                        r = radius * np.sqrt(1.0 - e * e)
                    share = d / (r * lobe + 1e-6)
                    if share > 1.0:
                        continue
                    if radius > 1.2 and gaps > 0.1:  # boughs: the outline goes in and out by lumps of 2 m
                        word = lump(seed, (ix + iz // 2) // 4, (iy + ix // 3) // 4, (iz + iy // 2) // 4)
                        share /= 0.62 + 0.45 * (float(word >> np.uint64(40)) / 16777216.0)
                        if share > 1.0:
                            continue
                    word = lump(seed, ix // 2, iy // 2, iz // 3)
                    clump = float(word >> np.uint64(40)) / 16777216.0
                    word = scramble(word + np.uint64(ix % 2 + 2 * (iy % 2) + 4 * (iz % 3)))
                    leaf = float(word >> np.uint64(40)) / 16777216.0
                    if bare > 0.5:  # branches: few voxels hold something, denser towards the stem
                        if leaf > 0.45 or clump < gaps * 0.7:
                            continue
                        value = extinction * 0.45 * (0.4 + 1.2 * leaf) * (1.4 - 0.6 * share)
                    else:  # leaves: near the outside, in clumps
                        if clump < gaps:
                            continue
                        value = extinction * (0.5 + leaf) * (0.35 + 0.9 * share * share) / (1.0 - 0.6 * gaps)
                    byte = min(int(value / EXTINCTION_STEP) + 1, FIRST_TOWER - 1)
                    if byte > porous[iy, ix, iz]:
                        porous[iy, ix, iz] = byte
        if height > 3.0:  # the stem
            for iz in range(0, min(int(height * 0.85 / LEVEL_M), levels)):
                if porous[cy, cx, iz] < 20:
                    porous[cy, cx, iz] = 20
