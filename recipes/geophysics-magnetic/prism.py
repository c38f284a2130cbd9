"""The closed form of a prism's field, in space: what the figures are measured on does not come from the simulator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def prism_field(
    east: Array, north: Array, box: tuple[float, float, float, float, float, float], field: Array, magnetisation: Array
) -> Array:
    """Total-field anomaly at z = 0 of a prism of susceptibility 1 in a main field of 1 nT, with axes as the grid's.

    box: west, east, south, north, top, bottom, z down. field, magnetisation: unit vectors (east, north, down).
    Second derivatives of the integral of 1/r at the corners (Bhattacharyya 1964; Nagy et al. 2000).
    """
    fx, fy, fz = field
    mx, my, mz = magnetisation
    total = np.zeros(np.broadcast(east, north).shape)
    for i in (0, 1):
        x = box[i] - east
        for j in (0, 1):
            y = box[2 + j] - north
            for n in (0, 1):
                z = box[4 + n]
                r = np.sqrt(x * x + y * y + z * z)
                sign = (-1.0) ** (i + j + n + 1)
                xx, yy, zz = (-np.arctan2(a * b, c * r) for a, b, c in ((y, z, x), (x, z, y), (x, y, z)))
                xy, xz, yz = _log(z, r, x, y), _log(y, r, x, z), _log(x, r, y, z)
                part = fx * mx * xx + fy * my * yy + fz * mz * zz
                part = part + (fx * my + fy * mx) * xy + (fx * mz + fz * mx) * xz + (fy * mz + fz * my) * yz
                total += sign * part
    return total / (4 * np.pi)


def _log(along: float | Array, r: Array, a: float | Array, b: float | Array) -> Array:
    """log(r + along), which is safe where `along` is about -r: there r + along = (a^2 + b^2) / (r - along)."""
    with np.errstate(divide="ignore"):
        safe = np.log(np.maximum(np.square(a) + np.square(b), 1e-30)) - np.log(np.maximum(r - along, 1e-30))
        return np.where(np.asarray(along) > 0, np.log(np.maximum(r + along, 1e-30)), safe)
