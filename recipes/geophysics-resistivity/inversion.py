"""From readings to ground: a linear look at it, and Gauss-Newton steps between a prior and the data.

Both are Gaussian regression in the space of the data (Tarantola 2005, eq. 3.37): with a prior of mean m and covariance
C, a Jacobian J and errors of covariance D,  m + C J' (J C J' + D)^-1 (d - f(m)).  All in log10 of ohm m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from .grid import LAYERS, Floats, Grid
from .solver import Abmn, Solver

Singles = NDArray[np.float32]

SMOOTH = ((0.25, 1.5, 2.5), (0.35, 5.0, 4.0), (0.4, 30.0, 6.0))  # share, spacings along the line, layers down
SMOOTH_SPREAD = 0.5  # decades, of ground that nothing is known of
LINEAR_ERROR = 0.04  # decades, by which a linear answer cannot fit data anyway
SOLVER_ERROR = 0.004  # decades: 1 %
CLOSE = ((1.0, 1.2, 2.0),)  # how the network's errors hang together, fitted on validation sections
BLOCK = 192  # rows and columns of a product that are made at once
LARGEST = 1.5  # decades a step may change a cell
NORMAL_80 = 1.2816  # standard deviations to either end of an interval that holds 80 % of a normal distribution


class Correlation:
    """A stationary correlation of cells: shares of exp(-distance / length) along the line, times that over layers."""

    def __init__(self, grid: Grid, scales: tuple[tuple[float, float, float], ...]) -> None:
        x, _ = grid.centres()
        layer = np.arange(LAYERS)
        across, down = np.abs(x[:, None] - x), np.abs(layer[:, None] - layer)
        self._parts = [
            ((share * np.exp(-down / layers)).astype(np.float32), np.exp(-across / length).astype(np.float32))
            for share, length, layers in scales
        ]

    def __call__(self, fields: Singles) -> Singles:
        """(N, LAYERS, columns) -> the same, each field times the correlation matrix."""
        total = np.zeros_like(fields)
        for down, across in self._parts:
            total += np.matmul(down, fields @ across)
        return total


@dataclass(frozen=True)
class Update:
    """What one regression says: the change of the model, and the spread that is left, decades."""

    change: Floats  # (LAYERS, columns)
    spread: Floats  # (LAYERS, columns)


class Linear:
    """The linear answer over a half-space, for one array on one grid: one matrix product a data set."""

    def __init__(self, solver: Solver, abmn: Abmn, error: Floats) -> None:
        """error: (N,) standard deviations of log10 apparent resistivity."""
        _, jacobian = solver.jacobian(np.zeros(solver.grid.shape), abmn)
        self.jacobian = jacobian
        smooth = Correlation(solver.grid, SMOOTH)
        spread_by = (SMOOTH_SPREAD**2 * smooth(jacobian) + 1.0).reshape(len(abmn), -1)  # + 1: the level is not known
        flat = jacobian.reshape(len(abmn), -1)
        kernel = (flat @ spread_by.T).astype(float)
        kernel[np.diag_indices_from(kernel)] += error**2 + LINEAR_ERROR**2
        inverse = np.linalg.inv(kernel)
        self._inverse = inverse
        self.operator = (spread_by.T @ inverse.astype(np.float32)).astype(np.float32)  # (cells, N)
        left = SMOOTH_SPREAD**2 + 1.0 - np.einsum("cn,nc->c", self.operator, spread_by)
        self.shape = solver.grid.shape
        self.variance = np.maximum(left, 1e-6).reshape(self.shape)  # that the readings leave, of smooth ground
        self.spread = np.sqrt(self.variance / (SMOOTH_SPREAD**2 + 1.0))
        weight = np.abs(flat)
        self._average = weight / weight.sum(0).clip(1e-9)
        self.coverage = np.log10(weight.sum(0).reshape(self.shape) / solver.grid.cell_areas() + 1e-6)

    def __call__(self, data: Floats) -> Floats:
        """(..., N) log10 ohm m about some level -> (..., LAYERS, columns) about the same."""
        return np.asarray(data.astype(np.float32) @ self.operator.T).reshape(*data.shape[:-1], *self.shape)

    def average(self, data: Floats) -> Floats:
        """(..., N) -> (..., LAYERS, columns): the mean of the readings that feel a cell, by how much they do."""
        return np.asarray(data.astype(np.float32) @ self._average).reshape(*data.shape[:-1], *self.shape)

    def left_out(self, data: Floats) -> Floats:
        """(N,) how far each reading lies from what all others foretell, in standard deviations."""
        return np.asarray((self._inverse @ data) / np.sqrt(np.diag(self._inverse)))

    def foretold_error(self, data: Floats) -> Floats:
        """(N,) the same in decades: a reading less what all others foretell."""
        return np.asarray((self._inverse @ data) / np.diag(self._inverse))


@dataclass(frozen=True)
class Inverted:
    """A model that fits. log_rho, spread: (LAYERS, columns) decades; predicted: (N,) log10 ohm m; chi2 per reading."""

    log_rho: Floats
    spread: Floats
    predicted: Floats
    chi2: float
    iterations: int


def misfit(observed: Floats, predicted: Floats, error: Floats) -> float:
    """chi2: mean square of (observed - predicted) / error, log10 all."""
    return float(np.mean(((observed - predicted) / error) ** 2))


def gauss_newton(
    solver: Solver,
    abmn: Abmn,
    observed: Floats,
    error: Floats,
    mean: Floats,
    spread: Floats,
    correlation: Correlation,
    iterations: int = 3,
    start: Floats | None = None,
    goal: float = 0.0,
    finer: Solver | None = None,
) -> Inverted:
    """The most probable model under a prior of `mean` and `spread` (LAYERS, columns) and its neighbourhood.

    observed, error: (N,) log10 ohm m. Steps that do not lower the objective are halved. Ends early at chi2 <= goal.
    finer: what the last step is to fit; before it, the solver's error is told and taken off (defect correction, Stetter
    1978).
    """
    model = np.array(mean if start is None else start)
    wide = spread.astype(np.float32)
    done = 0
    trial, jacobian = solver.jacobian(model, abmn)
    predicted = _logarithm(trial)
    deviation = np.zeros(len(abmn))  # K^-1 (...): the prior's part of the objective is deviation' K0 deviation
    defect = np.zeros(len(abmn))
    for done in range(1, iterations + 1):
        if finer is not None and done == iterations:
            defect = _logarithm(finer.forward(model, abmn)) - predicted
            observed = observed - defect
        flat = jacobian.reshape(len(abmn), -1)
        spread_by = (wide * correlation(wide * jacobian)).reshape(len(abmn), -1)
        kernel = _lower_product(flat, spread_by)
        kernel[np.diag_indices_from(kernel)] += error**2
        factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
        residual = observed - predicted + flat @ (model - mean).ravel()
        deviation = cho_solve(factor, residual, check_finite=False)
        target = mean + (spread_by.T @ deviation).reshape(mean.shape)
        step = np.clip(target - model, -LARGEST, LARGEST)
        before = misfit(observed, predicted, error)
        for share in (1.0, 0.5, 0.25):
            trial_model = model + share * step
            last = done == iterations
            if last:
                trial = solver.forward(trial_model, abmn)
            else:
                trial, trial_jacobian = solver.jacobian(trial_model, abmn)
            trial_predicted = _logarithm(trial)
            after = misfit(observed, trial_predicted, error)
            if after <= max(before, 1.0):
                break
        model, predicted = trial_model, trial_predicted
        if not last:
            jacobian = trial_jacobian
        if after <= goal:
            break
    half = solve_triangular(factor[0].astype(np.float32), spread_by, lower=True, check_finite=False)
    left = np.maximum(wide.ravel() ** 2 - np.einsum("nc,nc->c", half, half), 1e-6)
    chi2 = misfit(observed, predicted, error)
    return Inverted(model, np.sqrt(left).reshape(mean.shape), predicted + defect, chi2, done)


def _logarithm(apparent: Floats) -> Floats:
    """log10 of apparent resistivities, which a solver may get slightly negative."""
    return np.asarray(np.log10(np.maximum(np.abs(apparent), 1e-6)))


def _lower_product(one: Singles, other: Singles) -> Floats:
    """(N, C), (N, C) -> one @ other.T (N, N), which is symmetric: nothing is put above the diagonal's blocks."""
    made = np.zeros((len(one), len(one)))
    for first in range(0, len(one), BLOCK):
        these = slice(first, first + BLOCK)
        made[first:, these] = one[first:] @ other[these].T
    return made
