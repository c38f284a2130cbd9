"""The user's own places (--data): rasters with outlines of their buildings, cut into squares.

    town.tif            one band: a height model; three or four: an image
    town.gpkg           its buildings, in any coordinate system (.geojson, .shp too), or
    town_mask.tif       a raster of the same size, not 0 where there is a building (_gt, .png too)

Every fifth square is held out for the figures, or, of a few, the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import rasterio.warp
import shapely
from hive_runner.errors import InputError

from .data import CROP
from .images import Image
from .rasters import HeightModel

RASTERS = (".tif", ".tiff", ".png", ".jpg")
VECTORS = (".gpkg", ".geojson", ".json", ".shp")
MASKS = ("_mask", "_gt", "-mask", "-gt")
SQUARE = 512  # cells, about
HELD_OUT_EVERY = 5


@dataclass(frozen=True)
class Squares:
    """Files of squares on disk (NumPy .npz) of one kind: `seen` and `truth` (H, W) of 0 and 1, -1 outside."""

    training: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()
    bands: int = 0


def cut_squares(source: Path, scratch: Path) -> tuple[Squares, Squares]:
    """Height models and images of a folder as squares below `scratch`. Raises InputError."""
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in RASTERS)
    rasters = [path for path in found if not path.stem.lower().endswith(MASKS)]
    if not rasters:
        raise InputError(f"{source} holds no raster", f"none of {', '.join(RASTERS)}", "give height models or images")
    heights: list[Path] = []
    images: dict[int, list[Path]] = {}
    for number, path in enumerate(rasters):
        truth = _truth_beside(path)
        with rasterio.open(path) as file:
            bands = file.count
        place = scratch / "squares" / str(number)
        place.mkdir(parents=True)
        if bands == 1:
            heights += _cut(HeightModel(path, "auto", "auto"), truth, place)
        else:
            images.setdefault(bands, []).extend(_cut(Image(path), truth, place))
    if len(images) > 1:
        raise InputError(f"{source} mixes images", f"some have {' and some '.join(map(str, sorted(images)))} bands")
    bands, cut = next(iter(images.items()), (0, []))
    return _split(heights, 1), _split(cut, bands)


def _split(squares: list[Path], bands: int) -> Squares:
    if not squares:
        return Squares()
    if len(squares) == 1:
        raise InputError("one square of labelled places is too little", "one must be held out", "give a larger raster")
    held_out = squares[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] or squares[-1:]
    return Squares(tuple(path for path in squares if path not in held_out), tuple(held_out), bands)


def _truth_beside(path: Path) -> Path:
    for suffix in VECTORS:
        if path.with_suffix(suffix).exists():
            return path.with_suffix(suffix)
    for ending in MASKS:
        for suffix in RASTERS:
            mask = path.with_name(path.stem + ending + suffix)
            if mask.exists():
                return mask
    raise InputError(
        f"{path.name} has no outlines beside it", f"neither {path.stem}.gpkg nor {path.stem}_mask.tif",
        "put its buildings beside it under its name",
    )  # fmt: skip


def _burnt(truth: Path, shape: tuple[int, int], transform: Any, crs: Any) -> np.ndarray:
    """(H, W) int8: 1 where there is a building."""
    if truth.suffix.lower() in RASTERS:
        with rasterio.open(truth) as file:
            mask = file.read().max(axis=0) > 0
        rows = np.minimum((np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0], mask.shape[0] - 1).astype(int)
        columns = np.minimum((np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1], mask.shape[1] - 1).astype(int)
        return mask[np.ix_(rows, columns)].astype(np.int8)
    try:
        meta, _, geometry, _ = pyogrio.raw.read(str(truth), columns=[])
    except Exception as error:  # whatever GDAL says of a broken file
        raise InputError(f"{truth.name} cannot be read", str(error)) from error
    shapes = [shape for shape in shapely.from_wkb(geometry) if shape is not None and not shape.is_empty]
    if meta["crs"] and crs and rasterio.crs.CRS.from_user_input(meta["crs"]) != crs:
        shapes = [rasterio.warp.transform_geom(meta["crs"], crs, shapely.geometry.mapping(each)) for each in shapes]
    if not shapes:
        return np.zeros(shape, np.int8)
    burnt = rasterio.features.rasterize([(each, 1) for each in shapes], shape, transform=transform, dtype="uint8")
    if not burnt.any():
        raise InputError(f"{truth.name} lies elsewhere", "none of its outlines is inside the raster of its name")
    return burnt.astype(np.int8)


def _cut(raster: HeightModel | Image, truth: Path, place: Path) -> list[Path]:
    grid = raster.grid
    mask = _burnt(truth, (grid.rows, grid.columns), grid.transform, grid.crs)
    cut = []
    for row, next_row in pairwise(_edges(grid.rows)):
        for column, next_column in pairwise(_edges(grid.columns)):
            rows, columns = max(next_row - row, CROP), max(next_column - column, CROP)
            known = np.full((rows, columns), -1, np.int8)
            known[: next_row - row, : next_column - column] = mask[row:next_row, column:next_column]
            target = place / f"{row}-{column}.npz"
            np.savez(target, seen=raster.read(row, column, rows, columns), truth=known)
            cut.append(target)
    raster.close()
    return cut


def _edges(length: int) -> list[int]:
    """Where squares begin, and the end: as many as are about SQUARE wide, all alike."""
    return [int(edge) for edge in np.linspace(0, length, max(1, round(length / SQUARE)) + 1).round()]
