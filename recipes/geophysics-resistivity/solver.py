"""The 2.5-D forward problem: potentials of point electrodes over a section, and how data depend on its cells.

Finite volumes with potentials at the nodes (Dey and Morrison 1979). For each wavenumber the matrix is factored as a
band, L L^T; what one electrode makes at another is then (L^-1 e_i) . (L^-1 e_j), so half a solution is enough, and the
one table of electrodes by electrodes serves every array. Apparent resistivities are ratios to the same grid's answer
over a half-space, in which most of the grid's own error cancels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from .grid import PAD, PAD_LAYERS, Floats, Grid, far_boundary, wavenumbers

Abmn = NDArray[np.int64]  # (N, 4) stations of A, B, M, N; -1: a pole at infinity
SHALLOW = 6  # layers, 2 spacings in all, where currents turn sharply
kernel: Callable[[Any], Any] = numba.njit(fastmath=True, cache=bool(os.environ.get("NUMBA_CACHE_DIR")))


@kernel
def _assemble(sigma: Any, dx: Any, dz: Any, k: Any, left: Any, right: Any, bottom: Any) -> Any:
    """The matrix's lower band, column by column: entry (i + t, i) at [i, t]; node = column * rows + row.

    sigma: (columns, rows) cells, S/m. left, right, bottom: conductances of the boundaries per conductivity and length.
    """
    nx, nz = sigma.shape
    rows = nz + 1
    a = np.zeros(((nx + 1) * rows, rows + 1))
    for i in range(nx):
        for j in range(nz):
            s = sigma[i, j]
            n = i * rows + j
            across = 0.5 * s * dz[j] / dx[i]
            down = 0.5 * s * dx[i] / dz[j]
            mass = 0.25 * s * k * k * dx[i] * dz[j]
            for c in range(2):
                a[n + c * rows, 0] += across + down + mass
                a[n + 1 + c * rows, 0] += across + down + mass
                a[n + c * rows, 1] -= down
                a[n + c, rows] -= across
            if i == 0:
                a[n, 0] += 0.5 * s * dz[j] * left[j]
                a[n + 1, 0] += 0.5 * s * dz[j] * left[j + 1]
            if i == nx - 1:
                a[n + rows, 0] += 0.5 * s * dz[j] * right[j]
                a[n + rows + 1, 0] += 0.5 * s * dz[j] * right[j + 1]
            if j == nz - 1:
                a[n + 1, 0] += 0.5 * s * dx[i] * bottom[i]
                a[n + 1 + rows, 0] += 0.5 * s * dx[i] * bottom[i + 1]
    return a


@kernel
def _forward(a: Any, nodes: Any, w: Any) -> None:
    """w (n, E): L^-1 of unit sources at `nodes`, which ascend. a: (n, band + 1) the factor's columns."""
    n, width = a.shape
    w[:] = 0.0
    begun = 0
    for i in range(nodes[0], n):
        row = w[i]
        if begun < nodes.shape[0] and nodes[begun] == i:
            row[begun] += 1.0
            begun += 1
        inverse = 1.0 / a[i, 0]
        for e in range(begun):
            row[e] *= inverse
        for t in range(1, min(width, n - i)):
            factor = a[i, t]
            other = w[i + t]
            for e in range(begun):
                other[e] -= factor * row[e]


@kernel
def _backward(a: Any, w: Any) -> None:
    """L^-T w, in place."""
    n, width = a.shape
    sources = w.shape[1]
    for i in range(n - 1, -1, -1):
        row = w[i]
        for t in range(1, min(width, n - i)):
            factor = a[i, t]
            other = w[i + t]
            for e in range(sources):
                row[e] -= factor * other[e]
        inverse = 1.0 / a[i, 0]
        for e in range(sources):
            row[e] *= inverse


