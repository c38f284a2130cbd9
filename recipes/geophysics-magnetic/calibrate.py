"""What is chosen on validation surveys: the threshold of a body, the width of the depth interval, what is unusual.

Half of them are drawn as in training, half are simple: induced, and little disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .channels import look
from .estimate import Estimator
from .survey import SIMPLE, TRAINING, simulate
from .unusual import describe, usual

if TYPE_CHECKING:
    from hive_runner.run import Run

VALIDATION_SEED = 0x7A11D  # second word of the seeds of validation surveys
THRESHOLDS = np.linspace(0.2, 0.8, 25)


def calibrate(run: Run, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """config.json of the trained network."""
    count = run.params.validation_surveys
    run.phase("calibrate", total=count)
    estimator = Estimator(tensors, {}, run.threads)
    both, either = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    logs: list[NDArray[np.float64]] = []
    descriptions: list[NDArray[np.float64]] = []
    for index in range(count):
        survey = simulate(run.rng(VALIDATION_SEED, index), (TRAINING, SIMPLE)[index % 2])
        if np.isfinite(survey.field).sum() < 256:
            continue
        if survey.bodies:
            descriptions.append(describe(look(survey.field, survey.direction)))
        maps = estimator.maps(survey.field, survey.direction)
        known = np.isfinite(survey.field) & ~np.isin(survey.label, 1 + np.flatnonzero(~np.array(survey.visible, bool)))
        body = survey.label > 0
        for i, threshold in enumerate(THRESHOLDS):
            mask = maps.probability >= threshold
            both[i] += (mask & body & known).sum()
            either[i] += ((mask | body) & known).sum()
        for number, (each, visible) in enumerate(zip(survey.bodies, survey.visible, strict=True), start=1):
            cells = (survey.label == number) & (maps.probability >= 0.4)
            if visible and cells.sum() >= 0.25 * (survey.label == number).sum() > 0:
                quantiles = [np.median(np.log(grid[cells])) for grid in (maps.top_low, maps.top, maps.top_high)]
                logs.append(np.array([np.log(each.top), *quantiles]))
        run.progress(index + 1)
    below, above = interval_factors(np.array(logs).reshape(-1, 4))
    return {
        "threshold": round(float(THRESHOLDS[np.argmax(both / np.maximum(either, 1))]), 3),
        "below": below,
        "above": above,
        "usual": usual(descriptions),
        "steps": run.params.steps,
    }


def interval_factors(logs: NDArray[np.float64]) -> tuple[float, float]:
    """By how much to stretch the interval below and above the median, for 10 % of the truths to lie beyond each end.

    logs: (N, 4) true log depth and its predicted 10, 50 and 90 % quantiles.
    """
    if len(logs) < 10:
        return 1.0, 1.0
    truth, low, middle, high = logs.T
    below = np.quantile((middle - truth) / np.maximum(middle - low, 1e-6), 0.9)
    above = np.quantile((truth - middle) / np.maximum(high - middle, 1e-6), 0.9)
    return round(max(float(below), 0.1), 4), round(max(float(above), 0.1), 4)
