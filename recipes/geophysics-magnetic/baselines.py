"""What one would otherwise run on a magnetic grid: Euler deconvolution and the tilt depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .channels import fill, pad, plane_of
from .forward import Real, theta, wavenumbers

EULER_WINDOW = 9  # cells
EULER_TOLERANCE = 0.1  # of a depth: solutions whose own error is larger are dropped


def derivatives(field: Real, direction: NDArray[np.float64] | None = None) -> tuple[Real, Real, Real, Real]:
    """(field, d/deast, d/dnorth, d/ddown) without its plane, gaps filled; with a direction, reduced to the pole."""
    valid = np.isfinite(field)
    flat = fill(np.where(valid, field - plane_of(field, valid), 0).astype(np.float32), valid)
    rows, columns = flat.shape
    k = wavenumbers(2 * rows, 2 * columns)
    spectrum = fft.rfft2(pad(flat))
    if direction is not None:
        turn = theta(k, direction) ** 2
        spectrum = spectrum * turn.conj() / (np.abs(turn) ** 2 + 0.01)
    filters = np.stack([np.ones_like(k.size), 1j * k.east, 1j * k.north, k.size]) * np.exp(-0.5 * k.size)
    wide = fft.irfft2(filters * spectrum, s=(2 * rows, 2 * columns))
    inner = wide[:, rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns]
    return tuple(each.astype(np.float32) for each in inner)  # type: ignore[return-value]


def euler(field: Real, index: float = 1.0) -> NDArray[np.float64]:
    """(N, 3) east, north, depth in cells, by Euler deconvolution (Reid et al. 1990) with one structural index."""
    parts = np.stack(derivatives(field)).astype(np.float64)
    value, x, y, z = parts / max(float(np.abs(parts[3]).max()), 1e-30)  # slopes of about 1 beside the index
    rows, columns = value.shape
    north, east = np.mgrid[:rows, :columns].astype(np.float64)
    design = [x, y, z, np.full_like(x, index)]
    target = east * x + north * y + index * value
    area = EULER_WINDOW**2

    def total(grid: NDArray[np.float64]) -> NDArray[np.float64]:
        half = EULER_WINDOW // 2
        return ndimage.uniform_filter(grid, EULER_WINDOW, mode="constant")[half:-half, half:-half] * area

    normal = np.stack([np.stack([total(a * b) for a in design], -1) for b in design], -1)
    right = np.stack([total(a * target) for a in design], -1)
    half = EULER_WINDOW // 2
    north, east = north[half:-half, half:-half], east[half:-half, half:-half]
    centre = np.stack([east, north, np.zeros_like(east), np.zeros_like(east)], axis=-1)
    damped = normal + 1e-6 * np.trace(normal, axis1=-2, axis2=-1)[..., None, None] * np.eye(4)
    inverse = np.linalg.inv(damped)
    # from the window's centre: along a dyke nothing else says where the source is
    offset = np.einsum("...ij,...j->...i", inverse, right - np.einsum("...ij,...j->...i", normal, centre))
    solution = centre + offset
    explained = 2 * np.einsum("...i,...i->...", solution, right)
    explained -= np.einsum("...i,...ij,...j->...", solution, normal, solution)
    misfit = np.maximum(total(target**2) - explained, 0) / (area - 4)
    error = np.sqrt(np.maximum(misfit * inverse[..., 2, 2], 0))
    near = np.abs(offset[..., :2]).max(-1) <= EULER_WINDOW / 2
    depth = solution[..., 2]
    good = near & (depth > 0) & (error < EULER_TOLERANCE * depth)
    return solution[good][:, :3]


def tilt_depth(field: Real, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) east, north, depth along the zero contour of the tilt angle (Salem et al. 2007)."""
    _, x, y, z = derivatives(field, direction)
    across = np.hypot(x, y)
    tilt = np.arctan2(z, across)
    slope = np.hypot(*np.gradient(tilt))
    crossing = np.zeros(tilt.shape, bool)
    crossing[:, :-1] |= np.signbit(tilt[:, :-1]) != np.signbit(tilt[:, 1:])
    crossing[:-1] |= np.signbit(tilt[:-1]) != np.signbit(tilt[1:])
    signal = np.hypot(z, across)
    crossing &= (signal > 0.1 * np.quantile(signal, 0.98)) & (slope > 1e-3)
    north, east = np.nonzero(crossing)
    return np.stack([east, north, 1 / slope[crossing]], axis=-1)
