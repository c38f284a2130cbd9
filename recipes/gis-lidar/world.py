"""What the simulator's world is made of: rasters, voxels, wires, and the frames and lines that things are placed
by.

A `World` is 2.5-D where that is enough and volumetric where it is not:

- the bare earth (and water surface) as a raster of 0.5 m columns, interpolated bilinearly;
- solids (roofs, walls, cars, decks) as one interval base..top a cell of 0.25 m, with the slope of the top, so
  that pitched roofs stay planes and beams may pass below decks, canopies and eaves; fences and glass let a
  share of the beams through;
- everything porous (crowns, hedges, lattice towers, balconies) as an extinction a voxel of 0.5 m above the bare
  earth;
- wires as short straight pieces of catenaries.
"""

from __future__ import annotations

import math
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

# What a column is taken by: bits.
BUILT, PAVED, WET, OUTSIDE = 1, 2, 4, 255


@dataclass(frozen=True)
class Domain:
    """What the draws depend on. SHIFTED differs from TRAIN in each number: scenes of other parameters."""

    biomes: dict[str, float] = field(
        default_factory=lambda: {
            "town": 0.22,
            "suburb": 0.22,
            "village": 0.12,
            "industry": 0.09,
            "forest": 0.15,
            "farmland": 0.06,
            "river": 0.1,
            "hills": 0.04,
        }
    )
    steepest_deg: float = 35.0
    roof_pitch_deg: tuple[float, float] = (12.0, 55.0)
    crown_extinction: tuple[float, float] = (0.25, 2.5)  # 1/m in leaf; bare crowns take a quarter of it
    leaf_off: float = 0.4
    wires: float = 0.45
    range_noise_m: tuple[float, float] = (0.005, 0.04)
    flying_height_m: tuple[float, float] = (300.0, 3000.0)
    half_scan_deg: tuple[float, float] = (8.0, 30.0)
    density: tuple[float, float] = (0.3, 80.0)  # pulses a square metre, log-uniform, then limited to max_density
    detect: tuple[float, float] = (0.1, 0.5)  # share of the pulse's energy that makes a return, log-uniform


TRAIN = Domain()
SHIFTED = Domain(
    biomes={
        "town": 0.12,
        "suburb": 0.14,
        "village": 0.2,
        "industry": 0.12,
        "forest": 0.16,
        "farmland": 0.08,
        "river": 0.12,
        "hills": 0.06,
    },
    steepest_deg=38.0,
    roof_pitch_deg=(8.0, 60.0),
    crown_extinction=(0.2, 3.0),
    leaf_off=0.5,
    wires=0.48,
    range_noise_m=(0.012, 0.07),
    flying_height_m=(250.0, 2200.0),
    half_scan_deg=(12.0, 34.0),
    density=(0.5, 40.0),
    detect=(0.08, 0.6),
)


@dataclass(frozen=True)
class Flora:
    """What grows in a scene: one season and stand for the whole of it, so that a scene looks like a place."""

    extinction: float
    bare: bool
    conifers: float


@dataclass(frozen=True)
class Frame:
    """A place and a direction: u runs along the angle, v to its left."""

    x: float
    y: float
    angle: float = 0.0

    def at(self, u: float, v: float) -> tuple[float, float]:
        c, s = math.cos(self.angle), math.sin(self.angle)
        return self.x + c * u - s * v, self.y + s * u + c * v

    def moved(self, u: float, v: float, turn: float = 0.0) -> Frame:
        return Frame(*self.at(u, v), self.angle + turn)

    def local(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        c, s = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        return c * (x - self.x) + s * (y - self.y), -s * (x - self.x) + c * (y - self.y)


class World:
    """Rasters are (row = y, column = x); the scene is 0..size_m, the rasters start at -MARGIN_M. Heights in metres."""

    def __init__(self, size_m: float, domain: Domain) -> None:
        self.size_m = size_m
        self.domain = domain
        self.flora = Flora(1.0, False, 0.0)
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
        self.wires: list[NDArray[np.float32]] = []  # (pieces + 1, 3)
        self.taken = np.zeros((columns, columns), np.uint8)  # 1 building, 2 road or other open ground, 4 water
        axis = (np.arange(columns, dtype=np.float32) + 0.5) * COLUMN_M - MARGIN_M
        self.x, self.y = np.meshgrid(axis, axis)
        self.town_mix: NDArray[np.float64] = np.full(8, 0.125)  # shares of the kinds of blocks of a town
        self.patch: Floats | None = None
        self.porous: Bytes = np.zeros((1, 1, 1), np.uint8)

    def patches(self, rng: np.random.Generator) -> Floats:
        """One fractal for all small patches of the scene: roll it to draw from it. -> (n, n)."""
        if self.patch is None:
            self.patch = fractal(rng, len(self.terrain), rng.uniform(0.7, 1.4))
        return self.patch

    def ground_at(self, x: float, y: float) -> float:
        n = len(self.terrain)
        ix = min(max(int((x + MARGIN_M) / COLUMN_M), 0), n - 1)
        iy = min(max(int((y + MARGIN_M) / COLUMN_M), 0), n - 1)
        return float(self.terrain[iy, ix])

    def taken_at(self, x: float, y: float) -> int:
        n = len(self.terrain)
        ix, iy = int((x + MARGIN_M) / COLUMN_M), int((y + MARGIN_M) / COLUMN_M)
        return int(self.taken[iy, ix]) if 0 <= ix < n and 0 <= iy < n and x > -MARGIN_M and y > -MARGIN_M else 255

    def wet_at(self, x: float, y: float) -> bool:
        taken = self.taken_at(x, y)
        return taken != OUTSIDE and bool(taken & WET)

    def window(self, x: float, y: float, reach: float, step: float) -> tuple[slice, slice]:
        n = round(self.extent_m / step)
        low = [min(max(int((q - reach + MARGIN_M) / step), 0), n) for q in (y, x)]
        high = [min(max(int((q + reach + MARGIN_M) / step) + 1, 0), n) for q in (y, x)]
        return slice(low[0], high[0]), slice(low[1], high[1])


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


@njit(cache=False)
def scramble(a: np.uint64) -> np.uint64:
    """splitmix64: one well-mixed word from another."""
    a = (a + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    a = (a ^ (a >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    a = (a ^ (a >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return a ^ (a >> np.uint64(31))
