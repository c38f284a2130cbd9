"""A trained network at work on one survey: its look at the ground, then the fit that the data ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .data import CHANNELS, LN10, Survey, describe, log_forward
from .grid import Floats
from .inversion import CLOSE, SMOOTH, SMOOTH_SPREAD, SOLVER_ERROR, Correlation, Inverted, gauss_newton, misfit
from .model import SectionNet
from .solver import solver_of

ITERATIONS = 3
FIT_REFINE = 2  # solver columns in a cell, twice as many as the network is taught with: near rough ground they matter
FINE = (4, 4)  # solver columns in a cell, and rows in one of the first: of the solver that the fit is corrected by
FINER = (6, 6)  # and of the one that simulated readings come from, for nothing to be judged by its own errors
OUTLIER = 3.5  # robust standard deviations from what all other readings foretell
TAIL = 2.5  # typical misfits beyond which a reading pulls no harder


@dataclass(frozen=True)
class Look:
    """The network's answer: log10 ohm m and its spread, (LAYERS, columns), and what it was shown."""

    log_rho: Floats
    spread: Floats
    inputs: NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    look: Look
    fit: Inverted
    error: Floats  # (N,) of log10, as they were used in the end
    outliers: NDArray[np.bool_]  # (N,)


TRAITS = (
    ("the typical reading, log10 ohm m", 0.3),
    ("the spread of the readings, decades", 0.1),
    ("how far readings lie from what their neighbours foretell, standard deviations", 0.5),
    ("the misfit of the network's own answer, chi2", 10.0),
    ("the misfit in the end, chi2", 0.5),
)  # what is compared with the training surveys, and how far beyond all of them is no matter


class Interpreter:
    """A trained network and its calibration, ready for surveys."""

    def __init__(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        self.net = SectionNet(CHANNELS)
        self.net.load_state_dict(dict(tensors))
        self.net.eval()
        self.look_scale = float(config.get("look_scale", 1.0))
        self.fit_scale = float(config.get("fit_scale", 1.0))
        self._low = np.array(config.get("traits_low", [-np.inf] * len(TRAITS)))
        self._high = np.array(config.get("traits_high", [np.inf] * len(TRAITS)))

    def look(self, survey: Survey, data: Floats) -> Look:
        """data: (N,) log10 ohm m."""
        level, _, inputs = describe(survey, data[None])
        shown = inputs.astype(np.float16).astype(np.float32)
        with torch.no_grad():
            both = torch.from_numpy(np.concatenate([shown, np.flip(shown, -1)]))
            mean, spread = (part.double().numpy() for part in self.net(both))
        mean = (mean[0] + mean[1, :, ::-1]) / 2  # a mirrored line is the same line
        spread = (spread[0] + spread[1, :, ::-1]) / 2
        return Look(mean + level[0], spread * self.look_scale, shown[0])

    def traits(self, survey: Survey, data: Floats, result: Result) -> Floats:
        """(5,) numbers that tell an odd survey, in the order of TRAITS."""
        error = np.hypot(survey.error, SOLVER_ERROR)
        away = survey.linear.left_out(data - np.median(data))
        shown = misfit(data, log_forward(survey, result.look.log_rho), error)
        return np.array([np.median(data), np.std(data), np.median(np.abs(away)) / 0.6745, shown,
                         misfit(data, result.fit.predicted, error)])  # fmt: skip

    def unusual(self, survey: Survey, data: Floats, result: Result) -> list[str]:
        """A warning for each trait of a survey that lies beyond those of the surveys that the network learned from."""
        warnings = []
        for value, low, high, (what, slack) in zip(
            self.traits(survey, data, result), self._low, self._high, TRAITS, strict=True
        ):
            if not low - slack <= value <= high + slack:
                known = f"is {value:.3g} and was {low:.3g} to {high:.3g}"
                warnings.append(f"unlike what the model learned from: {what}, {known}")
        return warnings

    @staticmethod
    def _fit(
        survey: Survey, data: Floats, error: Floats, look: Look, close: Correlation, start: Floats | None
    ) -> Inverted:
        grid = survey.solver.grid
        return gauss_newton(
            solver_of(grid, FIT_REFINE), survey.abmn, data, error, look.log_rho, look.spread, close, ITERATIONS, start,
            finer=solver_of(grid, *FINE),
        )  # fmt: skip

    def interpret(self, survey: Survey, data: Floats, estimate_error: bool = False) -> Result:
        """data: (N,) log10 ohm m -> the model that fits them best among those that the network holds for likely.

        estimate_error: the survey's errors are a guess; where the fit shows them to be too small, they are raised.
        """
        outliers, cleaned = set_apart(survey, data)
        look = self.look(survey, cleaned)
        given = np.hypot(survey.error, SOLVER_ERROR)
        error = np.where(outliers, np.hypot(given, np.abs(data - cleaned)), given)
        close = Correlation(survey.solver.grid, CLOSE)
        fit = self._fit(survey, data, error, look, close, None)
        size = np.abs(data - fit.predicted) / given
        typical = max(float(np.median(size)) / 0.6745, 1.0)
        grow = typical if estimate_error else 1.0
        tails = np.sqrt(np.maximum(size / typical / TAIL, 1.0))
        if outliers.any() or grow > 1.25 or tails.max() > 1.5:  # what fits is trusted again, what does not, less
            outliers &= tails > 1.0
            error = given * grow * tails
            fit = self._fit(survey, data, error, look, close, fit.log_rho)
        spread = fit.spread * self.fit_scale
        calibrated = Inverted(
            fit.log_rho, spread, fit.predicted, misfit(data, fit.predicted, error), fit.iterations
        )  # fmt: skip
        return Result(look, calibrated, error, outliers)


def without_network(survey: Survey, data: Floats, iterations: int = 5) -> Inverted:
    """What Gauss-Newton makes of the data with a smooth prior of one level alone: the baseline."""
    level, start, _ = describe(survey, data[None])
    grid = survey.solver.grid
    return gauss_newton(
        solver_of(grid, FIT_REFINE), survey.abmn, data, np.hypot(survey.error, SOLVER_ERROR),
        np.full(grid.shape, level[0]), np.full(grid.shape, SMOOTH_SPREAD), Correlation(grid, SMOOTH), iterations,
        start[0], finer=solver_of(grid, *FINE),
    )  # fmt: skip


def set_apart(survey: Survey, data: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """(N,) whether a reading contradicts all others, and the data with what those foretell in its place."""
    deviation = data - np.median(data)
    away = survey.linear.left_out(deviation)
    scale = max(float(np.median(np.abs(away - np.median(away)))) / 0.6745, 1.0)
    outliers = np.abs(away) > OUTLIER * scale
    return outliers, np.where(outliers, data - survey.linear.foretold_error(deviation), data)


def percent(error: Floats) -> Floats:
    """Standard deviations of log10 as per cent of the reading."""
    return np.asarray(100 * LN10 * error)
