"""Calibration on validation sections, and figures on sections of yet other parameters beside the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from .arrays import layout
from .data import LN10, Survey, describe, draw_data, draw_survey
from .earth import SHIFTED, TRAINED, VARIED, Domain
from .grid import Floats, Grid
from .interpret import FINER, Interpreter, Result, without_network
from .inversion import NORMAL_80
from .solver import solver_of

if TYPE_CHECKING:
    from hive_runner.run import Run

VALIDATION_SEED, HELD_OUT_SEED = 0x7A11, 0x1DA2  # apart from every training seed by the size of their second word
INTERVAL = 0.8
NOISE = 0.03
HELD_OUT_ARRAYS = ("schlumberger", "dipole-dipole", "wenner", "gradient")
STATIONS = 48


def calibrate(run: Run, tensors: Mapping[str, Tensor], sections: int) -> dict[str, Any]:
    """Factors that make 80 % intervals hold 80 % of the cells, and the ranges of the inputs of training's own surveys.

    The factors come from ground unlike that of training: a user's is too, and there a network is off by more than it
    says.
    """
    run.phase("calibrate", total=2 * sections)
    interpreter = Interpreter(tensors, {})
    looks, fits, traits = [], [], []
    for index in range(sections):
        survey, data, _, result = _interpreted(interpreter, run.seed, index, TRAINED)
        traits.append(interpreter.traits(survey, data, result))
        run.progress(index + 1)
    for index in range(sections, 2 * sections):
        survey, _, truth, result = _interpreted(interpreter, run.seed, index, VARIED)
        looks.append(_quantile(result.look.log_rho, result.look.spread, truth, survey.inside))
        fits.append(_quantile(result.fit.log_rho, result.fit.spread, truth, survey.inside))
        run.progress(index + 1)
    quantiles = np.array(traits)
    return {
        "look_scale": 1.0,
        "fit_scale": float(np.mean(fits)) / NORMAL_80,
        "look_quantile": float(np.mean(looks)) / NORMAL_80,
        "traits_low": np.quantile(quantiles, 0.005, axis=0).tolist(),
        "traits_high": np.quantile(quantiles, 0.995, axis=0).tolist(),
    }


def _interpreted(
    interpreter: Interpreter, seed: int, index: int, domain: Domain
) -> tuple[Survey, Floats, Floats, Result]:
    """A validation section: its survey, the data, the truth, and what is made of them."""
    rng = _rng(VALIDATION_SEED + (seed << 32), index)
    survey = draw_survey(rng)
    data, truth = _readings(rng, survey, domain)
    return survey, data, truth, interpreter.interpret(survey, data)


def _readings(rng: np.random.Generator, survey: Survey, domain: Domain) -> tuple[Floats, Floats]:
    """Data of a finer solver than is fitted, and the truth."""
    return draw_data(rng, replace(survey, solver=solver_of(survey.solver.grid, *FINER)), domain)


def _rng(seed: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))


def _quantile(mean: Floats, spread: Floats, truth: Floats, inside: Any) -> float:
    return float(np.quantile((np.abs(truth - mean) / spread)[inside], INTERVAL))


def held_out(seed: int, count: int) -> Iterator[tuple[str, Survey, Floats, Floats]]:
    """(array, survey, data, truth): 48 electrodes, 3 % noise, the data from a finer solver than is fitted."""
    coarse = solver_of(Grid.even(STATIONS))
    surveys = {}
    for kind in HELD_OUT_ARRAYS:
        abmn = layout(kind, STATIONS)
        surveys[kind] = Survey.plan(coarse, abmn, np.full(len(abmn), NOISE / LN10))
    for index in range(count):
        kind = HELD_OUT_ARRAYS[index % len(HELD_OUT_ARRAYS)]
        survey = surveys[kind]
        data, truth = _readings(_rng(HELD_OUT_SEED + (seed << 32), index), survey, SHIFTED)
        yield kind, survey, data, truth


def evaluate(run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any], sections: int) -> None:
    """Figures on sections of other generator parameters, beside the same inversion without the network."""
    run.phase("evaluate", total=sections)
    interpreter = Interpreter(tensors, config)
    rows = []
    for index, (_, survey, data, truth) in enumerate(held_out(run.seed, sections)):
        result = interpreter.interpret(survey, data)
        plain = without_network(survey, data)
        inside = survey.inside
        off = np.abs(result.fit.log_rho - truth)[inside]
        rows.append(
            (
                rmse(result.fit.log_rho, truth, inside),
                rmse(result.look.log_rho, truth, inside),
                rmse(describe(survey, data[None])[1][0], truth, inside),
                rmse(plain.log_rho, truth, inside),
                result.fit.chi2,
                plain.chi2,
                float(np.mean(off < NORMAL_80 * result.fit.spread[inside])),
            )
        )
        run.progress(index + 1)
    table = np.array(rows)
    fit, look, linear, plain_error, chi2, plain_chi2, covered = table.mean(0)
    place = f"{sections} simulated lines of {STATIONS} electrodes, other generator parameters, {NOISE:.0%} noise"
    spread = table.std(0)
    baselines = {"Gauss-Newton": plain_error, "linear": linear, "network alone": look}
    run.report("log10_rmse", fit, "lower", "decades", place, spread[0], baselines)
    run.report("log10_rmse_over_gauss_newton", fit / plain_error, "lower", dataset=place)
    run.report("chi2", chi2, "lower", dataset=place, spread=spread[4], baselines={"Gauss-Newton": plain_chi2})
    run.report("coverage_of_80_percent_intervals", covered, dataset=place, spread=spread[6])
    run.report("miscoverage", abs(covered - INTERVAL), "lower", dataset=place)


def rmse(model: Floats, truth: Floats, inside: Any) -> float:
    """Root mean square difference of log10 resistivities, over the cells that the array is sensitive to."""
    return float(np.sqrt(np.mean((model - truth)[inside] ** 2)))
