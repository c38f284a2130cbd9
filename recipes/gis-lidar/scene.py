"""The ground truth of the simulator: a piece of country as geometry, ready to be scanned from the air.

A `World` is 2.5-D where that is enough and volumetric where it is not:

- the bare earth (and water surface) as a raster of 0.5 m columns, interpolated bilinearly;
- solids (roofs, walls, cars, decks) as one interval base..top a cell of 0.25 m, with the slope of the top, so that pitched roofs
  stay planes and beams may pass below decks, canopies and eaves; fences, railings and glass let a share of the beams through;
- everything porous (crowns, hedges, lattice towers, balconies) as an extinction a voxel of 0.5 m above the bare earth;
- wires as short straight pieces of catenaries, hung into the columns that they pass.

Ranges are wide on purpose (domain randomisation): a network that has seen flat polders and 35 degree slopes, leaf-on and leaf-off
crowns, sheds and towers needs no knowledge of the country that a tile comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

CELL_M = 0.25
COLUMN_M = 0.5
LEVEL_M = 0.5
MARGIN_M = 16.0  # world around the scene: oblique beams hit what stands outside of it

OTHER, GROUND, VEGETATION, BUILDING, NOISE, WATER, WIRE, TOWER, BRIDGE = 1, 2, 5, 6, 7, 9, 14, 15, 17

# A porous voxel is one byte: its kind by range, its extinction by the place in the range (0.03 1/m a step).
EXTINCTION_STEP = 0.03
FIRST_TOWER, FIRST_OTHER, FIRST_BUILDING = 160, 192, 224

ELLIPSOID, CONE, COLUMN = 0, 1, 2


@dataclass(frozen=True)
class Domain:
    """What the draws depend on. TRAIN is the wide one; SHIFTED differs in each number, for figures on scenes of other parameters."""

    biomes: dict[str, float] = field(
        default_factory=lambda: {
            "town": 0.2, "suburb": 0.22, "village": 0.12, "industry": 0.09, "forest": 0.17, "farmland": 0.08, "river": 0.08, "hills": 0.04,
        }
    )
    steepest_deg: float = 35.0
    roof_pitch_deg: tuple[float, float] = (12.0, 55.0)
    crown_extinction: tuple[float, float] = (0.25, 2.5)  # 1/m in leaf; bare crowns take a quarter of it
    leaf_off: float = 0.4
    wires: float = 0.3
    range_noise_m: tuple[float, float] = (0.005, 0.04)
    flying_height_m: tuple[float, float] = (300.0, 3000.0)
    half_scan_deg: tuple[float, float] = (8.0, 30.0)
    density: tuple[float, float] = (0.3, 80.0)  # pulses a square metre, log-uniform, then limited to max_density
    detect: tuple[float, float] = (0.1, 0.5)  # share of the pulse's energy that makes a return, log-uniform


TRAIN = Domain()
SHIFTED = Domain(
    biomes={"town": 0.12, "suburb": 0.16, "village": 0.2, "industry": 0.12, "forest": 0.16, "farmland": 0.08, "river": 0.1, "hills": 0.06},
    steepest_deg=38.0,
    roof_pitch_deg=(8.0, 60.0),
    crown_extinction=(0.2, 3.0),
    leaf_off=0.5,
    wires=0.4,
    range_noise_m=(0.012, 0.07),
    flying_height_m=(250.0, 2200.0),
    half_scan_deg=(12.0, 34.0),
    density=(0.5, 40.0),
    detect=(0.08, 0.6),
)


class World:
    """Rasters are (row = y, column = x); the scene is 0..size_m, the rasters start at -MARGIN_M. Heights in metres."""

    def __init__(self, size_m: float) -> None:
        self.size_m = size_m
        self.extent_m = size_m + 2 * MARGIN_M
        columns = round(self.extent_m / COLUMN_M)
        cells = columns * 2
        self.terrain: Floats = np.zeros((columns, columns), np.float32)
        self.water = np.zeros((columns, columns), np.uint8)
        self.low_height: Floats = np.zeros((columns, columns), np.float32)  # grass, crops, heath: height of the tips
        self.low_cover: Floats = np.zeros((columns, columns), np.float32)  # share of the beams that stop in them
        self.keep: Floats = np.ones((columns, columns), np.float32)  # share of the beams that a surface sends back
        self.top: Floats = np.full((cells, cells), -1e4, np.float32)
        self.base: Floats = np.full((cells, cells), -1e4, np.float32)
        self.slope_x: Floats = np.zeros((cells, cells), np.float32)
        self.slope_y: Floats = np.zeros((cells, cells), np.float32)
        self.kind: Bytes = np.zeros((cells, cells), np.uint8)
        self.passing: Bytes = np.zeros((cells, cells), np.uint8)  # of 255 beams, how many go through
        self.crowns: list[tuple[float, ...]] = []
        self.boxes: list[tuple[float, ...]] = []  # porous: x, y, z above ground 0..1, half size, value
        self.wires: list[Floats] = []  # (pieces + 1, 3)
        self.taken = np.zeros((columns, columns), np.uint8)  # 1 building, 2 road or other open ground, 4 water
        axis = (np.arange(columns, dtype=np.float32) + 0.5) * COLUMN_M - MARGIN_M
        self.x, self.y = np.meshgrid(axis, axis)
        self.porous: Bytes = np.zeros((1, 1, 1), np.uint8)

    def ground_at(self, x: float, y: float) -> float:
        n = len(self.terrain)
        ix = min(max(int((x + MARGIN_M) / COLUMN_M), 0), n - 1)
        iy = min(max(int((y + MARGIN_M) / COLUMN_M), 0), n - 1)
        return float(self.terrain[iy, ix])

    def taken_at(self, x: float, y: float) -> int:
        n = len(self.terrain)
        ix, iy = int((x + MARGIN_M) / COLUMN_M), int((y + MARGIN_M) / COLUMN_M)
        return int(self.taken[iy, ix]) if 0 <= ix < n and 0 <= iy < n and x > -MARGIN_M and y > -MARGIN_M else 255

    def window(self, x: float, y: float, reach: float, step: float) -> tuple[slice, slice]:
        n = round(self.extent_m / step)
        low = [min(max(int((q - reach + MARGIN_M) / step), 0), n) for q in (y, x)]
        high = [min(max(int((q + reach + MARGIN_M) / step) + 1, 0), n) for q in (y, x)]
        return slice(low[0], high[0]), slice(low[1], high[1])


# ---------------------------------------------------------------------------------------------------------------- terrain


def fractal(rng: np.random.Generator, n: int, roughness: float) -> Floats:
    """Noise with a power-law spectrum f**-roughness, zero mean, unit spread. -> (n, n)."""
    spectrum = np.fft.rfft2(rng.standard_normal((n, n)).astype(np.float32))
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    f[0, 0] = 1.0
    spectrum *= f**-roughness
    spectrum[0, 0] = 0.0
    z = np.fft.irfft2(spectrum, s=(n, n))
    return (z / (z.std() + 1e-12)).astype(np.float32)


@dataclass(frozen=True)
class Line:
    """A gently curved line through (x, y) at an angle: across = amplitude * sin(along / length + phase)."""

    x: float
    y: float
    angle: float
    amplitude: float = 0.0
    length: float = 60.0
    phase: float = 0.0

    def local(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """-> distance along the line, signed distance from it (approximate where it bends), metres."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        along = c * (x - self.x) + s * (y - self.y)
        across = -s * (x - self.x) + c * (y - self.y)
        if self.amplitude:
            turn = along / self.length + self.phase
            slope = self.amplitude / self.length * np.cos(turn)
            across = (across - self.amplitude * (np.sin(turn) - np.sin(self.phase))) / np.sqrt(1 + slope**2)
        return along.astype(np.float32), across.astype(np.float32)

    def points(self, along: Floats, across: float | Floats = 0.0) -> tuple[Floats, Floats]:
        bend = self.amplitude * (np.sin(along / self.length + self.phase) - np.sin(self.phase)) + across
        c, s = np.cos(self.angle), np.sin(self.angle)
        return (self.x + c * along - s * bend).astype(np.float32), (self.y + s * along + c * bend).astype(np.float32)


def draw_line(rng: np.random.Generator, world: World, straight: bool = False) -> Line:
    x, y = rng.uniform(0.15, 0.85, 2) * world.size_m
    bend = 0.0 if straight or rng.random() < 0.4 else rng.uniform(2, 14)
    return Line(x, y, rng.uniform(0, np.pi), bend, rng.uniform(25, 70), rng.uniform(0, 6.28))


