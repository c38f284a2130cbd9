"""Magnetic fields by Fourier transform, in units of the grid spacing.

Axes: rows go north, columns east, z down from the sensor. Wavenumbers are in radians a cell. The transform of the
total-field anomaly of a sheet of susceptibility x thickness at depth z is F/2 |k| exp(-|k| z) Theta_f Theta_m S(k)
(Blakely 1995, Potential Theory in Gravity and Magnetic Applications, equations 10.20 and 11.25 to 11.37).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Real = NDArray[np.float32]
Complex = NDArray[np.complex64]


def unit_vector(inclination_deg: float, declination_deg: float) -> NDArray[np.float64]:
    """(3,) east, north, down of a direction."""
    inclination, declination = np.radians([inclination_deg, declination_deg])
    horizontal = np.cos(inclination)
    return np.array([horizontal * np.sin(declination), horizontal * np.cos(declination), np.sin(inclination)])


@dataclass(frozen=True)
class Wavenumbers:
    """Of the real transform of (rows, columns); each (rows, columns // 2 + 1)."""

    shape: tuple[int, int]
    east: Real
    north: Real
    size: Real  # |k|
    cell: Real  # the transform of a cell of area 1, which a rasterised outline is divided by


@lru_cache(maxsize=16)
def wavenumbers(rows: int, columns: int) -> Wavenumbers:
    north = (2 * np.pi * fft.fftfreq(rows))[:, None]
    east = (2 * np.pi * fft.rfftfreq(columns))[None, :]
    size = np.hypot(east, north)
    cell = np.sinc(east / (2 * np.pi)) * np.sinc(north / (2 * np.pi))
    parts = (np.broadcast_to(each, size.shape).astype(np.float32) for each in (east, north, size, cell))
    return Wavenumbers((rows, columns), *parts)


def theta(k: Wavenumbers, direction: NDArray[np.float64]) -> Complex:
    """The factor of a direction (east, north, down), which is 0 where |k| is."""
    east, north, down = (np.float32(part) for part in direction)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = down + 1j * (east * k.east + north * k.north) / k.size
    factor[k.size == 0] = 0
    return factor.astype(np.complex64)


def depth_integral(k: Wavenumbers, top: float, thickness: float, lean: tuple[float, float] = (0.0, 0.0)) -> Complex:
    """|k| times the integral of exp(-|k| z) over a body from `top` to `top + thickness`.

    `lean`: how far east and north its outline moves for each cell of depth (tangent of 90 degrees less the dip).
    """
    slope = k.size + 1j * (k.east * np.float32(lean[0]) + k.north * np.float32(lean[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = k.size * np.exp(-k.size * np.float32(top)) * -np.expm1(-slope * np.float32(thickness)) / slope
    factor[k.size == 0] = 0
    return factor.astype(np.complex64)


def body_field(
    coverage: Real,
    top: float,
    thickness: float,
    field: NDArray[np.float64],
    magnetisation: NDArray[np.float64],
    lean: tuple[float, float] = (0.0, 0.0),
) -> Real:
    """Anomaly of a body of susceptibility 1 in a main field of 1 nT. coverage: (rows, columns), 0 to 1, of its top.

    The body repeats itself beyond the grid, and the mean is 0: leave room around it.
    """
    k = wavenumbers(*coverage.shape)
    outline = fft.rfft2(coverage.astype(np.float32)) / k.cell
    spectrum = np.float32(0.5) * outline * depth_integral(k, top, thickness, lean)
    spectrum = spectrum * (theta(k, field) * theta(k, magnetisation))
    return np.asarray(fft.irfft2(spectrum, s=coverage.shape), np.float32)
