"""Height models as they are delivered: gridded from laser points, or matched from photographs.

Both hide things: a laser grid has holes and rough crowns, a photogrammetric one has rounded edges, filled streets and
errors that are alike over some metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .place import CELL_M, F32, TRAIN, Bool, Domain, Place, fractal


def observe(rng: np.random.Generator, place: Place, domain: Domain = TRAIN) -> tuple[F32, NDArray[np.int8]]:
    """A height model of `place`, (N, N) metres with NaN where it has none, and what is known of each cell: 1 building,
    0 none, -1 not to be told (a crown over a roof).
    """
    leafy = bool(rng.random() < 0.8)
    laser = bool(rng.random() < 0.6)
    heights = _laser(rng, place, leafy, domain.points_per_m2) if laser else _photogrammetric(rng, place)
    if rng.random() < 0.35:
        heights = _coarser(heights, int(rng.choice([2, 2, 3, 4])))
    truth = place.building.astype(np.int8)
    covered = place.building & (np.nan_to_num(place.crown, nan=-1e9) > place.surface + 1.0)
    truth[covered] = -1
    return heights, truth


def _laser(rng: np.random.Generator, place: Place, leafy: bool, points_per_m2: tuple[float, float]) -> F32:
    """The highest or the mean of the points in a cell; empty cells are NaN, or taken from the nearest with points."""
    per_cell = np.exp(rng.uniform(*np.log(points_per_m2))) * CELL_M**2
    count = rng.poisson(per_cell, place.ground.shape)
    seen = place.surface.copy()
    crown = np.isfinite(place.crown) & (place.crown > place.surface)
    # a point meets the crown at some depth, or goes through to what is below it
    depth = rng.gamma(1.5, rng.uniform(0.3, 1.2), seen.shape).astype(np.float32)
    stopped = crown & (rng.random(seen.shape) < (rng.uniform(0.7, 0.97) if leafy else rng.uniform(0.2, 0.6)))
    seen[stopped] = np.maximum(place.crown - depth, place.surface)[stopped]
    seen += rng.normal(0, np.exp(rng.uniform(np.log(0.01), np.log(0.12))), seen.shape).astype(np.float32)
    shift = rng.uniform(0, 0.4)  # points are not in the middle of their cell
    seen = ndimage.shift(seen, rng.uniform(-shift, shift, 2), order=1, mode="nearest")
    if rng.random() < 0.5:  # interpolated: no holes
        return filled(np.where(count > 0, seen, np.nan).astype(np.float32))
    return np.where(count > 0, seen, np.nan).astype(np.float32)


def _photogrammetric(rng: np.random.Generator, place: Place) -> F32:
    seen = np.fmax(place.surface, np.where(rng.random() < 0.85, place.crown, np.float32(np.nan)))
    width = int(rng.integers(1, 5))
    if width > 1:  # what is narrow and deep is not seen by two cameras
        seen = ndimage.grey_closing(seen, width)
    if rng.random() < 0.5:
        seen = ndimage.median_filter(seen, 3)
    seen = ndimage.gaussian_filter(seen, np.exp(rng.uniform(np.log(0.4), np.log(2.2))) / CELL_M * 0.6)
    seen = seen + fractal(rng, len(seen), rng.uniform(0.6, 1.4)) * np.float32(
        np.exp(rng.uniform(np.log(0.03), np.log(0.4)))
    )
    if rng.random() < 0.3:  # regions where matching failed
        seen[fractal(rng, len(seen), 1.5) > rng.uniform(1.8, 3.0)] = np.nan
    return seen.astype(np.float32)


def _coarser(heights: F32, factor: int) -> F32:
    """As if it had been delivered with larger cells: averaged over factor x factor, and interpolated again."""
    cells = len(heights) // factor * factor
    whole = filled(heights)
    mean = whole[:cells, :cells].reshape(cells // factor, factor, cells // factor, factor).mean((1, 3))
    rows = (np.arange(len(heights)) + 0.5) / factor - 0.5
    return ndimage.map_coordinates(
        mean, np.meshgrid(rows, rows, indexing="ij"), order=1, mode="nearest"
    ).astype(np.float32)  # fmt: skip


def filled(heights: F32, holes: Bool | None = None) -> F32:
    """Every hole takes the height of the nearest cell that has one; all 0 if none has."""
    holes = ~np.isfinite(heights) if holes is None else holes
    if not holes.any():
        return heights
    if holes.all():
        return np.zeros_like(heights)
    rows, columns = ndimage.distance_transform_edt(holes, return_distances=False, return_indices=True)
    return heights[rows, columns]
