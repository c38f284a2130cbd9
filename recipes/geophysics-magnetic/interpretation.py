"""What a trained network makes of a grid: maps of bodies, depths and susceptibility, bodies, the misfit, and doubts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import ArrayLike, NDArray

from .channels import plane_of
from .estimate import Estimator, Maps
from .forward import Real, unit_vector
from .grid import Grid, checked
from .reforward import Fit, fit
from .solutions import Solution, label_bodies, solve
from .unusual import unusual

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_RESIDUAL = 0.15  # of the field's spread: above it the bodies do not explain the field
LOW_INCLINATION_DEG = 20.0


@dataclass(frozen=True)
class Interpretation:
    """What is known about a grid. Arrays are (rows, columns), the southernmost row first."""

    grid: Grid
    inclination_deg: float
    declination_deg: float
    field_nt: float
    sensor_height_m: float
    anomaly: Real  # nT, the field without its regional plane, NaN in gaps
    maps: Maps
    label: NDArray[np.int32]  # 0: no body
    solutions: list[Solution]
    fit: Fit
    warnings: tuple[str, ...]

    def depth_m(self, cells: NDArray[Any] | float) -> Any:
        """Metres below the ground of a depth in cells below the sensor; what comes out above it is at the ground."""
        return np.maximum(np.asarray(cells) * self.grid.spacing_m - self.sensor_height_m, 0.0)

    def susceptibility_thickness_m(self, moment: NDArray[Any] | float) -> Any:
        """SI x metres of a moment in SI x nT x cells."""
        return np.asarray(moment) * self.grid.spacing_m / self.field_nt


class Model:
    """A trained network for arrays and files."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    def interpret(
        self,
        tmi: ArrayLike,
        spacing_m: float,
        inclination_deg: float,
        declination_deg: float,
        sensor_height_m: float = 0.0,
        field_nt: float = 50_000.0,
    ) -> Interpretation:
        """Of a grid in memory. tmi: (rows, columns) nT, the southernmost row first, NaN in gaps. Raises InputError."""
        values = np.asarray(tmi, np.float32)
        if values.ndim != 2:
            raise InputError("a magnetic grid must be an array of (rows, columns)", f"it is {values.shape}")
        if not spacing_m > 0:
            raise InputError("the spacing must be more than 0 m", f"it is {spacing_m}")
        grid = checked(Grid(values, 0.0, 0.0, spacing_m, name="the grid"))
        return self.interpret_grid(grid, inclination_deg, declination_deg, sensor_height_m, field_nt)

    def interpret_grid(
        self,
        grid: Grid,
        inclination_deg: float,
        declination_deg: float,
        sensor_height_m: float = 0.0,
        field_nt: float = 50_000.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Interpretation:
        direction = unit_vector(inclination_deg, declination_deg)
        valid = np.isfinite(grid.values)
        level = np.float32(np.median(grid.values[valid]))  # off first: single precision has 7 digits
        field = grid.values - level
        plane = plane_of(field, valid)
        anomaly = np.where(valid, field - plane, np.nan).astype(np.float32)
        maps = self._estimator.maps(field, direction, progress)
        label = label_bodies(maps, (maps.probability >= self._estimator.config["threshold"]) & valid)
        fitted = fit(field, maps.moment, maps.top, maps.thickness, label > 0, direction)
        solutions = solve(maps, label, fitted.moment, valid)
        told = [_regional(level, plane, grid), *grid.warnings]
        told += _doubts(solutions, fitted, inclination_deg)
        told += unusual(field, direction, self._estimator.config)
        return Interpretation(
            grid, inclination_deg, declination_deg, field_nt, sensor_height_m, anomaly, maps, label, solutions, fitted,
            tuple(told),
        )  # fmt: skip


def _regional(level: float, plane: Real, grid: Grid) -> str:
    """What was taken off the field, in words."""
    rows, columns = plane.shape
    east = float(plane[0, -1] - plane[0, 0]) / max(columns - 1, 1) / grid.spacing_m * 1000
    north = float(plane[-1, 0] - plane[0, 0]) / max(rows - 1, 1) / grid.spacing_m * 1000
    slopes = f"{east:+.3g} nT/km east and {north:+.3g} nT/km north"
    return f"a regional of {level + plane.mean():,.0f} nT, {slopes} was taken off"


def _doubts(solutions: list[Solution], fitted: Fit, inclination_deg: float) -> list[str]:
    told = []
    if not solutions:
        told.append("no magnetic body was found")
    if fitted.vector is not None:
        told.append(
            "the field fits bodies magnetised in other directions than the main field's much better: expect remanence, "
            "and less sure depths and outlines"
        )
    if solutions and fitted.share > HIGH_RESIDUAL:
        told.append(
            f"the bodies leave {fitted.share:.0%} of the field unexplained: bodies that were missed, a regional that "
            "is no plane, or wrong inclination and declination"
        )
    if abs(inclination_deg) < LOW_INCLINATION_DEG:
        told.append("low inclination: outlines along the field's direction and their depths are less sure")
    return told
