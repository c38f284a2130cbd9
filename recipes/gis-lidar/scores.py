"""How answers compare with the truth, class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import CLASSES


def confusion(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> NDArray[np.int64]:
    """(classes, classes) counts, truth in rows."""
    n = len(CLASSES)
    return np.bincount(truth * n + guess, minlength=n * n).reshape(n, n)


def intersection_over_union(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(classes,) of a confusion matrix, NaN for a class that neither is nor is answered."""
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    return np.where(union > 0, np.diag(counts) / np.maximum(union, 1), np.nan)
