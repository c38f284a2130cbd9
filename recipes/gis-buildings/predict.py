"""Outline buildings: `predict` for `hive run`, `load` for `hive.load`, `sample` for `hive run --sample`.

A lidar tile whose buildings are classified (gis-lidar does that) needs no network: its class 6 is outlined. Whatever
else has heights is looked at by the network, window by window.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import shapely
from hive_runner.errors import InputError
from hive_runner.export import load_weights
from rasterio.windows import Window
from scipy import ndimage

from .classify import CORE, Classifier
from .images import Image
from .picture import FOUND, draw, enlarged, relief, write_png
from .place import CELL_M, F32, SHIFTED, draw_place
from .points import Tile
from .polygons import contours, joined, tidy
from .rasters import Grid, HeightModel, probability_file
from .sensor import observe

if TYPE_CHECKING:
    from hive_runner.run import Run
    from numpy.typing import NDArray

Source = HeightModel | Image | Tile

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
RING_M = (1.0, 4.0)  # where the ground beside a building is looked for
PREVIEW_CELLS = 1400
SAMPLE_M = 256.0


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Classifier:
    """The network: `probability(heights)` takes (H, W) metres on cells of 0.5 m, NaN for holes."""
    return _network(artifact, threads, "heights")


def _network(artifact: Path, threads: int, kind: str) -> Classifier:
    tensors, config = load_weights(artifact)
    own = {name.removeprefix(f"{kind}."): each for name, each in tensors.items() if name.startswith(f"{kind}.")}
    if kind == "images":
        return Classifier(own, 0.5, threads, int(config["image_bands"]))
    return Classifier(own, float(config["threshold"]), threads)


def predict(run: Run) -> None:
    [source] = run.inputs
    wanted = run.output.suffix.lower()
    if wanted and wanted not in (*DRIVERS, ".tif", ".tiff"):
        raise InputError(f"cannot write {run.output.name}", ".gpkg, .geojson, .tif, or a folder for all of them")
    seen = open_source(source, run.options.units, run.options.vertical_units)
    threshold, strips = _strips(run, seen)
    if not wanted:
        run.output.mkdir()
    place = run.output if wanted else run.output / "probability.tif"
    probability = run.scratch / "probability.tif" if wanted in DRIVERS else place
    run.phase("look", total=seen.grid.rows * seen.grid.columns)
    pieces = _look(run, seen.grid, strips, threshold, probability)
    run.phase("outline")
    table = _buildings(run, seen, probability, pieces)
    if wanted in DRIVERS:
        _write(run.output, table, seen.grid)
    elif not wanted:
        _write(run.output / "buildings.gpkg", table, seen.grid)
        _preview(run.output / "preview.png", seen, table)
    run.summary.update(_summary(table, seen))
    seen.close()


def open_source(source: Path, units: str, vertical_units: str) -> Source:
    """What the file is: a lidar tile, a height model, or an image. Raises InputError."""
    if source.suffix.lower() in (".las", ".laz"):
        return Tile(source, units)
    try:
        with rasterio.open(source) as file:
            bands = file.count
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{source.name} cannot be read", str(error), "GeoTIFF is wanted") from error
    return HeightModel(source, units, vertical_units) if bands == 1 else Image(source)


def _strips(run: Run, seen: Source) -> tuple[float, Iterator[F32]]:
    """What makes a building, and the probabilities of the whole grid, CORE rows at a time."""
    grid = seen.grid
    if isinstance(seen, Tile) and seen.is_classified:
        share = seen.share
        return 0.5, (share[row : row + CORE] for row in range(0, grid.rows, CORE))
    if isinstance(seen, Image):
        bands = int(load_weights(run.artifact)[1]["image_bands"])
        if bands != seen.bands:
            known = f"it has learned those of {bands}" if bands else "it was trained on heights alone"
            raise InputError(
                f"this model has not learned images of {seen.bands} bands",
                known,
                "hive install gis-buildings --data FOLDER, with images and their outlines",
            )  # fmt: skip
        classifier = _network(run.artifact, run.cpus, "images")
    else:
        classifier = _network(run.artifact, run.cpus, "heights")
    return classifier.threshold, classifier.strips(grid.rows, grid.columns, seen.read)


def _look(run: Run, grid: Grid, strips: Iterator[F32], threshold: float, target: Path) -> list[shapely.Polygon]:
    """Write the probabilities, and give what is above the threshold as polygons, put together where strips meet."""
    pieces: list[shapely.Polygon] = []
    seams = []
    above = np.zeros((1, grid.columns + 2), np.float32)  # the last row written, with the rim on both sides
    row = 0
    with probability_file(target, grid) as file:
        for strip in strips:
            strip = np.round(strip, 3)
            file.write(strip, 1, window=Window(0, row, grid.columns, len(strip)))
            framed = np.concatenate([above, np.pad(strip, ((0, 0), (1, 1)))])
            pieces += contours(framed, threshold, row - 1, -1)
            seams.append(row - 0.5)
            above = framed[-1:]
            row += len(strip)
            run.progress(row * grid.columns)
    pieces += contours(np.concatenate([above, np.zeros_like(above)]), threshold, grid.rows - 1, -1)
    return joined(pieces, [*seams, grid.rows - 0.5])


def _buildings(run: Run, seen: Source, probability: Path, pieces: list[shapely.Polygon]) -> dict[str, Any]:
    """Geometry in the file's coordinates, with area (m2), height (m) and confidence of each."""
    grid = seen.grid
    cell_m = float(np.sqrt(grid.cell_m[0] * grid.cell_m[1]))
    geometry, area, height, confidence = [], [], [], []
    with rasterio.open(probability) as file:
        for piece in pieces:
            outline = tidy(piece, cell_m, run.options.minimum_area, run.options.simplify)
            if outline is None:
                continue
            reach = round(RING_M[1] / CELL_M) + 1
            left, top, right, bottom = outline.bounds
            row, column = max(0, int(top) - reach), max(0, int(left) - reach)
            rows = min(grid.rows, int(np.ceil(bottom)) + reach) - row
            columns = min(grid.columns, int(np.ceil(right)) + reach) - column
            if rows < 1 or columns < 1:
                continue
            inside = _burnt(outline, row, column, rows, columns)
            chances = file.read(1, window=Window(column, row, columns, rows))
            geometry.append(_placed(outline, grid))
            area.append(round(outline.area * cell_m**2, 1))
            confidence.append(round(float(chances[inside].mean()), 3) if inside.any() else 0.0)
            read = None if isinstance(seen, Image) else seen.read(row, column, rows, columns)
            height.append(float("nan") if read is None else _height(read, inside, chances))
    return {"geometry": geometry, "area_m2": area, "height_m": height, "confidence": confidence}


