"""What the network sees of a window: the field, its derivatives, its reduction to the pole, where there are values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .forward import Real, theta, wavenumbers

CHANNELS = 12
POLE_DAMPING = 0.01  # of the reduction to the pole, against |theta|^4
FEWEST_VALUES = 64  # cells of a window that have one


@dataclass(frozen=True)
class Seen:
    """A window as the network sees it."""

    channels: Real  # (CHANNELS, rows, columns)
    filled: Real  # (rows, columns) the field without its plane, gaps filled, in units of `scale`
    plane: Real  # (rows, columns) what was taken off
    scale: float  # spread of the field without its plane, in the field's unit
    valid: NDArray[np.bool_]


def plane_of(field: NDArray[np.floating], valid: NDArray[np.bool_]) -> Real:
    """The plane that fits the valid cells best, everywhere."""
    rows, columns = field.shape
    north, east = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    basis = np.stack([np.ones_like(north), north, east], axis=-1)
    weights, *_ = np.linalg.lstsq(basis[valid], field[valid].astype(np.float64), rcond=None)
    return np.asarray(basis @ weights, np.float32)


@lru_cache(maxsize=4)
def _kernel(rows: int, columns: int) -> NDArray[np.complex64]:
    north = fft.fftfreq(2 * rows, 1 / (2 * rows))[:, None]
    east = fft.fftfreq(2 * columns, 1 / (2 * columns))[None, :]
    return np.asarray(fft.rfft2(((north**2 + east**2 + 0.5) ** -2).astype(np.float32)), np.complex64)


def fill(field: Real, valid: NDArray[np.bool_]) -> Real:
    """Gaps filled with the mean of all values, each weighted by its distance to the power of -4."""
    if valid.all():
        return field
    rows, columns = field.shape
    known = np.stack([np.where(valid, field, 0), valid]).astype(np.float32)
    shape = (2 * rows, 2 * columns)
    spread = fft.irfft2(fft.rfft2(known, s=shape) * _kernel(rows, columns), s=shape)[:, :rows, :columns]
    return np.where(valid, field, spread[0] / np.maximum(spread[1], 1e-12)).astype(np.float32)


def pad(grid: Real) -> Real:
    """Twice as large each way: mirrored, and faded to 0 at the rim."""
    rows, columns = grid.shape
    wide = np.pad(grid, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)), mode="reflect")
    return wide * _fade(rows)[:, None] * _fade(columns)[None, :]


@lru_cache(maxsize=4)
def _fade(count: int) -> Real:
    before, after = count // 2, count - count // 2
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(before) + 0.5) / before)
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(after) + 0.5) / after)
    return np.concatenate([rise, np.ones(count), fall]).astype(np.float32)


@lru_cache(maxsize=4)
def _filters(rows: int, columns: int) -> NDArray[np.complex64]:
    """(9, ...) of the padded transform: derivatives after a slight upward continuation."""
    k = wavenumbers(2 * rows, 2 * columns)
    up = {height: np.exp(-k.size * np.float32(height)) for height in (0.5, 1.0, 1.5, 2.0, 4.0)}
    vertical, east, north = k.size * up[1.0], 1j * k.east * up[1.0], 1j * k.north * up[1.0]
    of_field = [k.size * up[0.5], k.size * up[2.0], k.size**2 * up[1.5], vertical, east, north]
    of_pole = [np.ones_like(k.size), k.size * up[4.0], vertical, east, north]
    return np.stack([*of_field, *of_pole]).astype(np.complex64)


def look(field: NDArray[np.floating], direction: NDArray[np.float64]) -> Seen:
    """A window of the field (NaN: gap; at least FEWEST_VALUES others) below a canonical direction."""
    valid = np.isfinite(field)
    plane = plane_of(field, valid)
    flat = np.where(valid, field - plane, 0).astype(np.float32)
    scale = max(float(flat[valid].std()), 1e-30)
    filled = fill(flat / np.float32(scale), valid)
    rows, columns = field.shape
    spectrum = fft.rfft2(pad(filled))
    turn = theta(wavenumbers(2 * rows, 2 * columns), direction) ** 2
    pole = spectrum * turn.conj() / (np.abs(turn) ** 2 + np.float32(POLE_DAMPING))
    filters = _filters(rows, columns)
    wide = fft.irfft2(np.concatenate([filters[:6] * spectrum, filters[6:] * pole]), s=(2 * rows, 2 * columns))
    down, deep, curve, z, x, y, pole, pole_deep, pole_z, pole_x, pole_y = wide[
        :, rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns
    ]
    across, pole_across = np.hypot(x, y), np.hypot(pole_x, pole_y)
    channels = [
        np.arcsinh(filled),
        np.arcsinh(8 * filled),
        np.arcsinh(6 * down),
        np.arcsinh(30 * deep),
        np.arcsinh(30 * curve),
        np.arctan2(z, across),
        np.log(np.hypot(z, across) + 1e-3) / 2 + 1,
        np.arcsinh(pole),
        np.arcsinh(60 * pole_deep),
        np.arcsinh(6 * pole_z),
        np.arctan2(pole_z, pole_across),
        valid,
    ]
    return Seen(np.stack(channels).astype(np.float32), filled, plane, scale, valid)
