"""Coarse versions of a solid: what scans, voxel models and networks make of an object.

Low resolution, blur, noise, thin parts lost or all parts fat, bits missing, bits that do not belong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .volume import CELLS, SIDE, Bool

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Ranges:
    """Uniform ranges that a degradation is drawn from."""

    resolution: tuple[float, float]  # coarse cells over the longest side
    blur: tuple[float, float]  # standard deviation, coarse cells
    noise: tuple[float, float]  # standard deviation of the occupancy's error
    level: tuple[float, float]  # of the occupancy where the surface is taken: high loses thin parts, low fattens
    bits: float  # mean count of places where matter is missing, and of those where some does not belong


TRAIN = Ranges((28, 68), (0.3, 0.9), (0.0, 0.15), (0.25, 0.6), 1.0)
ELSEWHERE = Ranges((40, 64), (0.4, 0.8), (0.05, 0.1), (0.3, 0.5), 1.0)  # what the figures are measured on


@dataclass(frozen=True)
class Coarse:
    """A degraded solid: occupancy on coarse cells, (n, n, n), and the level at which its surface is taken."""

    occupancy: F32
    level: float
    to_fine: F32  # (SIDE, n): trilinear interpolation along one axis

    def fine(self) -> F32:
        """The occupancy on the grid, trilinear, less the level: (SIDE,)*3."""
        return along_axes(self.occupancy, self.to_fine) - np.float32(self.level)

    def survives(self, solid: Bool) -> bool:
        """Whether a third of the solid is left: a thin object can vanish."""
        return bool((self.fine() > 0).sum() > solid.sum() / 3)


def degrade(solid: Bool, rng: np.random.Generator, ranges: Ranges = TRAIN) -> Coarse:
    """A coarse version of a solid on the grid."""
    cell = CELLS / rng.uniform(*ranges.resolution)
    count = int(np.ceil(SIDE / cell)) + 1
    at = (np.arange(count) + rng.uniform(-0.5, 0.0)) * cell  # coarse centres in fine cells
    spread = cell * rng.uniform(*ranges.blur)
    occupancy = along_axes(solid.astype(np.float32), _blurring(at, spread))
    noise = along_axes(rng.standard_normal((count,) * 3, np.float32), _blurring_itself(count, rng.uniform(0.3, 1.2)))
    occupancy += noise * np.float32(rng.uniform(*ranges.noise) / max(float(noise.std()), 1e-6))
    occupancy += _bits(occupancy, rng, ranges.bits, -1.0) + _bits(occupancy, rng, ranges.bits, 0.7)
    return Coarse(occupancy, float(rng.uniform(*ranges.level)), _trilinear(at))


def along_axes(field: F32, matrix: F32) -> F32:
    """The matrix (m, n) applied along each axis of (n, n, n) -> (m, m, m)."""
    for _ in range(3):
        field = np.tensordot(field, matrix, axes=(0, 1))
    return np.ascontiguousarray(field, np.float32)


def _blurring(at: NDArray[np.float64], spread: float) -> F32:
    """(n, SIDE) Gaussian weights around each place, rows summing to 1."""
    away = (np.arange(SIDE)[None] - at[:, None]) / spread
    weights = np.exp(-0.5 * away**2) + 1e-12
    return (weights / np.sqrt(2 * np.pi) / spread).astype(np.float32)


def _blurring_itself(count: int, spread: float) -> F32:
    places = np.arange(count)
    weights = np.exp(-0.5 * ((places[None] - places[:, None]) / spread) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _trilinear(at: NDArray[np.float64]) -> F32:
    """(SIDE, n) linear weights of the two places beside each fine cell; at the ends, of the last."""
    where = np.clip((np.arange(SIDE) - at[0]) / (at[1] - at[0]), 0, len(at) - 1.0001)
    below = where.astype(int)
    weights = np.zeros((SIDE, len(at)), np.float32)
    weights[np.arange(SIDE), below] = 1 - (where - below)
    weights[np.arange(SIDE), below + 1] = where - below
    return weights


def _bits(occupancy: F32, rng: np.random.Generator, mean_count: float, strength: float) -> F32:
    """What to add for soft balls of matter at the surface: missing (negative strength) or too much."""
    out = np.zeros_like(occupancy)
    near = np.argwhere((occupancy > 0.3) & (occupancy < 0.7))
    axis = np.arange(len(occupancy))
    for _ in range(rng.poisson(mean_count) if len(near) else 0):
        centre = near[rng.integers(len(near))] + rng.normal(0, 1, 3)
        radius = rng.uniform(0.015, 0.05) * len(occupancy)
        x, y, z = (np.exp(-0.5 * ((axis - centre[k]) / radius) ** 2).astype(np.float32) for k in range(3))
        out += np.float32(strength) * x[:, None, None] * y[None, :, None] * z[None, None]
    return out
