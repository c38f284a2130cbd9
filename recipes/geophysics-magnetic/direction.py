"""Mirror a survey so that its main field points down and between north and north-east.

The anomaly is d/df d/dm of the integral of 1/r: it stays the same when scene, field and magnetisation are mirrored
together, and when the field and the magnetisation are both turned round. So one octant stands for every place on Earth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mirror:
    """Flips and a transposition of the last two axes (north, east), applied in this order."""

    flip_east: bool
    flip_north: bool
    transpose: bool

    def apply(self, grid: NDArray[Any]) -> NDArray[Any]:
        grid = grid[..., ::-1] if self.flip_east else grid
        grid = grid[..., ::-1, :] if self.flip_north else grid
        return np.ascontiguousarray(np.swapaxes(grid, -1, -2) if self.transpose else grid)

    def undo(self, grid: NDArray[Any]) -> NDArray[Any]:
        grid = np.swapaxes(grid, -1, -2) if self.transpose else grid
        grid = grid[..., ::-1, :] if self.flip_north else grid
        return np.ascontiguousarray(grid[..., ::-1] if self.flip_east else grid)


def canonical(direction: NDArray[np.float64]) -> tuple[Mirror, NDArray[np.float64]]:
    """The mirror for a main field (east, north, down), and the field's direction (3,) in the mirror."""
    east, north, down = np.copysign(1.0, direction[2]) * direction
    mirror = Mirror(bool(east < 0), bool(north < 0), bool(abs(east) > abs(north)))
    east, north = sorted((abs(east), abs(north)))
    return mirror, np.array([east, north, down])
