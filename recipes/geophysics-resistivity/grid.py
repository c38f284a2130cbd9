"""The grid below a line of electrodes, in electrode spacings, and the wavenumbers that turn two dimensions into 2.5.

Everything is reckoned in the line's own unit, its electrode spacing, and in "stations": the places 0, 1, ... where an
electrode stands or could stand. Between stations the true distances are kept, so that a line need not be quite even.

    model cells   half a station wide, LAYERS deep, EDGE cells beyond the line's ends: what is shown and inverted
    solver cells  the same, and PAD columns on either side and PAD_LAYERS below, which repeat the outermost model cells
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import k0, k0e, k1e

Floats = NDArray[np.float64]

CELLS = 2  # model cells from station to station
EDGE = 4  # model cells beyond the first and the last station
LAYERS = 24
FIRST_LAYER = 0.25  # thickness of the first layer, in spacings
LAYER_GROWTH = 1.105
PAD = 8
PAD_LAYERS = 8
WAVENUMBERS = 7
REACH = 3.0  # the wavenumbers serve distances up to this times the line: over resistive ground, current goes far


def layer_thickness() -> Floats:
    """(LAYERS,) spacings; they reach down to 23.8 spacings in all."""
    return FIRST_LAYER * LAYER_GROWTH ** np.arange(LAYERS)


def layer_depths() -> Floats:
    """(LAYERS + 1,) depths of the layers' boundaries, in spacings."""
    return np.concatenate([[0.0], np.cumsum(layer_thickness())])


@dataclass(frozen=True)
class Grid:
    """stations: (S,) distances along the surface, in spacings, ascending."""

    stations: tuple[float, ...]

    @staticmethod
    def even(count: int) -> Grid:
        return Grid(tuple(float(i) for i in range(count)))

    @property
    def length(self) -> float:
        return self.stations[-1] - self.stations[0]

    @property
    def columns(self) -> int:
        """Model cells in a row."""
        return CELLS * (len(self.stations) - 1) + 2 * EDGE

    @property
    def shape(self) -> tuple[int, int]:
        """(LAYERS, columns) of a model."""
        return LAYERS, self.columns

    def edges(self) -> Floats:
        """(columns + 1,) sides of the model cells, in spacings."""
        place = np.arange(-EDGE, CELLS * (len(self.stations) - 1) + EDGE + 1) / CELLS
        index = np.arange(len(self.stations))
        inside = np.interp(place, index, self.stations)
        first, last = self.stations[1] - self.stations[0], self.stations[-1] - self.stations[-2]
        inside += np.minimum(place, 0) * first + np.maximum(place - index[-1], 0) * last
        return inside

    def centres(self) -> tuple[Floats, Floats]:
        """((columns,), (LAYERS,)) middles of the model cells, in spacings."""
        x, z = self.edges(), layer_depths()
        return (x[1:] + x[:-1]) / 2, (z[1:] + z[:-1]) / 2

    def cell_areas(self) -> Floats:
        """(LAYERS, columns) square spacings."""
        return np.outer(layer_thickness(), np.diff(self.edges()))

    def solver_widths(self) -> Floats:
        """(columns + 2 PAD,) spacings."""
        pad = np.geomspace(0.8, 2.0 * max(self.length, 30.0), PAD)
        return np.concatenate([pad[::-1], np.diff(self.edges()), pad])

    def solver_heights(self) -> Floats:
        """(LAYERS + PAD_LAYERS,) spacings."""
        return np.concatenate([layer_thickness(), np.geomspace(3.5, 2.0 * max(self.length, 30.0), PAD_LAYERS)])

    def station_column(self) -> NDArray[np.int64]:
        """(S,) solver node column of each station."""
        return PAD + EDGE + CELLS * np.arange(len(self.stations))

    def centre(self) -> float:
        return (self.stations[0] + self.stations[-1]) / 2


@lru_cache(maxsize=64)
def wavenumbers(length: float) -> tuple[Floats, Floats]:
    """k (7,), per spacing, and weights w (7,), with sum of w K0(k r) = 1 / r for r from 0.5 to REACH * `length`.

    The spread of the k is fitted, and their weights follow by least squares (Xu et al. 2000 do both at once).
    """
    reach = REACH * length
    r = np.geomspace(0.5, reach, 80)

    def fit(ends: Floats) -> tuple[float, Floats, Floats]:
        k = np.geomspace(np.exp(ends[0]), np.exp(ends[1]), WAVENUMBERS)
        matrix = r[:, None] * k0(r[:, None] * k)
        weights = np.linalg.lstsq(matrix, np.ones(len(r)))[0]
        return float(np.linalg.norm(matrix @ weights - 1)), k, weights

    start = np.log([0.15 / reach, 2.0])
    best = minimize(lambda ends: fit(ends)[0], start, method="Nelder-Mead", options={"maxiter": 200})
    _, k, weights = fit(best.x)
    return k, weights


def far_boundary(k: float, distance: Floats, cosine: Floats) -> Floats:
    """Conductance per conductivity and length of a boundary where u falls off as K0(k r) (Dey and Morrison 1979)."""
    return np.asarray(k * k1e(k * distance) / k0e(k * distance) * cosine)