@kernel
def _write_modes(field: Any, scale: Any, refine: Any, out: Any) -> None:
    """What fields are in each cell: level, sloping along, sloping down, twisted. A cell's matrix is diagonal there.

    field: (E, columns + 1, rows + 1) nodes; scale: (4, columns, rows) -> out (E, 4 * refine, cells of the model).
    """
    stations, columns, rows = field.shape[0], field.shape[1] - 1, field.shape[2] - 1
    for e in range(stations):
        for i in range(columns):
            left, right, half, first = field[e, i], field[e, i + 1], i % refine, i // refine * rows
            for j in range(rows):
                top, bottom = left[j] + right[j], left[j + 1] + right[j + 1]
                top_slope, bottom_slope = left[j] - right[j], left[j + 1] - right[j + 1]
                out[e, half, first + j] = scale[0, i, j] * (top + bottom)
                out[e, refine + half, first + j] = scale[1, i, j] * (top_slope + bottom_slope)
                out[e, 2 * refine + half, first + j] = scale[2, i, j] * (top - bottom)
                out[e, 3 * refine + half, first + j] = scale[3, i, j] * (top_slope - bottom_slope)


@kernel
def _add_sensitivity(modes: Any, abmn: Any, out: Any) -> None:
    """out[d, cell] += u_MN . (dA/dsigma of the cell) u_AB, for one wavenumber.

    modes: (E + 1, modes, cells) of each electrode, by `_modes`; the last, which -1 means, is no electrode's.
    """
    for d in range(len(abmn)):
        total = out[d]
        for t in range(modes.shape[1]):
            a, b = modes[abmn[d, 0], t], modes[abmn[d, 1], t]
            m, n = modes[abmn[d, 2], t], modes[abmn[d, 3], t]
            for cell in range(total.shape[0]):
                total[cell] += (a[cell] - b[cell]) * (m[cell] - n[cell])


