"""Whether a record is like what the network was trained on: shares of power by frequency, and spikiness.

The distance is Mahalanobis' (1936) to windows of the simulator; a limit that one in a thousand of those exceeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

RATE_HZ = 100.0
WINDOW = 3000
BANDS_HZ = (0.8, 2.0, 4.0, 8.0, 16.0, 30.0, 50.1)
FLOOR = 1e-6  # share of power below which it does not matter how little there is
LIMIT_SHARE = 0.999
COMMON = 0.2  # share of windows beyond the limit that is worth a warning


def descriptors(filtered: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """(7,) of a high-passed window (3, 3000), of its first component that is alive; None if none is."""
    alive = np.flatnonzero(np.ptp(filtered, axis=1) > 0)
    if not len(alive):
        return None
    wave = filtered[alive[0]].astype(float)
    power = np.abs(fft.rfft(wave * np.hanning(len(wave)))) ** 2
    frequency = fft.rfftfreq(len(wave), 1 / RATE_HZ)
    edges = np.searchsorted(frequency, BANDS_HZ)
    shares = np.array([power[a:b].sum() for a, b in itertools.pairwise(edges)])
    spikiness = np.log((wave**4).mean() / (wave**2).mean() ** 2)
    return np.append(np.log(shares / shares.sum() + FLOOR), spikiness)


def learn(windows: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """What `distance` needs, of high-passed windows."""
    known = np.array([d for d in map(descriptors, windows) if d is not None])
    centre, inverse = known.mean(0), np.linalg.inv(np.cov(known.T) + 1e-3 * np.eye(known.shape[1]))
    model = {"centre": centre.tolist(), "inverse": inverse.tolist()}
    model["limit"] = float(np.quantile([distance(d, model) for d in known], LIMIT_SHARE))
    return model


def distance(described: NDArray[np.float64], model: Mapping[str, Any]) -> float:
    away = described - np.array(model["centre"])
    return float(np.sqrt(away @ np.array(model["inverse"]) @ away))


def strange_share(filtered: NDArray[np.float32], model: Mapping[str, Any]) -> float:
    """Share of the 30 s windows of a high-passed record (3, N) that are beyond the limit."""
    starts = range(0, max(filtered.shape[1] - WINDOW, 0) + 1, WINDOW)
    found = [descriptors(filtered[:, s : s + WINDOW]) for s in starts]
    judged = [distance(d, model) > model["limit"] for d in found if d is not None]
    return float(np.mean(judged)) if judged else 0.0
