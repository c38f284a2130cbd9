"""Held-out surveys: prisms in closed form, set in other ways than the simulator sets its bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import Real, unit_vector
from .prism import prism_field
from .survey import WINDOW, log_uniform, random_unit

KINDS = ("induced", "low inclination", "remanent")
SLABS = 8  # that stand for a dipping body


@dataclass(frozen=True)
class Prism:
    east: float
    north: float
    half: tuple[float, float]
    strike: float  # radians
    top: float
    thickness: float
    lean: float  # across strike, cells a cell
    susceptibility: float  # SI
    magnetisation: NDArray[np.float64]

    def cells(self) -> NDArray[np.bool_]:
        """Cells whose centre lies in the outline of the top."""
        u, v = self.along(*np.meshgrid(np.arange(WINDOW, dtype=float), np.arange(WINDOW, dtype=float)))
        return (np.abs(u) <= self.half[0]) & (np.abs(v) <= self.half[1])

    def along(self, east: NDArray[np.float64], north: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Coordinates along and across strike."""
        cos, sin = np.cos(self.strike), np.sin(self.strike)
        x, y = east - self.east, north - self.north
        return cos * x + sin * y, cos * y - sin * x

    def field(self, main: NDArray[np.float64]) -> NDArray[np.float64]:
        """(WINDOW, WINDOW) anomaly in a main field of 1 nT."""
        u, v = self.along(*np.meshgrid(np.arange(WINDOW, dtype=float), np.arange(WINDOW, dtype=float)))
        cos, sin = np.cos(self.strike), np.sin(self.strike)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        total = np.zeros_like(u)
        slabs = SLABS if self.lean else 1
        for n in range(slabs):
            high, low = (self.top + self.thickness * (n + i) / slabs for i in (0, 1))
            shift = self.lean * ((high + low) / 2 - self.top)
            box = (-self.half[0], self.half[0], shift - self.half[1], shift + self.half[1], high, low)
            total += prism_field(u, v, box, turn @ main, turn @ self.magnetisation)
        return self.susceptibility * total


@dataclass(frozen=True)
class Scene:
    field: Real  # nT
    inclination_deg: float
    declination_deg: float
    prisms: tuple[Prism, ...]
    label: NDArray[np.int16]


def draw_scene(rng: np.random.Generator, kind: str) -> Scene:
    """One to five prisms in 50,000 nT, noise of 1 to 2 % of the spread, a plane."""
    inclination = rng.uniform(0, 30) if kind == "low inclination" else rng.uniform(30, 90)
    inclination, declination = float(inclination * rng.choice([-1, 1])), float(rng.uniform(-180, 180))
    main = unit_vector(inclination, declination)
    label = np.zeros((WINDOW, WINDOW), np.int16)
    prisms: list[Prism] = []
    total = np.zeros((WINDOW, WINDOW))
    for _ in range(int(rng.integers(1, 6))):
        prism = _draw_prism(rng, main, kind)
        cells = prism.cells()
        if not cells.any() or (label[_grown(cells)] > 0).any():
            continue
        prisms.append(prism)
        label[cells] = len(prisms)
        total += 50_000 * prism.field(main)
    spread = total.std()
    slope = rng.normal(0, 0.5 * spread, 2)
    north, east = np.mgrid[-1 : 1 : WINDOW * 1j, -1 : 1 : WINDOW * 1j]
    total += rng.normal(0, spread * rng.uniform(0.01, 0.02), total.shape) + slope[0] * north + slope[1] * east
    return Scene(total.astype(np.float32), inclination, declination, tuple(prisms), label)


def _draw_prism(rng: np.random.Generator, main: NDArray[np.float64], kind: str) -> Prism:
    dyke = rng.random() < 0.3
    half = (rng.uniform(6, 20), rng.uniform(0.75, 2)) if dyke else tuple(rng.uniform(1.5, 8, 2))
    strike = float(rng.choice([0, np.pi / 2])) if rng.random() < 0.5 else rng.uniform(0, np.pi)
    lean = float(np.tan(np.radians(rng.uniform(-40, 40)))) if rng.random() < 0.3 else 0.0
    magnetisation = main
    if kind == "remanent":
        ratio = rng.uniform(0.5, 2.0)  # Koenigsberger's
        vector = main + ratio * random_unit(rng)
        magnetisation = vector / np.linalg.norm(vector)
    return Prism(
        *rng.uniform(6, WINDOW - 6, 2), half, strike, log_uniform(rng, (2.0, 12.0)), log_uniform(rng, (2.0, 30.0)),
        lean, log_uniform(rng, (0.01, 0.1)), magnetisation,
    )  # fmt: skip


def _grown(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    return ndimage.binary_dilation(cells, iterations=2)