def draw_terrain(rng: np.random.Generator, world: World, biome: str, domain: Domain) -> None:
    n = len(world.terrain)
    steepness = {"town": 0.25, "suburb": 0.4, "village": 0.5, "industry": 0.1, "forest": 0.8, "farmland": 0.45, "river": 0.4, "hills": 1.0}[biome]
    z = fractal(rng, n, rng.uniform(1.7, 2.6))
    tilt = rng.uniform(0, 2 * np.pi)
    z += rng.uniform(0, 2) * (np.cos(tilt) * world.x + np.sin(tilt) * world.y) / world.extent_m * 3
    gy, gx = np.gradient(z, COLUMN_M)
    slope = np.hypot(gx, gy)
    steepest = np.tan(np.radians(domain.steepest_deg))
    wanted = steepest * rng.random() ** 1.5 * steepness if rng.random() < 0.8 * steepness + 0.15 else rng.uniform(0, 0.02)
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
    world: World, line: Line, half_width: float, height: Floats | float, bank: float, along_cross: tuple[Floats, Floats] | None = None
) -> NDArray[np.bool_]:
    """Lays a strip of the given height (per column, or one) through the terrain; banks of the given steepness join it. -> the strip."""
    _, across = along_cross or line.local(world.x, world.y)
    beyond = np.maximum(np.abs(across) - half_width, 0) * bank
    world.terrain[:] = np.clip(world.terrain, height - beyond, height + beyond)
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
    width = max(int(smooth_m / 2.0), 1)
    z = np.convolve(np.pad(z, width, mode="edge"), np.ones(2 * width + 1) / (2 * width + 1), mode="valid")
    return np.interp(along, t, z).astype(np.float32)