class Solver:
    """Everything about one grid that does not depend on the ground."""

    def __init__(self, grid: Grid, refine: int = 1, split: int = 1) -> None:
        """refine: solver columns in a model column. 2 halves the error where the ground changes near the surface.

        split: solver rows in each of the first SHALLOW layers; with more than one there is no jacobian.
        """
        self.grid, self.refine = grid, refine
        heights = grid.solver_heights()
        self._rows = np.where(np.arange(len(heights)) < SHALLOW, split, 1)
        self.dx = np.repeat(grid.solver_widths() / refine, refine)
        self.dz = np.repeat(heights / self._rows, self._rows)
        self.k, self.weights = wavenumbers(round(grid.length, 6))
        rows = len(self.dz) + 1
        columns = grid.station_column() * refine
        self.nodes = columns * rows
        x = np.concatenate([[0.0], np.cumsum(self.dx)])
        x -= x[columns[0]] - grid.stations[0]
        x -= grid.centre()
        z = np.concatenate([[0.0], np.cumsum(self.dz)])
        self._sides: list[tuple[Floats, Floats, Floats]] = []
        for k in self.k:
            left, right, bottom = np.hypot(x[0], z), np.hypot(x[-1], z), np.hypot(x, z[-1])
            self._sides.append(
                (
                    far_boundary(k, left, -x[0] / left),
                    far_boundary(k, right, x[-1] / right),
                    far_boundary(k, bottom, z[-1] / bottom),
                )
            )
        self.half_space, _ = self._solve(np.ones((len(self.dx), len(self.dz))), False)

    def _spread(self, log_rho: Floats) -> Floats:
        """Model (LAYERS, columns), log10 ohm m -> conductivity of the solver's cells (columns, rows)."""
        padded = np.pad(log_rho, ((0, PAD_LAYERS), (PAD, PAD)), mode="edge")
        return np.repeat(np.repeat(10.0**-padded.T, self.refine, axis=0), self._rows, axis=1)

    def _solve(self, sigma: Floats, keep: bool) -> tuple[Floats, list[NDArray[np.float32]]]:
        stations = len(self.nodes)
        transfer = np.zeros((stations, stations))
        fields = []
        rows = sigma.shape[1] + 1
        w = np.empty(((sigma.shape[0] + 1) * rows, stations))
        for k, weight, (left, right, bottom) in zip(self.k, self.weights, self._sides, strict=True):
            a = _assemble(sigma, self.dx, self.dz, k, left, right, bottom)
            factor, fault = lapack.dpbtrf(a.T, lower=1, overwrite_ab=1)
            assert not fault, "a matrix of conductances is positive definite"
            _forward(factor.T, self.nodes, w)
            late = w[self.nodes[0] :]
            transfer += 0.5 * weight * (late.T @ late)
            if keep:
                _backward(factor.T, w)
                fields.append(np.ascontiguousarray(w.T.reshape(stations, -1, rows).astype(np.float32)))
        return transfer, fields

    def transfer(self, log_rho: Floats) -> Floats:
        """log_rho: (LAYERS, columns) log10 ohm m -> (S, S) potential at each station per ampere at each other."""
        return self._solve(self._spread(log_rho), False)[0]

    def apparent(self, transfer: Floats, abmn: Abmn) -> Floats:
        """Apparent resistivities (N,), ohm m, of the readings `abmn` from a table of `transfer`."""
        return resistances(transfer, abmn) / resistances(self.half_space, abmn)

    def forward(self, log_rho: Floats, abmn: Abmn) -> Floats:
        """log_rho: (LAYERS, columns) log10 ohm m; abmn: (N, 4) -> apparent resistivities (N,), ohm m."""
        return self.apparent(self.transfer(log_rho), abmn)

    def jacobian(self, log_rho: Floats, abmn: Abmn) -> tuple[Floats, NDArray[np.float32]]:
        """Apparent resistivities (N,) and d log10(their size) / d log10(cell), (N, LAYERS, columns).

        By reciprocity: the cell's part in the energy between the field of A, B and that of M, N (Park and Van 1991).
        """
        sigma = self._spread(log_rho)
        transfer, fields = self._solve(sigma, True)
        cells = np.zeros((len(abmn), sigma.size // self.refine), np.float32)
        for k, weight, field in zip(self.k, self.weights, fields, strict=True):
            _add_sensitivity(self._modes(field, k, weight), abmn, cells)
        reading = resistances(transfer, abmn)
        scale = sigma[:: self.refine].ravel().astype(np.float32)
        cells *= scale / reading.astype(np.float32)[:, None]
        return reading / resistances(self.half_space, abmn), _fold(cells.reshape(len(abmn), -1, sigma.shape[1]))

    def _modes(self, field: NDArray[np.float32], k: float, weight: float) -> NDArray[np.float32]:
        """Modes of fields (E, columns, rows) at the nodes, (E + 1, 4 * refine, cells of the model); the last is 0.

        Scaled so that the product of two fields' modes, summed, is a cell's part in their energy per conductivity.
        """
        across, down = self.dz[None, :] / self.dx[:, None], self.dx[:, None] / self.dz[None, :]
        mass = 0.5 * k * k * self.dx[:, None] * self.dz[None, :]
        shares = np.stack([mass, 2 * across + mass, 2 * down + mass, 2 * (across + down) + mass])
        made = np.zeros((len(field) + 1, 4 * self.refine, across.size // self.refine), np.float32)
        _write_modes(field, np.sqrt(weight * shares / 16).astype(np.float32), self.refine, made)
        return made


def _fold(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, padded columns, padded layers) -> (N, LAYERS, columns): what pads belongs to the outermost cells."""
    inner = cells[:, PAD:-PAD].copy()
    inner[:, 0] += cells[:, :PAD].sum(1)
    inner[:, -1] += cells[:, -PAD:].sum(1)
    kept = inner[:, :, :-PAD_LAYERS]
    kept[:, :, -1] += inner[:, :, -PAD_LAYERS:].sum(2)
    return np.ascontiguousarray(kept.transpose(0, 2, 1))


def resistances(table: Floats, abmn: Abmn) -> Floats:
    """(N,) ohm: potential difference M - N per ampere from A to B."""
    padded = np.zeros((len(table) + 1, len(table) + 1))
    padded[:-1, :-1] = table
    a, b, m, n = abmn.T
    return np.asarray(padded[a, m] - padded[b, m] - padded[a, n] + padded[b, n])


def geometric_factors(positions: Floats, abmn: Abmn) -> Floats:
    """(N,) metres: what turns a resistance over flat ground into an apparent resistivity. positions: (S,) metres."""
    a, b, m, n = abmn.T

    def inverse(i: NDArray[np.int64], j: NDArray[np.int64]) -> Floats:
        with np.errstate(divide="ignore"):
            return np.where((i < 0) | (j < 0), 0.0, 1.0 / np.abs(positions[i] - positions[j]))

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * np.pi / (inverse(a, m) - inverse(b, m) - inverse(a, n) + inverse(b, n)))


@lru_cache(maxsize=8)
def solver_of(grid: Grid, refine: int = 1, split: int = 1) -> Solver:
    return Solver(grid, refine, split)
