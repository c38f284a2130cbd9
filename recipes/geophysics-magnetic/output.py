"""What an interpretation is written as: GeoTIFFs, a table, a figure, a record."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .figure import draw
from .forward import Real
from .interpretation import Interpretation
from .scenes import draw_scene
from .survey import WINDOW

NODATA = float("nan")


def layers(found: Interpretation) -> Iterator[tuple[str, Real, str, str]]:
    """(file stem, rows from the south, unit, what it is) of each map; all but two are empty where no body is."""
    maps, valid = found.maps, np.isfinite(found.grid.values)
    body = found.label > 0
    yield "body_probability", np.where(valid, maps.probability, np.nan), "", "probability that a body's top is below"
    for percent, top in ((10, maps.top_low), (50, maps.top), (90, maps.top_high)):
        depth = np.where(body, found.depth_m(top), np.nan)
        yield f"depth_to_top_p{percent}", depth, "m", f"depth to top below the ground, {percent} % quantile"
    moment = np.where(body, found.susceptibility_thickness_m(found.fit.moment), np.nan)
    yield "susceptibility_thickness", moment, "m", "susceptibility (SI) x thickness (m), fitted to the field"
    yield "misfit", found.fit.residual, "nT", "measured field less that of the bodies and a plane"


def write_folder(found: Interpretation, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, values, unit, what in layers(found):
        _write_tiff(folder / f"{stem}.tif", found, [(values, unit, what)])
    write_solutions(folder / "solutions.csv", found)
    draw(folder / "report.png", found)
    (folder / "interpretation.json").write_text(json.dumps(record(found), indent=1, ensure_ascii=False) + "\n")


def write_one(found: Interpretation, target: Path) -> None:
    """The table (.csv), the figure (.png) or all maps as bands (.tif)."""
    match target.suffix.lower():
        case ".csv":
            write_solutions(target, found)
        case ".png":
            draw(target, found)
        case _:
            bands = [(values, unit, f"{stem}: {what}") for stem, values, unit, what in layers(found)]
            _write_tiff(target, found, bands)


def _write_tiff(path: Path, found: Interpretation, bands: list[tuple[Real, str, str]]) -> None:
    import rasterio

    rows, columns = found.grid.values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=len(bands), dtype="float32", nodata=NODATA,
        crs=found.grid.crs, transform=found.grid.transform, compress="deflate", predictor=3,
    ) as target:  # fmt: skip
        for number, (values, unit, what) in enumerate(bands, start=1):
            target.write(values[::-1].astype(np.float32), number)
            target.set_band_description(number, what)
            if unit:
                target.set_band_unit(number, unit)


SOLUTION_COLUMNS = (
    "id", "x", "y", "depth_to_top_m_p10", "depth_to_top_m", "depth_to_top_m_p90", "susceptibility_thickness_si_m",
    "probability", "area_m2", "strike_deg", "length_m", "width_m", "touches_rim",
)  # fmt: skip


def write_solutions(path: Path, found: Interpretation) -> None:
    """One line a body; x and y lie well inside it, in the grid's coordinates."""
    grid, metres = found.grid, found.grid.spacing_m
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SOLUTION_COLUMNS)
        for number, body in enumerate(found.solutions, start=1):
            depths = [f"{float(found.depth_m(each)):.2f}" for each in (body.top_low, body.top, body.top_high)]
            writer.writerow([
                number, f"{grid.west + (body.east + 0.5) * grid.cell:.3f}",
                f"{grid.south + (body.north + 0.5) * grid.cell:.3f}", *depths,
                f"{float(found.susceptibility_thickness_m(body.moment)):.5g}", f"{body.probability:.3f}",
                f"{body.cells * metres**2:.6g}", f"{body.strike_deg:.0f}", f"{body.length * metres:.5g}",
                f"{body.width * metres:.5g}", "yes" if body.touches_rim else "no",
            ])  # fmt: skip


def record(found: Interpretation) -> dict[str, Any]:
    """The settings and figures that someone needs to judge the maps, for interpretation.json."""
    grid = found.grid
    return {
        "input": grid.name,
        "cells": list(grid.values.shape),
        "spacing_m": grid.spacing_m,
        "inclination_deg": found.inclination_deg,
        "declination_deg": found.declination_deg,
        "main_field_nt": found.field_nt,
        "sensor_height_m": found.sensor_height_m,
        "bodies": len(found.solutions),
        "misfit_share": round(found.fit.share, 4),
        "misfit_share_before_fit": round(found.fit.raw_share, 4),
        "depths_are": "metres below the ground: below the sensor less sensor_height_m",
        "intervals_are": "10 % and 90 % quantiles, calibrated on simulated surveys",
        "warnings": list(found.warnings),
    }


def write_sample(path: Path, seed: int) -> dict[str, Any]:
    """A simulated survey as a GeoTIFF that tells its direction, and its truth in words."""
    import rasterio
    from rasterio.transform import from_origin

    cell_m = 50.0
    for index in range(100):
        scene = draw_scene(np.random.default_rng([seed, index]), "induced")
        if len(scene.prisms) >= 3:
            break
    field = scene.field + np.float32(48_500.0)
    with rasterio.open(
        path, "w", driver="GTiff", height=WINDOW, width=WINDOW, count=1, dtype="float32", crs="EPSG:32633",
        transform=from_origin(500_000.0, 5_400_000.0 + WINDOW * cell_m, cell_m, cell_m), compress="deflate",
        predictor=3,
    ) as target:  # fmt: skip
        target.write(field[::-1], 1)
        target.set_band_unit(1, "nT")
        target.set_band_description(1, "total magnetic intensity")
        target.update_tags(
            inclination=f"{scene.inclination_deg:.2f}", declination=f"{scene.declination_deg:.2f}",
            truth=f"{len(scene.prisms)} prisms, depth to top "
            + ", ".join(f"{prism.top * cell_m:.0f}" for prism in scene.prisms) + " m below the sensor",
        )  # fmt: skip
    return {
        "cells": f"{WINDOW} x {WINDOW} of {cell_m:g} m",
        "inclination": round(scene.inclination_deg, 2),
        "declination": round(scene.declination_deg, 2),
        "depths_to_top_m": [round(prism.top * cell_m) for prism in scene.prisms],
    }
