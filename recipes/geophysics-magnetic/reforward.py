"""The field of the predicted bodies, and the susceptibilities that fit the measured one best.

Each cell that holds a body is a column from its predicted top to its predicted bottom, magnetised along the main field.
The field is linear in the columns' moments (susceptibility x thickness), which a few steps of conjugate gradients from
the predicted ones adjust; depths and outlines stay as predicted. Stopping early is the regularisation. Where that
leaves much of the field, the direction of each column's moment is fitted too: the bodies may be remanent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .forward import Real, theta, wavenumbers

MARGIN = 8  # cells beyond the grid, into which what reaches its rim goes on
ROOM = 20  # cells of nothing beyond that, before the transform repeats itself
LEVEL_RATIO = 1.5  # from one depth to the next in the table of upward continuations
SHALLOWEST, DEEPEST = 0.5, 120.0  # cells
FEWEST_STEPS, MOST_STEPS = 8, 30
WORTH_A_STEP = 0.985  # of what is left: steps that leave more are the last
GOOD_ENOUGH = 0.01  # of the spread: steps end there
POOR = 0.1  # of the spread: if more is left, directions are fitted too
WORTH_IT = 0.6  # of what was left: it has to become less than that


@dataclass(frozen=True)
class Fit:
    """Arrays are (rows, columns), residuals NaN in gaps; shares are of the spread of the field, less a plane."""

    moment: Real  # fitted susceptibility x thickness: SI x nT x cells; negative: magnetised against the main field
    vector: Real | None  # (3, rows, columns) east, north, down of it, where directions were fitted
    residual: Real  # measured less computed, nT
    raw_share: float  # spread of the residual with the network's own moments
    share: float  # after the fit


class Columns:
    """The linear map from moments of columns to the field.

    A moment has as many components as there are `axes`, unit vectors (east, north, down).
    """

    def __init__(
        self, top: Real, thickness: Real, mask: NDArray[np.bool_], main: NDArray[np.float64],
        axes: Sequence[NDArray[np.float64]],
    ) -> None:  # fmt: skip
        self._grid = mask.shape
        self.mask = np.pad(mask, MARGIN, mode="edge")
        top, thickness = np.pad(top, MARGIN, mode="edge"), np.pad(thickness, MARGIN, mode="edge")
        self._cells = np.nonzero(self.mask)
        upper = np.clip(top[self._cells], SHALLOWEST, DEEPEST / 2)
        lower = np.clip(upper + thickness[self._cells], upper * 1.02 + 0.05, DEEPEST)
        first, last = (float(np.log(each)) for each in (upper.min(), lower.max()))
        count = max(int(np.ceil((last - first) / np.log(LEVEL_RATIO))) + 1, 2)
        levels = np.exp(np.linspace(first, last, count))
        per_cell = 1 / (lower - upper)
        self._parts = [(*_between(levels, depth), sign * per_cell) for depth, sign in ((upper, 1), (lower, -1))]
        self._shape = tuple(fft.next_fast_len(n + 2 * ROOM, real=True) for n in self.mask.shape)
        k = wavenumbers(*self._shape)
        self._continue = np.exp(-k.size[None] * levels[:, None, None].astype(np.float32))
        turn = np.float32(0.5) * theta(k, main) / k.cell
        self._turns = np.stack([turn * theta(k, axis) for axis in axes])

    def field(self, moment: Real) -> Real:
        """moment: (axes, cells) -> (rows, columns) of the grid."""
        sheets = np.zeros((len(moment), len(self._continue), *self._shape), np.float32)
        for level, share, weight in self._parts:  # a cell stands in each sheet once: no sums get lost
            value = moment * weight
            sheets[(slice(None), level, *self._cells)] += value * (1 - share)
            sheets[(slice(None), level + 1, *self._cells)] += value * share
        spectrum = ((fft.rfft2(sheets) * self._continue).sum(1) * self._turns).sum(0)
        wide = fft.irfft2(spectrum, s=self._shape)
        return wide[MARGIN : MARGIN + self._grid[0], MARGIN : MARGIN + self._grid[1]]

    def adjoint(self, field: Real) -> Real:
        """The transpose of `field`: (rows, columns) -> (axes, cells)."""
        wide = np.zeros(self._shape, np.float32)
        wide[MARGIN : MARGIN + self._grid[0], MARGIN : MARGIN + self._grid[1]] = field
        spectrum = fft.rfft2(wide) * self._turns.conj()
        sheets = fft.irfft2(self._continue * spectrum[:, None], s=self._shape)
        total = np.zeros((len(sheets), len(self._cells[0])), np.float32)
        for level, share, weight in self._parts:
            at, below = (sheets[(slice(None), each, *self._cells)] for each in (level, level + 1))
            total += weight * ((1 - share) * at + share * below)
        return total

    def spread(self, grid: Real) -> Real:
        """Values of the grid at the columns, and beyond its rim as there."""
        return np.pad(grid, MARGIN, mode="edge")[self._cells]

    def gather(self, moment: Real) -> Real:
        """(axes, cells) -> (axes, rows, columns), 0 where there is no column."""
        wide = np.zeros((len(moment), *self.mask.shape), np.float32)
        wide[(slice(None), *self._cells)] = moment
        return wide[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def _between(levels: NDArray[np.float64], depth: Real) -> tuple[NDArray[np.int64], Real]:
    """The level above each depth, and how far it is towards the next one, 0 to 1."""
    level = np.clip(np.searchsorted(levels, depth, side="right") - 1, 0, len(levels) - 2)
    share = (depth - levels[level]) / (levels[level + 1] - levels[level])
    return level, share.astype(np.float32)


class _Plane:
    """Takes the best plane off, and gaps to 0: an orthogonal projection."""

    def __init__(self, valid: NDArray[np.bool_]) -> None:
        rows, columns = valid.shape
        north, east = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        basis = np.stack([np.ones(valid.shape), north, east], axis=-1)[valid]
        self._valid, self._basis = valid, np.linalg.qr(basis)[0].astype(np.float32)

    def __call__(self, grid: Real) -> Real:
        values = grid[self._valid]
        flat = np.zeros_like(grid)
        flat[self._valid] = values - self._basis @ (self._basis.T @ values)
        return flat


def fit(
    field: Real, moment: Real, top: Real, thickness: Real, mask: NDArray[np.bool_], main: NDArray[np.float64]
) -> Fit:
    """field: measured nT, NaN in gaps; the others as `estimate.Maps` has them; mask: where bodies are."""
    valid = np.isfinite(field)
    flatten = _Plane(valid)
    measured = flatten(np.where(valid, field, 0).astype(np.float32))
    size = max(float(np.linalg.norm(measured)), 1e-30)
    if not mask.any():
        return Fit(np.zeros_like(measured), None, np.where(valid, measured, np.nan), 1.0, 1.0)
    columns = Columns(top, thickness, mask, main, [main])
    start = columns.spread(moment).astype(np.float32)[None]
    raw = float(np.linalg.norm(measured - flatten(columns.field(start)))) / size
    fitted, residual = _descend(columns, start, measured, flatten, size)
    share, vector = float(np.linalg.norm(residual)) / size, None
    along = columns.gather(fitted)[0]
    if share > POOR:
        turned = Columns(top, thickness, mask, main, list(np.eye(3)))
        free, freely = _descend(turned, main.astype(np.float32)[:, None] * fitted, measured, flatten, size)
        if np.linalg.norm(freely) < WORTH_IT * share * size:
            vector, residual, share = turned.gather(free), freely, float(np.linalg.norm(freely)) / size
            towards = np.tensordot(main.astype(np.float32), vector, 1)
            along = np.copysign(np.linalg.norm(vector, axis=0), towards).astype(np.float32)
    return Fit(along, vector, np.where(valid, residual, np.nan).astype(np.float32), raw, share)


def _descend(columns: Columns, start: Real, measured: Real, flatten: _Plane, size: float) -> tuple[Real, Real]:
    """Moments and residual after a few conjugate gradients on the normal equations (CGLS)."""
    fitted = start.copy()
    residual = measured - flatten(columns.field(fitted))
    gradient = columns.adjoint(residual)
    step, power = gradient.copy(), float(np.vdot(gradient, gradient))
    size_left = float(np.linalg.norm(residual))
    for number in range(MOST_STEPS):
        moved = flatten(columns.field(step))
        length = power / max(float(np.vdot(moved, moved)), 1e-30)
        fitted += length * step
        residual = residual - length * moved
        left, size_left = size_left, float(np.linalg.norm(residual))
        if size_left < GOOD_ENOUGH * size or (number >= FEWEST_STEPS and size_left > WORTH_A_STEP * left):
            break
        gradient = columns.adjoint(residual)
        power, before = float(np.vdot(gradient, gradient)), power
        step = gradient + (power / max(before, 1e-30)) * step
    return fitted, residual
