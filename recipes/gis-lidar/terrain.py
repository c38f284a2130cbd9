"""The bare earth: relief, roads and rivers carved through it, bridges over what was carved.

Slopes go from flat polders to 35 degrees (clamped by scaling the relief: what is steeper is a cliff, a quay or
a retaining wall). Carving knows one move, a strip of given height whose banks join the terrain at a given
steepness: it makes roads, embankments, cuttings, ditches, dikes, rivers and quays, and a bridge is laid
wherever a road's height was carved away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .world import BRIDGE, COLUMN_M, FIRST_OTHER, MARGIN_M, OTHER, Floats, Frame, Line, World, draw_line, fractal

OPEN_WATER, DITCH = 1, 2  # what is in world.water: level, and not to be built over; or what a road may fill

STEEPNESS = {
    "town": 0.25,
    "suburb": 0.4,
    "village": 0.5,
    "industry": 0.1,
    "forest": 0.8,
    "farmland": 0.45,
    "river": 0.4,
    "hills": 1.0,
}  # of the steepest slope of the domain


def draw_terrain(rng: np.random.Generator, world: World, biome: str) -> None:
    """Fractal relief on a tilt, now and then terraces, a pit, an escarpment; polders to the domain's steepest."""
    n = len(world.terrain)
    steepness = STEEPNESS[biome]
    z = fractal(rng, n, rng.uniform(1.7, 2.6))
    tilt = rng.uniform(0, 2 * np.pi)
    z += rng.uniform(0, 2) * (np.cos(tilt) * world.x + np.sin(tilt) * world.y) / world.extent_m * 3
    gy, gx = np.gradient(z, COLUMN_M)
    slope = np.hypot(gx, gy)
    steepest = np.tan(np.radians(world.domain.steepest_deg))
    wanted = (
        steepest * rng.random() ** 1.5 * steepness if rng.random() < 0.8 * steepness + 0.15 else rng.uniform(0, 0.02)
    )
    z *= wanted / (np.percentile(slope, 92) + 1e-6)
    if biome in ("forest", "hills", "farmland") and rng.random() < 0.15:  # terraces, vineyards
        step = rng.uniform(0.7, 3.0)
        floor = np.floor(z / step)
        rest = z / step - floor
        z = (floor + np.clip((rest - 0.5) / rng.uniform(0.1, 0.6) + 0.5, 0, 1)) * step
    if biome in ("hills", "industry", "forest") and rng.random() < 0.2:  # quarry, pit, spoil heap
        cx, cy = rng.uniform(0, world.size_m, 2)
        r = np.hypot(world.x - cx, (world.y - cy) * rng.uniform(0.6, 1.6)) + 6 * fractal(rng, n, 2.0)
        depth = rng.uniform(-12, 10)
        z = z + depth * np.clip((rng.uniform(20, 50) - r) / rng.uniform(3, 15), 0, 1)
    if biome in ("forest", "hills", "river") and rng.random() < 0.12:  # an escarpment
        _, across = draw_line(rng, world).local(world.x, world.y)
        across = across + 3 * fractal(rng, n, 1.8)
        z = z + rng.uniform(1.5, 9) * np.clip(across / rng.uniform(1, 8) + 0.5, 0, 1)
    z += fractal(rng, n, 1.0) * rng.choice([0.0, 0.01, 0.03, 0.07]) * (1.8 if biome in ("forest", "hills") else 0.6)
    world.terrain[:] = z
    rough = fractal(rng, n, 1.4)
    grass = rng.uniform(0.0, 0.18)
    world.low_height[:] = np.clip(grass * (1 + rough), 0, 0.19)
    world.low_cover[:] = rng.uniform(0.1, 0.8)


def carve(
    world: World,
    line: Line,
    half_width: float,
    height: Floats | float,
    bank: float,
    along_cross: tuple[Floats, Floats] | None = None,
) -> NDArray[np.bool_]:
    """Lays a strip of given height (one, or per column) through the terrain, joined by banks. -> the strip (n, n)."""
    _, across = along_cross or line.local(world.x, world.y)
    beyond = np.maximum(np.abs(across) - half_width, 0) * bank
    carved = np.clip(world.terrain, height - beyond, height + beyond)
    filled = (world.water == DITCH) & (np.abs(carved - world.terrain) > 0.02)  # what is built over a ditch: a culvert
    world.water[filled] = 0
    world.terrain[:] = np.where(world.water == OPEN_WATER, world.terrain, carved)  # water stays level
    return beyond == 0


