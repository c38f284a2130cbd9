"""Where a wave changes: the beginning of what is another noise than before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def aic_onset(wave: NDArray[np.float64]) -> int:
    """The sample that best parts `wave` into two stationary pieces. Maeda (1985)."""
    n = len(wave)
    k = np.arange(1, n)
    first, second = np.cumsum(wave), np.cumsum(wave**2)
    before = second[:-1] / k - (first[:-1] / k) ** 2
    after = (second[-1] - second[:-1]) / (n - k) - ((first[-1] - first[:-1]) / (n - k)) ** 2
    score = k * np.log(np.maximum(before, 1e-12)) + (n - k - 1) * np.log(np.maximum(after, 1e-12))
    edge = min(10, n // 4)
    return int(np.argmin(score[edge : n - edge])) + edge
