"""Bodies one by one, from the maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .estimate import Maps
from .forward import Real

CORE_THRESHOLD = 0.5
FEWEST_CELLS = 2
EVERY_NEIGHBOUR = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Solution:
    """A body. Lengths in cells, depths below the sensor; places count from the centre of the first cell."""

    east: float  # a cell well inside, also of a bent body
    north: float
    top: float
    top_low: float
    top_high: float
    moment: float  # median susceptibility x thickness: SI x nT x cells
    probability: float
    cells: int
    strike_deg: float  # of the longer axis, clockwise from north, 0 to 180
    length: float
    width: float
    touches_rim: bool  # goes on beyond the grid, or into a gap


def label_bodies(maps: Maps, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Bodies of the mask numbered from 1: what hangs together, parted where it has several cores."""
    parts, _ = ndimage.label(mask, EVERY_NEIGHBOUR)
    cores, count = ndimage.label(mask & (maps.core >= CORE_THRESHOLD), EVERY_NEIGHBOUR)
    with_core = np.unique(parts[cores > 0])
    bare = (parts > 0) & ~np.isin(parts, with_core)
    seeds = np.where(bare, parts + count, cores)
    # the nearest core of the same part: across a gap is another body's
    label = np.zeros(mask.shape, np.int32)
    for number, window in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[window] == number
        near = ndimage.distance_transform_edt(
            ~(inside & (seeds[window] > 0)), return_distances=False, return_indices=True
        )
        label[window][inside] = seeds[window][tuple(near)][inside]
    sizes = np.bincount(label.ravel())
    label[sizes[label] < FEWEST_CELLS] = 0
    _, numbers = np.unique(label, return_inverse=True)
    return (numbers.reshape(mask.shape) + (0 if (label == 0).any() else 1)).astype(np.int32)


def solve(maps: Maps, label: NDArray[np.int32], moment: Real, valid: NDArray[np.bool_]) -> list[Solution]:
    """One row a body, the surest first."""
    beyond = ~np.pad(valid, 1, constant_values=False)
    rim = ndimage.binary_dilation(beyond, EVERY_NEIGHBOUR)[1:-1, 1:-1]
    found = []
    for number, window in enumerate(ndimage.find_objects(label), start=1):
        if window is None:
            continue
        cells = label[window] == number
        row, column = np.nonzero(cells)
        inner = ndimage.distance_transform_edt(np.pad(cells, 1))[1:-1, 1:-1]
        to_centre = np.hypot(row - row.mean(), column - column.mean())
        best = int(np.argmax(inner[row, column] - 0.5 * to_centre))
        low, top, high = (float(np.median(grid[window][cells])) for grid in (maps.top_low, maps.top, maps.top_high))
        spread, axes = np.linalg.eigh(np.cov(np.stack([column, row])) + np.eye(2) / 12)
        found.append(
            Solution(
                float(window[1].start + column[best]), float(window[0].start + row[best]), top, low, high,
                float(np.median(moment[window][cells])), float(maps.probability[window][cells].mean()), len(row),
                float(np.degrees(np.arctan2(axes[0, 1], axes[1, 1])) % 180), *(np.sqrt(12 * spread[::-1]).tolist()),
                bool((rim[window] & cells).any()),
            )
        )  # fmt: skip
    return sorted(found, key=lambda solution: -solution.probability)
