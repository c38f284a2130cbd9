"""Small solids of class 1 (other): fences, walls, cars, lorries, poles, boats, bins; 0.4-4 m high, some porous."""

from __future__ import annotations

import numpy as np
from numba import njit

from .buildings import Part, stamp_building
from .plants import hedge
from .world import CELL_M, COLUMN_M, FIRST_OTHER, LEVEL_M, MARGIN_M, OTHER, Frame, World


def stamp_line(
    world: World, x0: float, y0: float, x1: float, y1: float, height: float, kind: int, passing: int, thick: float = 0.1
) -> None:
    """A wall or fence of constant height over the ground."""
    length = float(np.hypot(x1 - x0, y1 - y0))
    t = np.linspace(0, 1, max(int(length / 0.12), 2))
    nx, ny = -(y1 - y0) / (length + 1e-6), (x1 - x0) / (length + 1e-6)
    cells = len(world.top)
    for off in np.arange(0, thick, 0.2):
        ix = ((x0 + t * (x1 - x0) + nx * off + MARGIN_M) / CELL_M).astype(int)
        iy = ((y0 + t * (y1 - y0) + ny * off + MARGIN_M) / CELL_M).astype(int)
        ok = (ix >= 0) & (iy >= 0) & (ix < cells) & (iy < cells)
        ix, iy = ix[ok], iy[ok]
        ok = world.kind[iy, ix] == 0
        ix, iy = ix[ok], iy[ok]
        world.top[iy, ix] = world.terrain[iy // 2, ix // 2] + height
        world.base[iy, ix] = -1e4
        world.kind[iy, ix] = kind
        world.passing[iy, ix] = passing
        world.slope_x[iy, ix] = world.slope_y[iy, ix] = 0


def boundary(rng: np.random.Generator, world: World, x0: float, y0: float, x1: float, y1: float) -> None:
    """What marks the edge of a plot: hedge, fence, wall or nothing."""
    pick = rng.random()
    if pick < 0.35:
        hedge(rng, world, x0, y0, x1, y1)
    elif pick < 0.6:
        stamp_line(world, x0, y0, x1, y1, rng.uniform(0.8, 2.0), OTHER, int(rng.integers(20, 230)))
    elif pick < 0.75:
        stamp_line(world, x0, y0, x1, y1, rng.uniform(0.4, 2.5), OTHER, 0, 0.3)


def car(rng: np.random.Generator, world: World, frame: Frame) -> None:
    if world.taken_at(frame.x, frame.y) & 5:
        return
    if rng.random() < 0.9:
        a, b, z = rng.uniform(1.8, 2.4), rng.uniform(0.8, 0.95), rng.uniform(1.35, 1.9)
        bonnet, windows = Part(0, 0, a, b, z * 0.62, "flat"), Part(-0.1 * a, 0, a * 0.55, b * 0.9, z * 0.8, "flat")
        parts = [bonnet, windows, Part(-0.1 * a, 0, a * 0.4, b * 0.85, z, "flat")]
    else:  # lorry, bus, caravan, container
        a, b, z = rng.uniform(2.5, 7), rng.uniform(1.1, 1.3), rng.uniform(2.3, 3.8)
        parts = [Part(0, 0, a, b, z, "flat")]
    stamp_building(world, frame, parts, OTHER)
    if rng.random() < 0.35:
        rows, cols = world.window(frame.x, frame.y, 1.0, COLUMN_M)
        world.keep[rows, cols] = rng.uniform(0.1, 0.7)


def pole(
    rng: np.random.Generator, world: World, x: float, y: float, height: float, value: int = FIRST_OTHER + 20
) -> None:
    world.boxes.append((x, y, 0.0, height, 0.2, value))
    if rng.random() < 0.5:
        world.boxes.append((x + rng.uniform(-1, 1), y + rng.uniform(-1, 1), height - 0.3, height + 0.1, 0.4, value))


def clutter(rng: np.random.Generator, world: World, x: float, y: float) -> None:
    """Bins, benches, kiosks, people, pallets: small boxes of every proportion."""
    a, b, z = rng.uniform(0.2, 1.5), rng.uniform(0.2, 0.8), rng.uniform(0.4, 2.6)
    stamp_building(
        world, Frame(x, y, rng.uniform(0, 3.14)), [Part(0, 0, a, b, z, "flat")], OTHER, int(rng.choice([0, 0, 100]))
    )


def boats(rng: np.random.Generator, world: World) -> None:
    rows, cols = np.nonzero(world.water)
    for k in rng.integers(0, len(rows), rng.integers(1, 10)):
        x, y = float(world.x[rows[k], cols[k]]), float(world.y[rows[k], cols[k]])
        a = rng.uniform(1.5, 12)
        b, z = max(a * rng.uniform(0.2, 0.35), 0.7), rng.uniform(0.4, 2.0)
        cabin = Part(
            rng.uniform(-0.4, 0.4) * a, 0, a * rng.uniform(0.15, 0.5), b * 0.8, z + rng.uniform(0.5, 2), "flat"
        )
        stamp_building(world, Frame(x, y, rng.uniform(0, 3.14)), [Part(0, 0, a, b, z, "flat"), cabin], OTHER)


@njit(cache=False)
def fill_boxes(porous, terrain, boxes):  # type: ignore[no-untyped-def]
    """boxes: (m, 6) x, y, from and to height above ground, half width, value."""
    n, levels = porous.shape[0], porous.shape[2]
    for t in range(boxes.shape[0]):
        x, y, half = boxes[t, 0] + MARGIN_M, boxes[t, 1] + MARGIN_M, boxes[t, 4]
        if x < 0 or y < 0:
            continue
        x0, x1 = int(max(x - half, 0.0) / COLUMN_M), int((x + half) / COLUMN_M)
        y0, y1 = int(max(y - half, 0.0) / COLUMN_M), int((y + half) / COLUMN_M)
        for iy in range(y0, min(y1 + 1, n)):
            for ix in range(x0, min(x1 + 1, n)):
                for iz in range(max(int(boxes[t, 2] / LEVEL_M), 0), min(int(boxes[t, 3] / LEVEL_M) + 1, levels)):
                    porous[iy, ix, iz] = np.uint8(boxes[t, 5])
