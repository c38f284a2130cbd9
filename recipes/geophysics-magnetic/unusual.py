"""Is a grid unlike what the network was trained on? Six figures of each window, and how far they lie from the usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .channels import FEWEST_VALUES, Seen, look
from .direction import canonical
from .survey import WINDOW

NAMES = ("roughness", "sharpness", "stripes", "peakedness", "lopsidedness", "blockiness")
USUAL_SHARE = 0.995  # of training surveys, that count as usual
WARNING_SHARE = 0.25  # of a grid's windows, that make it unusual
MOST_WINDOWS = 64  # looked at in one grid
QUIET_SHARE = 0.1  # of the grid's spread: windows with less hold nothing but noise, and do not count


def describe(seen: Seen) -> NDArray[np.float64]:
    """(6,) of a window: its grain, its texture, its distribution, none of which depends on unit or strength."""
    field, valid = seen.filled.astype(np.float64), seen.valid
    curve = field[1:-1, 1:-1] - (field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:]) / 4
    known = valid[1:-1, 1:-1]
    curve = curve[known] if known.any() else curve.ravel()
    east, north = np.diff(field, 2, axis=1), np.diff(field, 2, axis=0)
    values = field[valid]
    values = (values - values.mean()) / (values.std() + 1e-9)
    still = np.mean(np.abs(np.diff(field, axis=1)) < 1e-6) + np.mean(np.abs(np.diff(field, axis=0)) < 1e-6)
    return np.array(
        [
            np.log(np.median(np.abs(curve)) + 1e-5),
            np.log(curve.std() + 1e-5),
            np.log((np.median(np.abs(east)) + 1e-5) / (np.median(np.abs(north)) + 1e-5)),
            np.log(np.mean(values**4)),
            np.arcsinh(np.mean(values**3)),
            min(float(still), 1.0),
        ]
    )


def usual(descriptions: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """What training surveys are like, for config.json."""
    each = np.array(descriptions)
    scatter = np.cov(each.T) + 1e-3 * np.eye(each.shape[1])
    mean, inverse = each.mean(0), np.linalg.inv(scatter)
    limit = np.quantile(_distance(each, mean, inverse), USUAL_SHARE)
    return {"mean": mean.round(5).tolist(), "inverse": inverse.round(5).tolist(), "limit": round(float(limit), 3)}


def _distance(each: NDArray[np.float64], mean: NDArray[np.float64], inverse: NDArray[np.float64]) -> Any:
    """Mahalanobis. each: (..., 6) -> (...)."""
    return np.sqrt(np.einsum("...i,ij,...j->...", each - mean, inverse, each - mean))


def unusual(field: NDArray[np.floating], direction: NDArray[np.float64], config: Mapping[str, Any]) -> list[str]:
    """A warning, if much of the grid is unlike the training surveys."""
    if "usual" not in config:
        return []
    mean, inverse = (np.array(config["usual"][key]) for key in ("mean", "inverse"))
    mirror, turned = canonical(direction)
    grid = mirror.apply(np.asarray(field, np.float32))
    wide = np.full([max(n, WINDOW) for n in grid.shape], np.nan, np.float32)
    wide[: grid.shape[0], : grid.shape[1]] = grid
    places = [
        (slice(top, top + WINDOW), slice(left, left + WINDOW))
        for top in range(0, wide.shape[0] - WINDOW + 1, WINDOW)
        for left in range(0, wide.shape[1] - WINDOW + 1, WINDOW)
    ]
    places = places[:: -(-len(places) // MOST_WINDOWS)]
    seen = [look(wide[each], turned) for each in places if np.isfinite(wide[each]).sum() >= FEWEST_VALUES]
    if not seen:
        return []
    loud = QUIET_SHARE * np.sqrt(np.mean([each.scale**2 for each in seen]))
    each = np.array([describe(window) for window in seen if window.scale >= loud])
    far = _distance(each, mean, inverse) > config["usual"]["limit"]
    if far.mean() <= WARNING_SHARE:
        return []
    scale = np.sqrt(np.diag(np.linalg.inv(inverse)))
    worst = np.argsort(-np.abs((each[far].mean(0) - mean) / scale))[:2]
    return [
        f"{far.mean():.0%} of this grid is unlike the training's surveys ({' and '.join(NAMES[i] for i in worst)}): "
        "trust depths and intervals less"
    ]