def profile(world: World, line: Line, along: Floats, smooth_m: float) -> Floats:
    """The terrain's height along the line, smoothed, spread over the columns. along: (n, n) metres -> (n, n) metres."""
    reach = world.extent_m
    t = np.arange(-reach, reach, 2.0, dtype=np.float32)
    px, py = line.points(t)
    n = len(world.terrain)
    ix = np.clip(((px + MARGIN_M) / COLUMN_M).astype(int), 0, n - 1)
    iy = np.clip(((py + MARGIN_M) / COLUMN_M).astype(int), 0, n - 1)
    z = world.terrain[iy, ix].astype(np.float64)
    dry = world.water[iy, ix] != OPEN_WATER
    if dry.any() and not dry.all():  # a road keeps the height of the banks
        z = np.interp(t, t[dry], z[dry])
    width = max(int(smooth_m / 2.0), 1)
    z = np.convolve(np.pad(z, width, mode="edge"), np.ones(2 * width + 1) / (2 * width + 1), mode="valid")
    return np.interp(along, t, z).astype(np.float32)


def draw_road(
    rng: np.random.Generator, world: World, line: Line, half_width: float, raised: float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """-> along, across, height of the road, each (n, n)."""
    along, across = line.local(world.x, world.y)
    height = profile(world, line, along, 20.0) + np.float32(raised)
    strip = carve(world, line, half_width, height, rng.uniform(0.4, 1.2), (along, across))
    world.low_height[strip] = rng.uniform(0.0, 0.02)
    world.taken[strip] |= 2
    if (strip & (world.water == OPEN_WATER)).sum() > 30:
        lay_deck(rng, world, across, height + np.float32(rng.uniform(0.3, 1.0)), half_width, over_water=True)
    return along, across, height


def draw_water(rng: np.random.Generator, world: World, line: Line, half_width: float) -> None:
    along, across = line.local(world.x, world.y)
    near = np.abs(across) < half_width
    if not near.any():
        return
    level = float(np.percentile(world.terrain[near], 10)) - rng.choice([0.15, 0.4, 0.8, 1.5, 3.0]) * rng.uniform(
        0.7, 1.3
    )
    bank = 12.0 if rng.random() < 0.4 else rng.uniform(0.25, 1.2)
    wet = carve(world, line, half_width, np.float32(level), bank, (along, across))
    if rng.random() < 0.5:  # reeds, bushes on the banks
        reeds = (np.abs(across) < half_width + rng.uniform(1, 6)) & (
            fractal(rng, len(wet), 1.0) > rng.uniform(-1.5, 1.0)
        )
        world.low_height[reeds] = rng.uniform(0.3, 2.5)
        world.low_cover[reeds] = rng.uniform(0.3, 0.95)
    flood(world, wet)


def draw_pond(rng: np.random.Generator, world: World) -> None:
    cx, cy = rng.uniform(0, world.size_m, 2)
    radius = rng.uniform(3, 35)
    r = np.hypot(world.x - cx, (world.y - cy) * rng.uniform(0.5, 2)) + 0.25 * radius * fractal(
        rng, len(world.terrain), 2.0
    )
    inside = r < radius
    if inside.any():
        level = np.float32(np.percentile(world.terrain[inside], 10) - rng.uniform(0.1, 1.5))
        beyond = np.maximum(r - radius, 0) * rng.uniform(0.3, 2.0)
        pond = np.clip(world.terrain, level - beyond, level + beyond)
        inside &= world.water == 0
        world.terrain[:] = np.where(world.water == 0, pond, world.terrain)
        flood(world, inside)


def draw_lake(rng: np.random.Generator, world: World) -> None:
    """A lake, a basin or a wide river: level water on one side of a winding shore, up to most of the scene."""
    n = len(world.terrain)
    _, across = draw_line(rng, world).local(world.x, world.y)
    off = across + rng.uniform(0, 8) * fractal(rng, n, 2.0) + rng.uniform(-30, 40)
    inside = off > 0
    if inside.mean() < 0.02:
        return
    level = np.float32(np.percentile(world.terrain, rng.uniform(1, 12)) - rng.uniform(0.1, 2.0))
    beyond = np.maximum(-off, 0) * (12.0 if rng.random() < 0.3 else rng.uniform(0.1, 1.0))
    world.terrain[:] = np.clip(world.terrain, level - beyond, level + beyond)
    flood(world, inside)


def draw_canal(rng: np.random.Generator, world: World) -> None:
    """A town's canal or harbour basin: straight, between upright quays."""
    line, half_width = draw_line(rng, world, straight=True), rng.uniform(4, 25)
    _, across = line.local(world.x, world.y)
    near = np.abs(across) < half_width + 5
    if near.any():
        level = np.float32(np.percentile(world.terrain[near], 5) - rng.uniform(0.6, 3.0))
        flood(world, carve(world, line, half_width, level, 12.0))


def flood(world: World, where: NDArray[np.bool_], kind: int = OPEN_WATER) -> None:
    world.water[where] = kind
    world.taken[where] |= 4
    world.low_height[where] = 0


def step_ground(world: World, frame: Frame, a: float, b: float, rise: float) -> None:
    """Raises (or sinks) an oblong of bare earth with upright sides."""
    rows, cols = world.window(frame.x, frame.y, math.hypot(a, b), COLUMN_M)
    u, v = frame.local(world.x[rows, cols], world.y[rows, cols])
    inside = (np.abs(u) < a) & (np.abs(v) < b) & ((world.taken[rows, cols] & 7) == 0)
    world.terrain[rows, cols][inside] += np.float32(rise)


def level_ground(world: World, frame: Frame, a: float, share: float) -> None:
    """Flattens the terrain around a building by a share, as builders do on slopes."""
    rows, cols = world.window(frame.x, frame.y, a * 1.6 + 3, COLUMN_M)
    z = world.terrain[rows, cols]
    if z.size == 0:
        return
    r = np.maximum(np.abs(world.x[rows, cols] - frame.x), np.abs(world.y[rows, cols] - frame.y))
    weight = np.clip(1 - (r - a) / (0.5 * a + 2), 0, 1) * share * (world.water[rows, cols] == 0)
    z += (weight * (z.mean() - z)).astype(np.float32)


def draw_bridge(rng: np.random.Generator, world: World, over: Line, gap_half_width: float, wet: bool) -> None:
    """A road crosses a river, road or cutting: its embankment, then the gap cut through, then a deck over it."""
    crossing = Line(over.x, over.y, over.angle + rng.uniform(0.9, 2.2), 0.0)
    half_width = rng.choice([1.2, 2.5, 4.5, 7.0, 10.0]) * rng.uniform(0.8, 1.25)
    rise = rng.uniform(0.5, 3.0) if wet else rng.uniform(4.5, 7.0)
    _, across, road = draw_road(rng, world, crossing, half_width + 1.0, 0.0)
    along = crossing.local(world.x, world.y)[0]
    run = rng.uniform(40, 90)
    deck = road + np.float32(rise) * np.clip(1.4 - np.abs(along) / run, 0, 1).astype(np.float32)
    carve(world, crossing, half_width + 0.7, deck, rng.uniform(0.5, 0.9), (along, across))
    if wet:
        draw_water(rng, world, over, gap_half_width)
    else:
        low = np.float32(np.percentile(world.terrain, 40))
        strip = carve(world, over, gap_half_width, np.float32(low), rng.choice([0.7, 8.0]), None)
        world.taken[strip] |= 2
        world.low_height[strip] = 0.01
    lay_deck(rng, world, across, deck, half_width)
    world.taken[np.abs(across) < half_width + 1] |= 2


def lay_deck(
    rng: np.random.Generator,
    world: World,
    across: Floats,
    deck: Floats,
    half_width: float,
    over_water: bool = False,
) -> None:
    """A slab wherever the ground lies well below the deck's height, with parapets or railings. across, deck: (n, n)."""
    up = np.repeat(np.repeat(deck, 2, 0), 2, 1)
    off = np.repeat(np.repeat(np.abs(across), 2, 0), 2, 1)
    ground = np.repeat(np.repeat(world.terrain, 2, 0), 2, 1)
    is_deck = (off < half_width) & (ground < up - rng.uniform(0.5, 1.0)) & (world.kind == 0)
    if over_water:
        wet = np.repeat(np.repeat(world.water == OPEN_WATER, 2, 0), 2, 1)
        is_deck &= wet
    thickness = rng.uniform(0.3, 1.6)
    world.top[is_deck], world.base[is_deck], world.kind[is_deck] = up[is_deck], up[is_deck] - thickness, BRIDGE
    world.passing[is_deck] = 0
    gy, gx = np.gradient(deck, COLUMN_M)
    world.slope_x[is_deck] = np.repeat(np.repeat(gx, 2, 0), 2, 1)[is_deck]
    world.slope_y[is_deck] = np.repeat(np.repeat(gy, 2, 0), 2, 1)[is_deck]
    if rng.random() < 0.8:
        rail = is_deck & (off > half_width - 0.3)
        world.top[rail] += rng.uniform(0.7, 1.4)
        if rng.random() < 0.6:
            world.passing[rail] = rng.integers(40, 220)
            world.kind[rail] = OTHER


def draw_viaduct(rng: np.random.Generator, world: World) -> None:
    """A long deck on piers: road or rail above the country."""
    line = draw_line(rng, world)
    along, across = line.local(world.x, world.y)
    half_width, rise = rng.uniform(2.5, 9), rng.uniform(5, 14)
    lay_deck(rng, world, across, profile(world, line, along, 80.0) + np.float32(rise), half_width)
    for t in np.arange(-world.extent_m, world.extent_m, rng.uniform(15, 40)):
        for side in (-0.5, 0.5):
            x, y = (float(q[0]) for q in line.points(np.array([t], np.float32), side * half_width))
            world.boxes.append((x, y, 0.0, rise - 1.5, 0.6, FIRST_OTHER + 30))
    world.taken[np.abs(across) < half_width + 2] |= 2
