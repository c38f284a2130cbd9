"""Interpret a magnetic grid: maps of bodies, depths and susceptibility, a table, the misfit and a figure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_runner.errors import InputError
from hive_runner.export import load_weights

from .estimate import Estimator
from .files import read
from .grid import Grid
from .interpretation import Model
from .output import write_folder, write_one, write_sample

if TYPE_CHECKING:
    from hive_runner.run import Run

WEAKEST_FIELD_NT, STRONGEST_FIELD_NT = 20_000.0, 70_000.0


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    """The trained model of an installed artifact."""
    tensors, config = load_weights(artifact)
    return Model(Estimator(tensors, config, threads))


def predict(run: Run) -> None:
    """Interpret run.inputs[0]: a folder run.output, or the one file of its kind."""
    if len(run.inputs) != 1:
        raise InputError(f"{len(run.inputs)} inputs", "one grid is interpreted at a time", "run hive once a grid")
    if not WEAKEST_FIELD_NT <= run.options.field <= STRONGEST_FIELD_NT:
        raise InputError(f"the main field cannot be {run.options.field:g} nT", "on Earth it is 22,000 to 67,000 nT")
    run.phase("read")
    grid = read(run.inputs[0], run.options.columns, run.options.spacing)
    inclination, declination = _direction(run.options.inclination, run.options.declination, grid)
    model = load(run.artifact, run.threads, run.device)
    run.phase("interpret")
    begin = time.monotonic()
    found = model.interpret_grid(
        grid, inclination, declination, run.options.sensor_height, run.options.field, run.progress
    )
    seconds = time.monotonic() - begin
    run.phase("write")
    if run.output.suffix.lower() in (".csv", ".png", ".tif"):
        write_one(found, run.output)
    else:
        write_folder(found, run.output)
    rows, columns = grid.values.shape
    run.summary.update(
        grid=f"{rows} x {columns} cells of {grid.spacing_m:g} m",
        crs=grid.crs.to_string() if grid.crs else "none",
        bodies=len(found.solutions),
        depths_m=_span([float(found.depth_m(solution.top)) for solution in found.solutions]),
        misfit=f"{found.fit.share:.1%} of the field's spread with fitted susceptibilities",
        misfit_before_fit=f"{found.fit.raw_share:.0%}",
        seconds=round(seconds, 2),
        warnings=list(found.warnings),
    )


def _span(depths_m: list[float]) -> str:
    return f"{min(depths_m):.0f} to {max(depths_m):.0f}" if depths_m else "none"


def _direction(inclination: str, declination: str, grid: Grid) -> tuple[float, float]:
    """Both as degrees: as given, else as the file tells them. Raises InputError where one is missing or is no angle."""
    given = {"inclination": inclination.strip(), "declination": declination.strip()}
    if grid.direction_deg and not any(given.values()):
        return grid.direction_deg
    if missing := [key for key, text in given.items() if not text]:
        raise InputError(
            f"geophysics-magnetic needs {' and '.join(missing)}",
            f"an anomaly's shape depends on the direction of the main field, which {grid.name} does not tell",
            f"hive run geophysics-magnetic {grid.name} --inclination 65 --declination 2 (an IGRF calculator gives them "
            "for the survey's place and date)",
        )  # fmt: skip
    limits = {"inclination": 90.0, "declination": 360.0}
    return tuple(_angle(key, text, limits[key]) for key, text in given.items())  # type: ignore[return-value]


def _angle(name: str, text: str, limit: float) -> float:
    try:
        angle = float(text)
    except ValueError:
        angle = np.nan
    if not abs(angle) <= limit:
        raise InputError(f"{name} cannot be {text!r}", f"it is an angle of -{limit:g} to {limit:g} degrees")
    return angle


def sample(run: Run) -> None:
    """A simulated survey as a GeoTIFF, for people who have none at hand; its direction stands in the summary."""
    run.summary.update(write_sample(run.output, run.seed))