def _burnt(outline: shapely.Polygon, row: int, column: int, rows: int, columns: int) -> NDArray[np.bool_]:
    moved = shapely.affinity.translate(outline, -column, -row)
    found: NDArray[np.bool_] = rasterio.features.rasterize([(moved, 1)], out_shape=(rows, columns), dtype="uint8") > 0
    return found


def _height(heights: Any, inside: Any, chances: Any) -> float:
    """Median of the roof over the low side of the ground around it, where nothing is built; NaN if nobody can tell."""
    near = ndimage.binary_dilation(inside, iterations=round(RING_M[0] / CELL_M))
    ring = ndimage.binary_dilation(near, iterations=round((RING_M[1] - RING_M[0]) / CELL_M)) & ~near & (chances < 0.3)
    roof, ground = heights[inside & np.isfinite(heights)], heights[ring & np.isfinite(heights)]
    if not len(roof) or not len(ground):
        return float("nan")
    return round(float(np.median(roof) - np.quantile(ground, 0.2)), 1)


def _placed(outline: shapely.Polygon, grid: Grid) -> shapely.Polygon:
    t = grid.transform
    return shapely.affinity.affine_transform(outline, [t.a, t.b, t.d, t.e, t.c, t.f])


def _write(path: Path, table: dict[str, Any], grid: Grid) -> None:
    crs = grid.crs.to_wkt() if grid.crs is not None else None
    pyogrio.raw.write(
        str(path), geometry=shapely.to_wkb(np.array(table["geometry"], dtype=object)),
        field_data=[np.array(table[name], np.float64) for name in ("area_m2", "height_m", "confidence")],
        fields=["area_m2", "height_m", "confidence"], geometry_type="Polygon", crs=crs,
        driver=DRIVERS[path.suffix.lower()], layer="buildings",
    )  # fmt: skip


def _preview(path: Path, seen: Source, table: dict[str, Any]) -> None:
    """The middle of the place with the outlines on it; of a small place the cells are larger."""
    grid = seen.grid
    rows, columns = min(grid.rows, PREVIEW_CELLS), min(grid.columns, PREVIEW_CELLS)
    row, column = (grid.rows - rows) // 2, (grid.columns - columns) // 2
    read = seen.read(row, column, rows, columns)
    shown = np.clip(np.nan_to_num(read[:3], nan=-1.0) * 110 + 128, 0, 255) if isinstance(seen, Image) else relief(read)
    times = max(1, PREVIEW_CELLS // (2 * max(rows, columns)))
    shown = enlarged(shown, times)
    back = ~grid.transform
    place = [back.a, back.b, back.d, back.e, back.c - column, back.f - row]
    draw(
        shown, (shapely.affinity.affine_transform(each, np.multiply(place, times)) for each in table["geometry"]), FOUND
    )
    write_png(path, shown)


def _summary(table: dict[str, Any], seen: Source) -> dict[str, Any]:
    heights = np.array(table["height_m"], float)
    known = heights[np.isfinite(heights)]
    warnings = list(seen.warnings)
    from_classes = isinstance(seen, Tile) and seen.is_classified
    if isinstance(seen, Tile) and not from_classes:
        warnings.append("no buildings are classified in this tile: its heights were used; run gis-lidar on it first")
    return {
        "buildings": len(table["geometry"]),
        "built area m2": round(float(np.sum(table["area_m2"]))),
        "median height m": round(float(np.median(known)), 1) if len(known) else "unknown",
        "read from": "classified points" if from_classes else "the image" if isinstance(seen, Image) else "heights",
        "cells": seen.grid.rows * seen.grid.columns,
        "warnings": warnings,
    }


def sample(run: Run) -> None:
    """A simulated height model of a village, 256 m square."""
    rng = run.rng(7)
    heights, _ = observe(rng, draw_place(rng, SAMPLE_M, SHIFTED), SHIFTED)
    cells = len(heights)
    with rasterio.open(
        run.output, "w", driver="GTiff", height=cells, width=cells, count=1, dtype="float32", nodata=np.nan,
        crs="EPSG:32631", transform=rasterio.transform.from_origin(500_000, 5_400_000, CELL_M, CELL_M),
        compress="deflate",
    ) as file:  # fmt: skip
        file.write(heights, 1)
