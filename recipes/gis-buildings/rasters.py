"""Height models in GeoTIFF: read on cells of 0.5 m whatever theirs are, window by window; results written in theirs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from hive_runner.errors import InputError
from rasterio.windows import Window
from scipy import ndimage

from .place import CELL_M, F32
from .sensor import filled

COARSEST_M = 2.05  # a house of 8 m is four cells wide
COARSE_M = 1.05
METRES = {"m": 1.0, "ft": 0.3048, "us-ft": 1200 / 3937}
NOTHING_IS_SO_HIGH_M = 12_000.0


@dataclass(frozen=True)
class Grid:
    """The working grid of 0.5 m: its size, where its cells lie in the file's coordinates, and the file's own CRS."""

    rows: int
    columns: int
    transform: Affine  # column, row of this grid -> x, y
    crs: Any  # rasterio CRS, or None
    cell_m: tuple[float, float]  # exact width and height of a cell


class HeightModel:
    """One band of heights, seen through the working grid. Raises InputError for what is none."""

    def __init__(self, path: Path, units: str, vertical_units: str) -> None:
        try:
            self.file = rasterio.open(path)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{path.name} cannot be read", str(error), "GeoTIFF is wanted") from error
        file = self.file
        self.warnings: list[str] = []
        if file.count != 1:
            raise InputError(
                f"{path.name} has {file.count} bands", "a height model has one; images need a model trained on images",
                "give a surface model (DSM), or a single band: gdal_translate -b 1",
            )  # fmt: skip
        if np.dtype(file.dtypes[0]) == np.uint8:
            raise InputError(
                f"{path.name} holds bytes", "heights do not fit in 0 to 255: this is a picture", "give a surface model"
            )
        if file.transform == Affine.identity():
            raise InputError(
                f"{path.name} does not say where it lies",
                "it has no geotransform",
                "gdal_edit.py -tr or -a_ullr sets it",
            )
        unit = self._unit(path, units)
        self.height_unit = unit if vertical_units == "auto" else METRES[vertical_units]
        across = math.hypot(file.transform.a, file.transform.d) * unit
        down = math.hypot(file.transform.b, file.transform.e) * unit
        if max(across, down) > COARSEST_M:
            raise InputError(
                f"cells of {max(across, down):.1f} m are too coarse", "a house is a few cells of 2 m, and none of 5 m",
                "give a finer model; --units if the unit is wrong",
            )  # fmt: skip
        if max(across, down) > COARSE_M:
            self.warnings.append(f"cells of {max(across, down):.1f} m: small buildings are lost")
        rows, columns = round(file.height * down / CELL_M), round(file.width * across / CELL_M)
        if min(rows, columns) < 1:
            raise InputError(f"{path.name} is smaller than a building", f"{file.width} x {file.height} cells")
        self.step = (file.height / rows, file.width / columns)  # cells of the file to a cell of the grid
        transform = file.transform * Affine.scale(self.step[1], self.step[0])
        cell_m = (across * self.step[1], down * self.step[0])
        self.grid = Grid(rows, columns, transform, file.crs, cell_m)

    def _unit(self, path: Path, units: str) -> float:
        """Metres to a unit of the coordinates."""
        crs = self.file.crs
        if units != "auto":
            return METRES[units]
        if crs is None:
            self.warnings.append("no coordinate system in the file: metres are assumed (or give --units)")
            return 1.0
        if crs.is_geographic:
            raise InputError(
                f"{path.name} is in degrees", "cells have no fixed size there",
                "gdalwarp -t_srs EPSG:… to the projected system of the place",
            )  # fmt: skip
        try:
            factor = float(crs.linear_units_factor[1])
        except rasterio.errors.CRSError:
            return 1.0
        if factor != 1.0:
            self.warnings.append(f"coordinates are in {crs.linear_units_factor[0]}: heights are taken to be as well")
        return factor

    def read(self, row: int, column: int, rows: int, columns: int) -> F32:
        """Heights of a window of the grid in metres, NaN where the file has none and outside of it."""
        y = (np.arange(row, row + rows) + 0.5) * self.step[0] - 0.5
        x = (np.arange(column, column + columns) + 0.5) * self.step[1] - 0.5
        found = np.full((rows, columns), np.nan, np.float32)
        top, bottom = max(0, math.floor(y[0]) - 1), min(self.file.height, math.ceil(y[-1]) + 2)
        left, right = max(0, math.floor(x[0]) - 1), min(self.file.width, math.ceil(x[-1]) + 2)
        if bottom <= top or right <= left:
            return found
        raw = self.file.read(1, window=Window(left, top, right - left, bottom - top), masked=True)
        heights = np.ma.filled(raw.astype(np.float32), np.nan) * np.float32(self.height_unit)
        heights[np.abs(heights) > NOTHING_IS_SO_HIGH_M] = np.nan  # nodata that the file does not declare
        inside_y = (y >= -0.5) & (y <= self.file.height - 0.5)
        inside_x = (x >= -0.5) & (x <= self.file.width - 0.5)
        holes = ~np.isfinite(heights)
        if holes.all() or not inside_y.any() or not inside_x.any():
            return found
        whole = filled(heights)
        finest = min(self.step)
        if finest > 1.5:  # several cells to one: their mean
            whole = ndimage.uniform_filter(whole, round(finest))
        place = np.meshgrid(y[inside_y] - top, x[inside_x] - left, indexing="ij")
        values = ndimage.map_coordinates(whole, place, order=1, mode="nearest")
        values[ndimage.map_coordinates(holes.astype(np.uint8), place, order=0, mode="nearest") > 0] = np.nan
        found[np.ix_(inside_y, inside_x)] = values
        return found

    def close(self) -> None:
        self.file.close()


@contextmanager
def probability_file(path: Path, grid: Grid) -> Iterator[Any]:
    """A GeoTIFF of the grid to write probabilities in, float32, compressed."""
    with rasterio.open(
        path, "w", driver="GTiff", height=grid.rows, width=grid.columns, count=1, dtype="float32", crs=grid.crs,
        transform=grid.transform, compress="deflate", predictor=3, tiled=True, blockxsize=256, blockysize=256,
        bigtiff="if_safer",
    ) as file:  # fmt: skip
        file.set_band_description(1, "probability of a building")
        yield file