def draw_road(rng: np.random.Generator, world: World, line: Line, half_width: float, raised: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """-> along, across, height of the road, each (n, n)."""
    along, across = line.local(world.x, world.y)
    height = profile(world, line, along, 20.0) + np.float32(raised)
    strip = carve(world, line, half_width, height, rng.uniform(0.4, 1.2), (along, across))
    world.low_height[strip] = rng.uniform(0.0, 0.02)
    world.taken[strip] |= 2
    return along, across, height


def draw_water(rng: np.random.Generator, world: World, line: Line, half_width: float) -> None:
    along, across = line.local(world.x, world.y)
    near = np.abs(across) < half_width
    if not near.any():
        return
    level = float(np.percentile(world.terrain[near], 10)) - rng.choice([0.15, 0.4, 0.8, 1.5, 3.0]) * rng.uniform(0.7, 1.3)
    bank = 12.0 if rng.random() < 0.4 else rng.uniform(0.25, 1.2)
    wet = carve(world, line, half_width, np.float32(level), bank, (along, across))
    if rng.random() < 0.5:  # reeds, bushes on the banks
        reeds = (np.abs(across) < half_width + rng.uniform(1, 6)) & (fractal(rng, len(wet), 1.0) > rng.uniform(-1.5, 1.0))
        world.low_height[reeds] = rng.uniform(0.3, 2.5)
        world.low_cover[reeds] = rng.uniform(0.3, 0.95)
    flood(world, wet)


def draw_pond(rng: np.random.Generator, world: World) -> None:
    cx, cy = rng.uniform(0, world.size_m, 2)
    radius = rng.uniform(3, 35)
    r = np.hypot(world.x - cx, (world.y - cy) * rng.uniform(0.5, 2)) + 0.25 * radius * fractal(rng, len(world.terrain), 2.0)
    inside = r < radius
    if inside.any():
        level = np.float32(np.percentile(world.terrain[inside], 10) - rng.uniform(0.1, 1.5))
        beyond = np.maximum(r - radius, 0) * rng.uniform(0.3, 2.0)
        world.terrain[:] = np.clip(world.terrain, level - beyond, level + beyond)
        flood(world, inside)


def flood(world: World, where: NDArray[np.bool_]) -> None:
    world.water[where] = 1
    world.taken[where] |= 4
    world.low_height[where] = 0


def draw_bridge(rng: np.random.Generator, world: World, over: Line, gap_half_width: float, wet: bool) -> None:
    """A road crosses a gap (river, road, cutting): embankment first, then the gap is cut through it, then the deck spans the gap."""
    crossing = Line(over.x, over.y, over.angle + rng.uniform(0.9, 2.2), 0.0)
    half_width = rng.choice([1.2, 2.5, 4.5, 7.0, 10.0]) * rng.uniform(0.8, 1.25)
    rise = rng.uniform(0.0, 3.0) if wet else rng.uniform(4.5, 7.0)
    _, across, road = draw_road(rng, world, crossing, half_width + 1.0, 0.0)
    along = crossing.local(world.x, world.y)[0]
    run = rng.uniform(40, 90)
    deck = road + np.float32(rise) * np.clip(1.4 - np.abs(along) / run, 0, 1).astype(np.float32)
    carve(world, crossing, half_width + 0.7, deck, rng.uniform(0.5, 0.9), (along, across))
    if wet:
        draw_water(rng, world, over, gap_half_width)
    else:
        _, side = over.local(world.x, world.y)
        low = np.float32(np.percentile(world.terrain, 40))
        strip = carve(world, over, gap_half_width, np.float32(low), rng.choice([0.7, 8.0]), None)
        world.taken[strip] |= 2
        world.low_height[strip] = 0.01
    lay_deck(rng, world, across, deck, half_width)
    world.taken[np.abs(across) < half_width + 1] |= 2


def lay_deck(rng: np.random.Generator, world: World, across: Floats, deck: Floats, half_width: float) -> None:
    """A bridge's slab wherever the ground lies well below its height, with parapets or railings. across, deck: (n, n) metres."""
    up = np.repeat(np.repeat(deck, 2, 0), 2, 1)
    off = np.repeat(np.repeat(np.abs(across), 2, 0), 2, 1)
    ground = np.repeat(np.repeat(world.terrain, 2, 0), 2, 1)
    is_deck = (off < half_width) & (ground < up - rng.uniform(0.5, 1.0)) & (world.kind == 0)
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


# -------------------------------------------------------------------------------------------------------------- buildings


def roof_height(form: str, u: Floats, v: Floats, a: float, b: float, pitch: float, extra: float) -> Floats:
    """Height of a roof above its eaves. u, v: coordinates along and across the ridge; a, b: half length and half width."""
    t = np.float32(np.tan(pitch))
    du, dv = a - np.abs(u), b - np.abs(v)
    if form == "gable":
        return dv * t
    if form == "hip":
        return np.minimum(du, dv) * t
    if form == "half-hip":
        return np.minimum(dv * t, du * t * 1.2 + extra * b * t)
    if form == "mansard":
        d = np.minimum(du, dv)
        return np.minimum(d * 2.4, 2.2 + (d - 0.9) * 0.3)
    if form == "shed":
        return (v + b) * min(float(t), 0.45)
    if form == "butterfly":
        return np.abs(v) * min(float(t), 0.3)
    if form == "saw":
        return np.mod(v + b, 3.0 + 5.0 * extra) * 0.45
    if form == "barrel":
        return np.sqrt(np.maximum(1 - (v / b) ** 2, 0)) * b * min(float(t), 0.7)
    if form == "dome":
        return np.sqrt(np.maximum(1 - (v / b) ** 2 - (u / a) ** 2, 0)) * b * 0.8
    return np.zeros_like(u)


@dataclass(frozen=True)
class Part:
    """A box with a roof, in the building's own frame (metres): centre, half sizes, eaves above the ground, ridge along u unless turned."""

    u: float
    v: float
    a: float
    b: float
    eaves: float
    roof: str = "gable"
    pitch: float = 0.7
    turned: bool = False
    extra: float = 0.3
    parapet: float = 0.0
    overhang: float = 0.0
    round: bool = False
    hole: float = 0.0  # of a round part: share of the radius that is courtyard
    open: bool = False  # a roof on posts: beams pass below it


def stamp_building(
    world: World, x: float, y: float, angle: float, parts: list[Part], kind: int = BUILDING, passing: int = 0, dark: float = 1.0
) -> None:
    """Raises the parts where nothing higher stands. Heights count from the mean ground below the whole building."""
    reach = max(np.hypot(abs(p.u) + p.a, abs(p.v) + p.b) for p in parts) + 1.0
    rows, cols = world.window(x, y, reach, CELL_M)
    height, width = rows.stop - rows.start, cols.stop - cols.start
    if height < 4 or width < 4:
        return
    px = (np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5) * CELL_M - MARGIN_M - x
    py = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * CELL_M - MARGIN_M - y
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = c * px[None, :] + s * py[:, None]
    v = -s * px[None, :] + c * py[:, None]
    top = np.full((height, width), -1e4, np.float32)
    base = np.full((height, width), -1e4, np.float32)
    for part in parts:
        pu, pv, a, b = u - part.u, v - part.v, part.a, part.b
        if part.round:
            r = np.hypot(pu / a, pv / b)
            inside = (r < 1) & (r >= part.hole)
        else:
            inside = (np.abs(pu) < a) & (np.abs(pv) < b)
        form = (pv, pu, b, a) if part.turned else (pu, pv, a, b)
        z = part.eaves + roof_height(part.roof, *form, part.pitch, part.extra)
        edge = np.minimum(a - np.abs(pu), b - np.abs(pv))
        if part.parapet:
            z = np.where(edge < 0.35, z + part.parapet, z)
        higher = inside & (z > top)
        top = np.where(higher, z, top)
        if part.open:
            base = np.where(higher, part.eaves - 0.4, base)
        elif part.overhang:
            base = np.where(higher, np.where(edge < part.overhang, part.eaves - 0.25, -1e4), base)
        else:
            base = np.where(higher, -1e4, base)
    inside = top > -1e3
    if not inside.any():
        return
    rows2, cols2 = slice(rows.start // 2, (rows.stop + 1) // 2), slice(cols.start // 2, (cols.stop + 1) // 2)
    ground = np.repeat(np.repeat(world.terrain[rows2, cols2], 2, 0), 2, 1)
    ground = ground[rows.start % 2 :, cols.start % 2 :][:height, :width]
    floor = np.float32(ground[inside].mean())
    dz = np.diff(np.where(inside, top, np.nan), axis=1) / CELL_M
    slope_x = gentler(np.pad(dz, ((0, 0), (1, 0)), constant_values=np.nan), np.pad(dz, ((0, 0), (0, 1)), constant_values=np.nan))
    dz = np.diff(np.where(inside, top, np.nan), axis=0) / CELL_M
    slope_y = gentler(np.pad(dz, ((1, 0), (0, 0)), constant_values=np.nan), np.pad(dz, ((0, 1), (0, 0)), constant_values=np.nan))
    put = inside & (top + floor > world.top[rows, cols])
    for raster, value in ((world.top, top + floor), (world.base, np.where(base > -1e3, base + floor, -1e4)), (world.slope_x, slope_x), (world.slope_y, slope_y)):
        raster[rows, cols][put] = value[put].astype(np.float32)
    world.kind[rows, cols][put] = kind
    world.passing[rows, cols][put] = passing
    if kind == BUILDING:
        coarse = put[rows.start % 2 :: 2, cols.start % 2 :: 2]
        r0, c0 = (rows.start + 1) // 2, (cols.start + 1) // 2
        area = world.taken[r0 : r0 + coarse.shape[0], c0 : c0 + coarse.shape[1]]
        coarse = coarse[: area.shape[0], : area.shape[1]]
        area[coarse] |= 1
        if dark < 1:
            world.keep[r0 : r0 + coarse.shape[0], c0 : c0 + coarse.shape[1]][coarse] = dark


def gentler(left: Floats, right: Floats) -> Floats:
    """Of two one-sided slopes the smaller in size, zero where both miss or are a step (a wall is no slope)."""
    left, right = np.where(np.isnan(left), right, left), np.where(np.isnan(right), left, right)
    slope = np.where(np.abs(left) < np.abs(right), left, right)
    return np.where(np.isnan(slope) | (np.abs(slope) > 3.0), 0, slope).astype(np.float32)


def free(world: World, x: float, y: float, angle: float, a: float, b: float, gap: float, against: int = 7) -> bool:
    """Whether an oblong (half sizes a, b, plus a gap) stands on ground that is not taken."""
    us = np.linspace(-a - gap, a + gap, max(int((a + gap) / 1.5), 3))
    vs = np.linspace(-b - gap, b + gap, max(int((b + gap) / 1.5), 3))
    u, v = (q.ravel() for q in np.meshgrid(us, vs))
    px, py = x + np.cos(angle) * u - np.sin(angle) * v, y + np.sin(angle) * u + np.cos(angle) * v
    n = len(world.terrain)
    ix = ((px + MARGIN_M) / COLUMN_M).astype(int)
    iy = ((py + MARGIN_M) / COLUMN_M).astype(int)
    ok = (ix >= 0) & (iy >= 0) & (ix < n) & (iy < n)
    return bool(ok.mean() > 0.3 and not (world.taken[iy[ok], ix[ok]] & against).any())


def level_ground(world: World, x: float, y: float, a: float, share: float) -> None:
    """Flattens the terrain around a building by a share, as builders do on slopes."""
    rows, cols = world.window(x, y, a * 1.6 + 3, COLUMN_M)
    z = world.terrain[rows, cols]
    if z.size == 0:
        return
    r = np.maximum(np.abs(world.x[rows, cols] - x), np.abs(world.y[rows, cols] - y))
    weight = np.clip(1 - (r - a) / (0.5 * a + 2), 0, 1) * share
    z += (weight * (z.mean() - z)).astype(np.float32)


def step_ground(world: World, x: float, y: float, angle: float, a: float, b: float, rise: float) -> None:
    """Raises (or sinks) an oblong of bare earth with upright sides."""
    rows, cols = world.window(x, y, float(np.hypot(a, b)), COLUMN_M)
    dx, dy = world.x[rows, cols] - x, world.y[rows, cols] - y
    c, s = np.cos(angle), np.sin(angle)
    inside = (np.abs(c * dx + s * dy) < a) & (np.abs(-s * dx + c * dy) < b) & ((world.taken[rows, cols] & 7) == 0)
    world.terrain[rows, cols][inside] += np.float32(rise)


def roof_clutter(rng: np.random.Generator, parts: list[Part], amount: float) -> list[Part]:
    """Chimneys, dormers, vents, lift houses: small boxes that stand on the roofs."""
    clutter: list[Part] = []
    for p in parts:
        area = 4 * p.a * p.b
        if p.roof in ("gable", "hip", "half-hip", "mansard", "shed"):
            half = p.a if p.turned else p.b
            ridge = p.eaves + (half * np.tan(p.pitch) if p.roof not in ("mansard", "shed") else 2.8)
            if rng.random() < 0.7 * amount:
                for _ in range(rng.integers(1, 3)):
                    w = rng.uniform(0.3, 0.7)
                    u, v = rng.uniform(-0.8, 0.8) * p.a, rng.uniform(-0.5, 0.5) * p.b
                    clutter.append(Part(p.u + u, p.v + v, w, w * rng.uniform(0.7, 1.5), ridge + rng.uniform(0.0, 1.2), "flat"))
            if rng.random() < 0.35 * amount and half > 2.5 and p.roof != "shed":
                for _ in range(rng.integers(1, 4)):
                    side = rng.choice([-1, 1]) * rng.uniform(0.45, 0.65)
                    along = rng.uniform(-0.7, 0.7)
                    w, d = rng.uniform(0.8, 2.0), half * 0.3
                    z = p.eaves + half * np.tan(min(p.pitch, 0.9)) * rng.uniform(0.55, 0.8)
                    uv = (side * p.a, along * p.b, d, w) if p.turned else (along * p.a, side * p.b, w, d)
                    clutter.append(Part(p.u + uv[0], p.v + uv[1], uv[2], uv[3], z, rng.choice(["flat", "gable"]), 0.5, bool(rng.random() < 0.5)))
        elif p.roof == "flat" and area > 40:
            for _ in range(rng.poisson(min(area / 120.0, 8) * amount)):
                w, d = rng.uniform(0.4, 3.0), rng.uniform(0.4, 3.0)
                if w < p.a * 0.6 and d < p.b * 0.6:
                    u, v = rng.uniform(-0.8, 0.8) * (p.a - w), rng.uniform(-0.8, 0.8) * (p.b - d)
                    clutter.append(Part(p.u + u, p.v + v, w, d, p.eaves + rng.uniform(0.3, 3.2), "flat"))
    return clutter


def draw_roof(rng: np.random.Generator, domain: Domain, style: str, half_width: float) -> tuple[str, float]:
    forms = {
        "house": (["gable", "hip", "half-hip", "mansard", "flat", "shed", "butterfly"], [0.5, 0.18, 0.07, 0.05, 0.13, 0.06, 0.01]),
        "urban": (["gable", "hip", "mansard", "flat", "shed", "barrel"], [0.34, 0.1, 0.12, 0.38, 0.04, 0.02]),
        "hall": (["flat", "gable", "saw", "barrel", "shed", "dome"], [0.55, 0.22, 0.1, 0.06, 0.06, 0.01]),
    }[style]
    form = str(rng.choice(forms[0], p=forms[1]))
    low, high = np.radians(domain.roof_pitch_deg)
    pitch = low + (high - low) * rng.beta(1.6, 1.8) if style != "hall" else rng.uniform(np.radians(4), np.radians(20))
    limit = np.arctan(9.0 / max(half_width, 1.0))  # no roof higher than 9 m
    return form, float(min(pitch, limit))


def balconies(rng: np.random.Generator, world: World, x: float, y: float, angle: float, a: float, b: float, eaves: float) -> None:
    """Rows of balconies on one long side, a storey apart: porous, class building."""
    side = rng.choice([-1, 1]) * (b + 0.6)
    for u in np.arange(-a + 1.5, a - 1.5, rng.uniform(3.0, 6.0)):
        px, py = x + np.cos(angle) * u - np.sin(angle) * side, y + np.sin(angle) * u + np.cos(angle) * side
        for z in np.arange(2.8, eaves - 1, 2.9):
            world.boxes.append((px, py, z, z + 1.0, rng.uniform(0.7, 1.3), FIRST_BUILDING + 25))


def house(rng: np.random.Generator, world: World, domain: Domain, x: float, y: float, angle: float, style: str = "house") -> bool:
    """One detached or semi-detached house, with wings, sheds' size upwards. -> whether it found room."""
    a, b = rng.uniform(4.0, 9.0), rng.uniform(3.2, 6.0)
    if style == "barn":
        a, b = rng.uniform(7, 25), rng.uniform(4, 12)
    if not free(world, x, y, angle, a, b, rng.uniform(0.3, 2.5)):
        return False
    form, pitch = draw_roof(rng, domain, "house" if style == "house" else "hall", b)
    eaves = rng.uniform(2.3, 3.4) if rng.random() < 0.5 else rng.uniform(3.0, 6.5)
    overhang = rng.choice([0.0, 0.3, 0.6])
    parts = [Part(0, 0, a, b, eaves, form, pitch, False, rng.uniform(0.2, 0.6), rng.choice([0, 0.3, 0.6]) if form == "flat" else 0.0, overhang)]
    if rng.random() < 0.45:  # a wing makes L or T
        wa = rng.uniform(0.35, 0.7) * a
        wb = rng.uniform(1.5, 4.0)
        low = eaves * rng.choice([1.0, 1.0, 0.6])
        parts.append(Part(rng.uniform(-1, 1) * (a - wa), rng.choice([-1, 1]) * (b + wb * 0.8), wa, b * 0.2 + wb, low, form, pitch, True, 0.3, 0, overhang))
    if rng.random() < 0.5:  # garage, conservatory, lean-to
        wa, wb = rng.uniform(1.4, 3.2), rng.uniform(1.4, 3.5)
        parts.append(Part(rng.choice([-1, 1]) * (a + wa), rng.uniform(-0.6, 0.6) * b, wa, wb, rng.uniform(2.1, 3.1), rng.choice(["flat", "shed", "gable"]), 0.4))
    if rng.random() < 0.6:
        level_ground(world, x, y, max(a, b), rng.uniform(0.4, 1.0))
    if rng.random() < 0.35:  # a terrace, stairs, a sunken drive
        u, v = rng.uniform(-1, 1) * a, rng.choice([-1, 1]) * (b + 1)
        px, py = x + np.cos(angle) * u - np.sin(angle) * v, y + np.sin(angle) * u + np.cos(angle) * v
        step_ground(world, px, py, angle, rng.uniform(1.5, 5), rng.uniform(1.5, 4.5), rng.uniform(-1.2, 1.2))
    if rng.random() < 0.12:  # carport, awning, pergola
        wa = rng.uniform(1.3, 3.0)
        parts.append(Part(rng.choice([-1, 1]) * (a + wa), rng.uniform(-0.5, 0.5) * b, wa, rng.uniform(1.5, 3), rng.uniform(2.2, 2.9), open=True))
    stamp_building(world, x, y, angle, parts + roof_clutter(rng, parts, 1.0), dark=draw_dark(rng))
    return True


def draw_dark(rng: np.random.Generator) -> float:
    """Share of beams a roof sends back: black, wet or glazed roofs lose many."""
    return 1.0 if rng.random() < 0.85 else rng.uniform(0.15, 0.9)


def shed(rng: np.random.Generator, world: World, x: float, y: float, angle: float) -> None:
    a, b = rng.uniform(1.0, 3.5), rng.uniform(0.9, 2.8)
    if free(world, x, y, angle, a, b, 0.0):
        stamp_building(world, x, y, angle, [Part(0, 0, a, b, rng.uniform(1.8, 2.9), str(rng.choice(["flat", "shed", "gable"])), rng.uniform(0.1, 0.6))])


def row_of_houses(rng: np.random.Generator, world: World, domain: Domain, x: float, y: float, angle: float, half_length: float, style: str) -> None:
    """Terraced houses or an urban street front: units side by side, roofs alike with small differences, extensions at the back."""
    b = rng.uniform(3.8, 6.5)
    form, pitch = draw_roof(rng, domain, style, b)
    storeys = rng.integers(1, 4) if style == "house" else rng.integers(2, 7)
    eaves = 0.4 + 2.9 * storeys
    unit = rng.uniform(4.5, 9.0)
    vary = 0.0 if rng.random() < 0.5 else rng.uniform(0.2, 2.5)
    parts: list[Part] = []
    edges = np.arange(-half_length, half_length - unit * 0.7, unit)
    for start in edges:
        u = start + unit / 2
        e = eaves + (vary * rng.uniform(-1, 1) if vary else 0)
        if vary and style == "urban" and rng.random() < 0.4:
            form, pitch = draw_roof(rng, domain, style, b)
        turned = form == "gable" and vary > 1.5 and rng.random() < 0.4
        parts.append(Part(u, 0, unit / 2 + 0.01, b, e, form, min(pitch, 0.9) if not turned else 0.8, turned, 0.3, rng.choice([0.0, 0.3, 0.8]) if form == "flat" else 0.0))
        if rng.random() < 0.5:
            d = rng.uniform(1.0, 3.0)
            parts.append(Part(u + rng.uniform(-0.2, 0.2) * unit, -(b + d), unit * rng.uniform(0.2, 0.48), d, rng.choice([2.7, 3.0, min(e, 5.8)]), str(rng.choice(["flat", "shed"])), 0.3))
    if not parts:
        return
    joined = [Part(0, 0, half_length, b, eaves, form, pitch)] if not vary and form in ("gable", "flat", "shed") else []
    stamp_building(world, x, y, angle, parts + joined + roof_clutter(rng, parts, 0.8), dark=draw_dark(rng))
    if style == "urban" and rng.random() < 0.4:
        balconies(rng, world, x, y, angle, half_length, b, eaves)


def slab(rng: np.random.Generator, world: World, domain: Domain, x: float, y: float, angle: float, a: float, b: float) -> None:
    """A block of flats, office, school or tower: large, flat or pitched, stepped."""
    storeys = int(rng.choice([2, 3, 4, 5, 8, 12, 18], p=[0.2, 0.25, 0.22, 0.15, 0.1, 0.05, 0.03]))
    eaves = 3.1 * storeys + rng.uniform(0, 1.5)
    form, pitch = draw_roof(rng, domain, "urban", b)
    parapet = rng.choice([0.0, 0.3, 0.6, 1.1])
    parts = [Part(0, 0, a, b, eaves, form, pitch, False, 0.3, parapet if form == "flat" else 0.0, 0.0, bool(rng.random() < 0.05))]
    if rng.random() < 0.06:  # a ring, a drum
        parts = [Part(0, 0, a, a, eaves, "flat", round=True, hole=rng.uniform(0, 0.8)), Part(0, 0, a, a, eaves + 3, "flat", round=True, hole=0.8)]
    if rng.random() < 0.2:  # a way down to a basement or a loading dock
        step_ground(world, x, y, angle, a + rng.uniform(1, 6), rng.uniform(1.5, 4), rng.uniform(-2.5, -0.8))
    for _ in range(rng.integers(0, 3)):
        wa, wb = rng.uniform(0.25, 0.6) * a, rng.uniform(0.3, 1.0) * b
        parts.append(Part(rng.uniform(-0.9, 0.9) * a, rng.choice([-1, 1]) * b, wa, wb, eaves * rng.choice([0.3, 0.6, 1.0, 1.2]), "flat", 0, False, 0, parapet))
    stamp_building(world, x, y, angle, parts + roof_clutter(rng, parts, 1.0), dark=draw_dark(rng))
    if rng.random() < 0.25:
        wing = [Part(0, 0, rng.uniform(0.5, 1.0) * a, rng.uniform(0.6, 1.0) * b, eaves * rng.choice([0.4, 0.7, 1.0]), form, pitch)]
        stamp_building(world, x + rng.uniform(-0.6, 0.6) * a, y + rng.uniform(-0.6, 0.6) * a, angle + rng.uniform(0.3, 1.2), wing)
    if rng.random() < 0.5 and not parts[0].round:
        balconies(rng, world, x, y, angle, a, b, eaves)


def hall(rng: np.random.Generator, world: World, domain: Domain, x: float, y: float, angle: float, a: float, b: float) -> None:
    form, pitch = draw_roof(rng, domain, "hall", b)
    parts = [Part(0, 0, a, b, rng.uniform(3.5, 14.0), form, pitch, False, rng.random(), rng.choice([0.0, 0.4, 1.0]) if form == "flat" else 0.0)]
    for _ in range(rng.integers(0, 4)):
        wa, wb = rng.uniform(0.1, 0.5) * a, rng.uniform(0.1, 0.5) * b
        parts.append(Part(rng.uniform(-1, 1) * a, rng.uniform(-1, 1) * b, wa, wb, rng.uniform(3, 12), str(rng.choice(["flat", "gable"])), 0.15))
    glass = rng.random() < 0.08
    stamp_building(world, x, y, angle, parts + roof_clutter(rng, parts, 1.0), passing=int(rng.integers(60, 200)) if glass else 0, dark=draw_dark(rng))


def church(rng: np.random.Generator, world: World, x: float, y: float, angle: float) -> None:
    a, b = rng.uniform(9, 18), rng.uniform(4.5, 8)
    if not free(world, x, y, angle, a + 4, b, 1.0):
        return
    eaves, pitch = rng.uniform(6, 12), rng.uniform(0.8, 1.05)
    w = rng.uniform(2.2, 4)
    parts = [
        Part(0, 0, a, b, eaves, "gable", pitch),
        Part(a * 0.3, 0, b * 0.8, b * 1.6, eaves, "gable", pitch, True),
        Part(-a - w * 0.5, 0, w, w, eaves + rng.uniform(6, 16), "hip", rng.uniform(0.5, 1.3)),
    ]
    stamp_building(world, x, y, angle, parts)


# ----------------------------------------------------------------------------------------------------------- small things


def stamp_line(world: World, x0: float, y0: float, x1: float, y1: float, height: float, kind: int, passing: int, thick: float = 0.1) -> None:
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


def car(rng: np.random.Generator, world: World, x: float, y: float, angle: float) -> None:
    if world.taken_at(x, y) & 5:
        return
    if rng.random() < 0.9:
        a, b, z = rng.uniform(1.8, 2.4), rng.uniform(0.8, 0.95), rng.uniform(1.35, 1.9)
        parts = [Part(0, 0, a, b, z * 0.62, "flat"), Part(-0.1 * a, 0, a * 0.55, b * 0.9, z * 0.8, "flat"), Part(-0.1 * a, 0, a * 0.4, b * 0.85, z, "flat")]
    else:  # lorry, bus, caravan, container
        a, b, z = rng.uniform(2.5, 7), rng.uniform(1.1, 1.3), rng.uniform(2.3, 3.8)
        parts = [Part(0, 0, a, b, z, "flat")]
    stamp_building(world, x, y, angle, parts, OTHER, 0)
    if rng.random() < 0.35:
        rows, cols = world.window(x, y, 1.0, COLUMN_M)
        world.keep[rows, cols] = rng.uniform(0.1, 0.7)


def pole(rng: np.random.Generator, world: World, x: float, y: float, height: float, value: int = FIRST_OTHER + 20) -> None:
    world.boxes.append((x, y, 0.0, height, 0.2, value))
    if rng.random() < 0.5:
        world.boxes.append((x + rng.uniform(-1, 1), y + rng.uniform(-1, 1), height - 0.3, height + 0.1, 0.4, value))


def tree(
    rng: np.random.Generator, world: World, x: float, y: float, height: float, shape: int, extinction: float, bare: bool, radius: float | None = None,
    start: float | None = None,
) -> None:
    if radius is None:
        slender = {CONE: rng.uniform(0.14, 0.28), ELLIPSOID: rng.uniform(0.25, 0.55), COLUMN: rng.uniform(0.1, 0.18)}[shape]
        radius = height * slender
    if start is None:
        start = rng.uniform(0.0, 0.35) if shape == CONE else rng.uniform(0.03, 0.4)
    world.crowns.append((x, y, height, radius, start, shape, extinction, float(bare), rng.uniform(0.2, 0.65), rng.integers(0, 1 << 30)))


@dataclass(frozen=True)
class Flora:
    """What grows in a scene: one season and stand for the whole of it, so that a scene looks like a place."""

    extinction: float
    bare: bool
    conifers: float

    def shape(self, rng: np.random.Generator) -> tuple[int, bool]:
        if rng.random() < self.conifers:
            return CONE, False
        return (COLUMN if rng.random() < 0.06 else ELLIPSOID), self.bare


def scatter_trees(rng: np.random.Generator, world: World, flora: Flora, count: int, height: tuple[float, float], against: int = 7) -> None:
    for x, y in rng.uniform(-MARGIN_M, world.size_m + MARGIN_M, (count, 2)):
        if not world.taken_at(x, y) & against:
            shape, bare = flora.shape(rng)
            tree(rng, world, x, y, rng.uniform(*height), shape, flora.extinction * rng.uniform(0.6, 1.5), bare)


def forest(rng: np.random.Generator, world: World, flora: Flora, where: NDArray[np.bool_]) -> None:
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
            shape, bare = flora.shape(rng)
            h = max(tall * (1 + vary * rng.standard_normal()), 2.0)
            wide = min(h * rng.uniform(0.14, 0.32), spacing * (rng.uniform(0.6, 1.1) if closed else rng.uniform(0.45, 0.9)))
            start = first_bough * rng.uniform(0.5, 1.3)
            tree(rng, world, x, y, h, shape, leafy * flora.extinction * rng.uniform(0.6, 1.5), bare, wide, start)
    undergrowth(rng, world, flora, where)


def undergrowth(rng: np.random.Generator, world: World, flora: Flora, where: NDArray[np.bool_]) -> None:
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
            shape, bare = flora.shape(rng)
            h = max(tall * rng.uniform(0.3, 1.2), 0.6)
            radius = h * rng.uniform(0.2, 0.5) + 0.2
            tree(rng, world, x, y, h, shape, flora.extinction * rng.uniform(0.5, 1.5), bare, radius, rng.uniform(0, 0.2))


def shrub(rng: np.random.Generator, world: World, flora: Flora, x: float, y: float) -> None:
    h = rng.uniform(0.5, 4.0)
    tree(rng, world, x, y, h, ELLIPSOID, flora.extinction * rng.uniform(0.8, 2.5), flora.bare and rng.random() < 0.5, h * rng.uniform(0.3, 0.8) + 0.2, 0.0)


def hedge(rng: np.random.Generator, world: World, x0: float, y0: float, x1: float, y1: float) -> None:
    h, r, k = rng.uniform(0.8, 3.0), rng.uniform(0.35, 0.9), rng.uniform(1.0, 4.0)
    length = np.hypot(x1 - x0, y1 - y0)
    for t in np.arange(0, 1, 0.6 / max(length, 0.6)):
        x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
        if not world.taken_at(x, y) & 7:
            tree(rng, world, x, y, h * rng.uniform(0.92, 1.08), COLUMN, k, False, r, 0.0)


def boundary(rng: np.random.Generator, world: World, x0: float, y0: float, x1: float, y1: float) -> None:
    """What marks the edge of a plot: hedge, fence, wall or nothing."""
    pick = rng.random()
    if pick < 0.35:
        hedge(rng, world, x0, y0, x1, y1)
    elif pick < 0.6:
        stamp_line(world, x0, y0, x1, y1, rng.uniform(0.8, 2.0), OTHER, int(rng.integers(20, 230)))
    elif pick < 0.75:
        stamp_line(world, x0, y0, x1, y1, rng.uniform(0.4, 2.5), OTHER, 0, 0.3)


# ------------------------------------------------------------------------------------------------------------------ wires


def hang(world: World, ends: tuple[tuple[float, float, float], tuple[float, float, float]], sag: float) -> None:
    (x0, y0, z0), (x1, y1, z1) = ends
    pieces = max(int(np.hypot(x1 - x0, y1 - y0) / 2.0), 2)
    t = np.linspace(0, 1, pieces + 1)
    z = z0 + t * (z1 - z0) - 4 * sag * t * (1 - t)
    world.wires.append(np.stack([x0 + t * (x1 - x0), y0 + t * (y1 - y0), z], 1).astype(np.float32))


def power_line(rng: np.random.Generator, world: World, line: Line) -> None:
    """A high-voltage line: lattice or tubular towers, cross-arms, three to twelve conductors, earth wire on top."""
    height = rng.uniform(16, 45)
    span = rng.uniform(120, 320)
    arms = rng.integers(1, 4)
    reach = rng.uniform(2.5, 7.0)
    start = rng.uniform(0, span)
    lattice = rng.random() < 0.75
    stations = [start + k * span for k in range(-3, 3)]
    feet = [tuple(float(q[0]) for q in line.points(np.array([s], np.float32))) for s in stations]
    levels = [height - 1.0 - k * rng.uniform(3, 5) for k in range(arms)]
    c, s = np.cos(line.angle), np.sin(line.angle)
    offsets = [(side * reach * f, z) for z in levels for side in (-1, 1) for f in ((1.0,) if rng.random() < 0.6 else (0.5, 1.0))] + [(0.0, height)]
    for (xa, ya), (xb, yb) in zip(feet, feet[1:], strict=False):
        ga, gb = world.ground_at(xa, ya), world.ground_at(xb, yb)
        for off, z in offsets:
            hang(world, ((xa - s * off, ya + c * off, ga + z), (xb - s * off, yb + c * off, gb + z)), span**2 / 8 / rng.uniform(600, 1500))
    value = FIRST_TOWER + (rng.integers(4, 20) if lattice else 30)
    for x, y in feet:
        if world.taken_at(x, y) == 255:
            continue
        foot = rng.uniform(1.5, 4.0) if lattice else 0.5
        for z in np.arange(0, height, 1.0):
            half = max(foot * (1 - z / height) ** 1.2, 0.5)
            for side in ((-1, -1), (-1, 1), (1, -1), (1, 1)) if lattice and half > 0.8 else ((0, 0),):
                world.boxes.append((x + side[0] * half, y + side[1] * half, z, z + 1.0, 0.3, value))
            if lattice and int(z) % 3 == 0:
                for e in np.arange(-half, half, 0.5):
                    world.boxes.append((x + e, y + rng.choice([-1, 1]) * half, z, z + 0.5, 0.2, value))
        for z in levels:
            for off in np.arange(-reach, reach, 0.5):
                world.boxes.append((x - s * off, y + c * off, z + 0.5, z + 1.2, 0.3, value))


def street_wires(rng: np.random.Generator, world: World, line: Line, offset: float) -> None:
    """Wooden or concrete poles with one to five low wires: telephone, low voltage, or a railway's catenary."""
    height, span, count = rng.uniform(5.5, 10), rng.uniform(22, 60), rng.integers(1, 6)
    stations = np.arange(-world.extent_m, world.extent_m, span, dtype=np.float32) + rng.uniform(0, span)
    px, py = line.points(stations, offset)
    tops = [world.ground_at(x, y) + height for x, y in zip(px, py, strict=True)]
    for x, y in zip(px, py, strict=True):
        if world.taken_at(x, y) != 255:
            pole(rng, world, x, y, height + 0.3, FIRST_TOWER + 25 if rng.random() < 0.3 else FIRST_OTHER + 25)
    gap = rng.uniform(0.25, 0.6)
    flat = rng.random() < 0.5
    c, s = np.cos(line.angle), np.sin(line.angle)
    for k in range(count):
        off, down = ((k - count / 2) * gap, 0.0) if flat else (0.0, k * gap)
        sag = rng.uniform(0.1, 1.0)
        for i in range(len(px) - 1):
            ends = [(float(px[j] - s * off), float(py[j] + c * off), tops[j] - down) for j in (i, i + 1)]
            hang(world, (ends[0], ends[1]), sag)


def draw_railway(rng: np.random.Generator, world: World) -> None:
    """Tracks on a bed of ballast; if electric, masts with brackets, messenger and contact wire over each track."""
    line = Line(*rng.uniform(0.2, 0.8, 2) * world.size_m, rng.uniform(0, np.pi))
    tracks = int(rng.integers(1, 5))
    half_width = 2.0 * tracks + 1.5
    along, across, bed = draw_road(rng, world, line, half_width, rng.uniform(-2, 3))
    rails = np.abs(np.mod(across + 2.0 * tracks, 4.0) - 2.0) < 0.9
    world.terrain[(np.abs(across) < 2.0 * tracks) & rails] += np.float32(0.15)
    if rng.random() < 0.75:
        span = rng.uniform(45, 65)
        stations = np.arange(-world.extent_m, world.extent_m, span, dtype=np.float32)
        for k in range(tracks):
            centre = (k - (tracks - 1) / 2) * 4.0
            px, py = line.points(stations, centre)
            mx, my = line.points(stations, np.sign(centre + 0.1) * half_width)
            for x, y in zip(mx, my, strict=True):
                if world.taken_at(x, y) != 255:
                    pole(rng, world, float(x), float(y), 7.2, FIRST_TOWER + 20 if rng.random() < 0.3 else FIRST_OTHER + 20)
            ground = [world.ground_at(x, y) for x, y in zip(px, py, strict=True)]
            for low, sag in ((5.5, 0.05), (6.9, 0.9)):
                for i in range(len(px) - 1):
                    ends = [(float(px[j]), float(py[j]), ground[j] + low) for j in (i, i + 1)]
                    hang(world, (ends[0], ends[1]), sag)


def service_drops(rng: np.random.Generator, world: World) -> None:
    """Single short wires between houses and poles."""
    for x, y in rng.uniform(0, world.size_m, (rng.integers(2, 15), 2)):
        turn, length = rng.uniform(0, 6.28), rng.uniform(8, 30)
        ends = ((x, y), (x + length * np.cos(turn), y + length * np.sin(turn)))
        a, b = ((px, py, world.ground_at(px, py) + rng.uniform(3.5, 8)) for px, py in ends)
        hang(world, (a, b), rng.uniform(0.1, 0.8))


# ------------------------------------------------------------------------------------------------------------ composition


def draw_block(rng: np.random.Generator, world: World, domain: Domain, flora: Flora, biome: str, x: float, y: float, angle: float, a: float, b: float) -> None:
    """Fills one block between streets. a, b: half sizes."""
    kinds = {
        "town": (["perimeter", "rows", "slab", "detached", "park", "hall", "square"], [0.4, 0.2, 0.16, 0.06, 0.07, 0.05, 0.06]),
        "suburb": (["detached", "rows", "slab", "park", "hall", "field"], [0.5, 0.3, 0.07, 0.05, 0.04, 0.04]),
        "village": (["detached", "rows", "field", "park", "hall", "farm"], [0.42, 0.1, 0.18, 0.1, 0.02, 0.18]),
        "industry": (["hall", "slab", "square", "field", "park"], [0.58, 0.14, 0.16, 0.06, 0.06]),
    }[biome]
    kind = str(rng.choice(kinds[0], p=kinds[1]))
    c, s = np.cos(angle), np.sin(angle)

    def place(u: float, v: float) -> tuple[float, float]:
        return x + c * u - s * v, y + s * u + c * v

    if kind == "perimeter":
        style = "urban"
        inset = rng.uniform(0, 3) + 5.5
        row_of_houses(rng, world, domain, *place(0, b - inset), angle, a - 1, style)
        row_of_houses(rng, world, domain, *place(0, -b + inset), angle + np.pi, a - 1, style)
        if rng.random() < 0.8 and b > 24:
            row_of_houses(rng, world, domain, *place(a - inset, 0), angle - np.pi / 2, b - 13, style)
            row_of_houses(rng, world, domain, *place(-a + inset, 0), angle + np.pi / 2, b - 13, style)
        yard(rng, world, flora, place, a - 14, b - 14, angle)
    elif kind == "rows":
        inset = rng.uniform(6, 11)
        for side, turn in ((1, 0.0), (-1, np.pi)):
            u = -a + 2
            while u < a - 12:
                half = min(rng.uniform(10, 32), (a - u) / 2 - 1)
                if half > 5:
                    row_of_houses(rng, world, domain, *place(u + half, side * (b - inset)), angle + turn, half, "house")
                u += 2 * half + rng.uniform(2, 8)
        yard(rng, world, flora, place, a - 2, max(b - 18, 3), angle)
    elif kind == "detached":
        plot = rng.uniform(12, 26)
        for u in np.arange(-a + plot / 2, a - plot / 2 + 0.1, plot):
            for side in (-1, 1) if b > 18 else (1,):
                if rng.random() < 0.9:
                    v = side * (b - rng.uniform(7, 13)) if b > 18 else rng.uniform(-3, 3)
                    turn = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.04)
                    house(rng, world, domain, *place(u + rng.uniform(-2, 2), v), angle + turn)
                if rng.random() < 0.15:  # gardens lie a step higher or lower than their neighbours
                    step_ground(world, *place(u, side * b / 2), angle, plot / 2, b / 2, rng.uniform(-0.5, 0.5))
                if rng.random() < 0.4:
                    shed(rng, world, *place(u + rng.uniform(-0.4, 0.4) * plot, side * b * rng.uniform(0.05, 0.5)), angle + rng.normal(0, 0.2))
                boundary(rng, world, *place(u - plot / 2, 0), *place(u - plot / 2, side * b))
        if rng.random() < 0.7:
            boundary(rng, world, *place(-a, 0), *place(a, 0))
        garden(rng, world, flora, place, a, b)
    elif kind == "slab":
        for _ in range(rng.integers(1, 4)):
            ha, hb = rng.uniform(8, min(a * 0.9, 35) + 0.1) if a > 9 else 8, rng.uniform(5, 9)
            px, py = place(rng.uniform(-1, 1) * max(a - ha, 0), rng.uniform(-1, 1) * max(b - hb, 0))
            turn = angle + rng.choice([0, np.pi / 2])
            if free(world, px, py, turn, ha, hb, 2.0):
                slab(rng, world, domain, px, py, turn, ha, hb)
        garden(rng, world, flora, place, a, b, 0.6)
    elif kind == "hall":
        for _ in range(rng.integers(1, 4)):
            ha, hb = rng.uniform(0.25, 0.95) * a, rng.uniform(0.25, 0.9) * b
            px, py = place(rng.uniform(-1, 1) * (a - ha), rng.uniform(-1, 1) * (b - hb))
            if free(world, px, py, angle, ha, hb, 1.0):
                hall(rng, world, domain, px, py, angle, ha, hb)
        parking(rng, world, place, angle, a, b)
        garden(rng, world, flora, place, a, b, 0.2)
    elif kind == "square":
        world.taken[np.maximum(np.abs(c * (world.x - x) + s * (world.y - y)) / a, np.abs(-s * (world.x - x) + c * (world.y - y)) / b) < 0.8] |= 2
        parking(rng, world, place, angle, a, b)
        if rng.random() < 0.3:  # a filling station, a platform roof
            canopy = Part(0, 0, rng.uniform(4, 20), rng.uniform(2, 7), rng.uniform(3, 6), open=True)
            stamp_building(world, *place(rng.uniform(-0.5, 0.5) * a, rng.uniform(-0.5, 0.5) * b), angle, [canopy])
        if rng.random() < 0.4:
            church(rng, world, x, y, angle)
    elif kind == "farm":
        for _ in range(rng.integers(2, 6)):
            house(rng, world, domain, *place(rng.uniform(-1, 1) * a * 0.7, rng.uniform(-1, 1) * b * 0.7), angle + rng.choice([0, np.pi / 2]), "barn" if rng.random() < 0.6 else "house")
        garden(rng, world, flora, place, a, b, 0.4)
    elif kind == "park":
        garden(rng, world, flora, place, a, b, 1.2, big=True)
        if rng.random() < 0.15:
            church(rng, world, x, y, angle)


def yard(rng: np.random.Generator, world: World, flora: Flora, place, a: float, b: float, angle: float) -> None:  # type: ignore[no-untyped-def]
    """Back yards: sheds, trees, walls between them."""
    if a < 3 or b < 2:
        return
    for _ in range(rng.poisson(a * b / 60)):
        shed(rng, world, *place(rng.uniform(-a, a), rng.uniform(-b, b)), angle)
    for u in np.arange(-a, a, rng.uniform(5, 9)):
        if rng.random() < 0.6:
            boundary(rng, world, *place(u, -b), *place(u, b))
    garden(rng, world, flora, place, a, b, 0.7)


def garden(rng: np.random.Generator, world: World, flora: Flora, place, a: float, b: float, amount: float = 1.0, big: bool = False) -> None:  # type: ignore[no-untyped-def]
    for _ in range(rng.poisson(4 * a * b / (90 if not big else 70) * amount * rng.uniform(0.2, 2.0))):
        x, y = place(rng.uniform(-a, a), rng.uniform(-b, b))
        if world.taken_at(x, y) & 7:
            continue
        if rng.random() < 0.6:
            shrub(rng, world, flora, x, y)
        else:
            shape, bare = flora.shape(rng)
            tree(rng, world, x, y, rng.uniform(2.5, 24 if big else 14), shape, flora.extinction * rng.uniform(0.5, 1.5), bare)


def parking(rng: np.random.Generator, world: World, place, angle: float, a: float, b: float) -> None:  # type: ignore[no-untyped-def]
    for v in np.arange(-b * 0.7, b * 0.7, rng.uniform(6, 12)):
        for u in np.arange(-a * 0.8, a * 0.8, rng.uniform(2.4, 2.9)):
            if rng.random() < 0.3:
                car(rng, world, *place(u, v), angle + np.pi / 2 + rng.normal(0, 0.03))


def settle(rng: np.random.Generator, world: World, domain: Domain, flora: Flora, biome: str) -> None:
    """Streets in a turned grid, blocks between them, cars and lamps along them."""
    angle = rng.uniform(0, np.pi / 2)
    centre = world.size_m / 2
    pitch_u = {"town": rng.uniform(45, 95), "suburb": rng.uniform(50, 120), "village": rng.uniform(60, 140), "industry": rng.uniform(60, 150)}[biome]
    pitch_v = rng.uniform(38, 80) if biome != "industry" else rng.uniform(50, 110)
    street = rng.uniform(7, 20) if biome == "town" else rng.uniform(6, 13)
    shift_u, shift_v = rng.uniform(0, pitch_u), rng.uniform(0, pitch_v)
    c, s = np.cos(angle), np.sin(angle)
    reach = world.extent_m * 0.75
    lines = []
    for k in np.arange(-reach + shift_u, reach, pitch_u):
        bend = rng.uniform(2, 8) if rng.random() < 0.25 else 0.0
        lines.append(Line(centre + c * k, centre + s * k, angle + np.pi / 2, bend, rng.uniform(25, 60), rng.uniform(0, 6.28)))
    for k in np.arange(-reach + shift_v, reach, pitch_v):
        lines.append(Line(centre - s * k, centre + c * k, angle))
    for line in lines:
        _, across = line.local(world.x, world.y)
        if np.abs(across).min() < street:
            draw_road(rng, world, line, street / 2 * 0.8)
    for line in lines:
        for t in np.arange(-reach, reach, 6.0):
            for side in (-1, 1):
                x, y = (float(q[0]) for q in line.points(np.array([t], np.float32), side * street * 0.36))
                if world.taken_at(x, y) == 255:
                    continue
                pick = rng.random()
                if pick < 0.22:
                    car(rng, world, x, y, line.angle)
                elif pick < 0.27:
                    pole(rng, world, x, y, rng.uniform(3.5, 10))
                elif pick < 0.31:
                    clutter(rng, world, x, y)
        if rng.random() < 0.35:  # an avenue
            h, gap = rng.uniform(5, 18), rng.uniform(5, 14)
            shape, bare = flora.shape(rng)
            for t in np.arange(-reach, reach, gap):
                for side in (-1, 1):
                    x, y = (float(q[0]) for q in line.points(np.array([t], np.float32), side * street * 0.42))
                    if world.taken_at(x, y) not in (255, 1) and rng.random() < 0.9:
                        tree(rng, world, x, y, h * rng.uniform(0.8, 1.2), shape, flora.extinction, bare)
    for ku in np.arange(-reach + shift_u + pitch_u / 2, reach, pitch_u):
        for kv in np.arange(-reach + shift_v + pitch_v / 2, reach, pitch_v):
            x, y = centre + c * ku - s * kv, centre + s * ku + c * kv
            half = max(pitch_u, pitch_v) * 0.7
            if -MARGIN_M - half < x < world.size_m + MARGIN_M + half and -MARGIN_M - half < y < world.size_m + MARGIN_M + half:
                draw_block(rng, world, domain, flora, biome, x, y, angle, (pitch_u - street) / 2, (pitch_v - street) / 2)


def boats(rng: np.random.Generator, world: World) -> None:
    rows, cols = np.nonzero(world.water)
    for k in rng.integers(0, len(rows), rng.integers(1, 10)):
        x, y = float(world.x[rows[k], cols[k]]), float(world.y[rows[k], cols[k]])
        a = rng.uniform(1.5, 12)
        b, z = max(a * rng.uniform(0.2, 0.35), 0.7), rng.uniform(0.4, 2.0)
        cabin = Part(rng.uniform(-0.4, 0.4) * a, 0, a * rng.uniform(0.15, 0.5), b * 0.8, z + rng.uniform(0.5, 2), "flat")
        stamp_building(world, x, y, rng.uniform(0, 3.14), [Part(0, 0, a, b, z, "flat"), cabin], OTHER)


def clutter(rng: np.random.Generator, world: World, x: float, y: float) -> None:
    """Bins, benches, kiosks, people, pallets: small boxes of every proportion."""
    a, b, z = rng.uniform(0.2, 1.5), rng.uniform(0.2, 0.8), rng.uniform(0.4, 2.6)
    stamp_building(world, x, y, rng.uniform(0, 3.14), [Part(0, 0, a, b, z, "flat")], OTHER, int(rng.choice([0, 0, 100])))


def fields(rng: np.random.Generator, world: World) -> None:
    """Crops, meadows and stubble in strips with one height each; what is below 0.2 m counts as ground."""
    line = draw_line(rng, world, straight=True)
    along, across = line.local(world.x, world.y)
    u, v = np.floor(along / rng.uniform(30, 120)), np.floor(across / rng.uniform(30, 120))
    for i in np.unique(u):
        for j in np.unique(v):
            where = (u == i) & (v == j) & (world.taken == 0)
            pick = rng.random()
            height = rng.uniform(0.0, 0.18) if pick < 0.6 else rng.uniform(0.2, 1.1) if pick < 0.9 else rng.uniform(1.0, 2.8)
            world.low_height[where] = height * (1 + 0.1 * np.sin(across[where] * rng.uniform(2, 8)))
            world.low_cover[where] = rng.uniform(0.3, 0.98)
    if rng.random() < 0.5:
        k, depth = rng.uniform(0.5, 3), rng.uniform(0.05, 0.25)
        world.terrain += (depth * 0.5 * np.sin(across * k) * (world.taken == 0)).astype(np.float32)


def build_world(rng: np.random.Generator, size_m: float, domain: Domain = TRAIN, biome: str | None = None) -> World:
    """Draws a place. The same generator state gives the same world, bit for bit."""
    world = World(size_m)
    names = list(domain.biomes)
    weights = np.array([domain.biomes[k] for k in names])
    drawn = str(rng.choice(names, p=weights / weights.sum()))
    biome = biome or drawn
    draw_terrain(rng, world, biome, domain)
    low, high = np.log(domain.crown_extinction)
    flora = Flora(float(np.exp(rng.uniform(low, high))), bool(rng.random() < domain.leaf_off), float(rng.choice([0.0, 0.1, 0.5, 1.0], p=[0.4, 0.3, 0.15, 0.15])))

    # Lines through the country come first: what is built later keeps off them.
    if biome == "river" or rng.random() < 0.12:
        river, half_width = draw_line(rng, world), rng.uniform(2, 30) if rng.random() < 0.8 else rng.uniform(30, 60)
        if rng.random() < 0.55:
            draw_bridge(rng, world, river, half_width, wet=True)
        else:
            draw_water(rng, world, river, half_width)
    if rng.random() < 0.12:
        draw_bridge(rng, world, draw_line(rng, world, straight=True), rng.uniform(4, 12), wet=False)
    if rng.random() < 0.03:
        draw_viaduct(rng, world)
    if rng.random() < 0.06:
        draw_railway(rng, world)
    if rng.random() < 0.15:
        draw_pond(rng, world)
    if rng.random() < 0.12:  # dike, embankment, sunken road
        draw_road(rng, world, draw_line(rng, world), rng.uniform(1.5, 6), rng.uniform(-4, 5))
    if biome in ("farmland", "river", "village", "suburb"):
        for _ in range(rng.integers(0, 4)):
            ditch = draw_line(rng, world, straight=True)
            along, across = ditch.local(world.x, world.y)
            bed = profile(world, ditch, along, 30.0) - np.float32(rng.uniform(0.3, 1.5))
            wet = carve(world, ditch, rng.uniform(0.2, 1.5), bed, rng.uniform(0.5, 1.5), (along, across))
            if rng.random() < 0.4:
                flood(world, wet)

    if biome in ("town", "suburb", "village", "industry"):
        settle(rng, world, domain, flora, biome)
    else:
        road = draw_line(rng, world)
        if rng.random() < 0.6:
            draw_road(rng, world, road, rng.uniform(1.2, 6))
        if biome in ("farmland", "river", "hills"):
            fields(rng, world)
        for _ in range(rng.integers(0, 5) if biome != "forest" else rng.integers(0, 2)):
            x, y = rng.uniform(0, world.size_m, 2)
            house(rng, world, domain, x, y, rng.uniform(0, 3.14), "barn" if rng.random() < 0.4 else "house")
        share = {"forest": rng.uniform(0.55, 1.0), "farmland": rng.uniform(0, 0.15), "river": rng.uniform(0, 0.4), "hills": rng.uniform(0, 0.7)}[biome]
        patch = fractal(rng, len(world.terrain), 1.8)
        forest(rng, world, flora, patch > np.quantile(patch, 1 - share))
        scatter_trees(rng, world, flora, int(rng.integers(0, 40)), (3, 22))
        if biome != "forest":
            for _ in range(rng.integers(0, 4)):
                x0, y0 = rng.uniform(0, world.size_m, 2)
                turn, length = rng.uniform(0, 6.28), rng.uniform(10, 80)
                boundary(rng, world, x0, y0, x0 + length * np.cos(turn), y0 + length * np.sin(turn))
    if rng.random() < 0.5:  # thickets
        thicket = (fractal(rng, len(world.terrain), 1.5) > rng.uniform(1.0, 2.5)) & (world.taken == 0)
        undergrowth(rng, world, flora, thicket)
        world.low_height[thicket] = np.maximum(world.low_height[thicket], rng.uniform(0.3, 2.5))
        world.low_cover[thicket] = rng.uniform(0.4, 1.0)
    if world.water.sum() > 2000 and rng.random() < 0.5:
        boats(rng, world)
    if rng.random() < domain.wires:
        if rng.random() < 0.45:
            power_line(rng, world, draw_line(rng, world, straight=True))
        else:
            for _ in range(rng.integers(1, 4)):
                street_wires(rng, world, draw_line(rng, world, straight=True), rng.uniform(-4, 4))
            if rng.random() < 0.5:
                service_drops(rng, world)
    if rng.random() < 0.3:  # wet or black ground
        world.keep[fractal(rng, len(world.terrain), 1.6) > rng.uniform(1, 2.5)] *= rng.uniform(0.1, 0.8)
    grow(world)
    return world


def grow(world: World) -> None:
    """Fills the porous voxels from the lists of crowns and boxes."""
    crowns = np.array(world.crowns, np.float64).reshape(-1, 10)
    boxes = np.array(world.boxes, np.float64).reshape(-1, 6)
    tallest = max(crowns[:, 2].max(initial=1.0) + 6.0, boxes[:, 3].max(initial=1.0) + 2.0)
    n = len(world.terrain)
    world.porous = np.zeros((n, n, int(min(tallest, 70.0) / LEVEL_M) + 1), np.uint8)
    fill_crowns(world.porous, world.terrain, crowns)
    fill_boxes(world.porous, world.terrain, boxes)


@njit(cache=False)
def scramble(a: np.uint64) -> np.uint64:
    """splitmix64: one well-mixed word from another."""
    a = (a + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    a = (a ^ (a >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    a = (a ^ (a >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return a ^ (a >> np.uint64(31))


@njit(cache=False)
def fill_crowns(porous, terrain, crowns):  # type: ignore[no-untyped-def]
    """porous: (n, n, levels) uint8; crowns: (m, 10) x, y, height, radius, start, shape, extinction, bare, gaps, seed."""
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
                    if radius > 1.2:  # boughs: the outline goes in and out by lumps of 2 m
                        jx, jy, jz = np.uint64((ix + iz // 2) // 4), np.uint64((iy + ix // 3) // 4), np.uint64((iz + iy // 2) // 4)
                        word = scramble(seed + jx * np.uint64(73856093) + jy * np.uint64(19349663) + jz * np.uint64(83492791))
                        share /= 0.62 + 0.45 * (float(word >> np.uint64(40)) / 16777216.0)
                        if share > 1.0:
                            continue
                    jx, jy, jz = np.uint64(ix // 2), np.uint64(iy // 2), np.uint64(iz // 3)
                    word = scramble(seed + jx * np.uint64(73856093) + jy * np.uint64(19349663) + jz * np.uint64(83492791))
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
