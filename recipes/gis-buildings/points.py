"""Lidar tiles: points gathered in cells, by what the tile says that they are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import laspy
import numpy as np
from affine import Affine
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy import ndimage

from .place import CELL_M, F32
from .rasters import METRES, Grid

BUILDING, NOISE = 6, (7, 18)
LEAST_BUILDING_POINTS = 50
LARGEST_GRID = 120_000_000  # cells: 5.4 km square
POINTS_AT_ONCE = 2_000_000


class Tile:
    """A LAS or LAZ file on the working grid. Raises InputError for what cannot be used.

    share: (rows, columns) of the points in a cell and around it, how many are classified as building; top: the highest
    point of a cell, metres, NaN where there is none.
    """

    def __init__(self, path: Path, units: str) -> None:
        self.warnings: list[str] = []
        try:
            with laspy.open(path) as file:
                crs = _crs(file.header)
                unit = self._unit(path, crs, units)
                self._gather(file, unit)
        except (laspy.errors.LaspyException, OSError, ValueError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path.name} cannot be read", str(error), "LAS or LAZ is wanted") from error
        self.grid = Grid(
            *self.top.shape, Affine(CELL_M / unit, 0, self.west, 0, -CELL_M / unit, self.north), crs, (CELL_M, CELL_M)
        )
        self.is_classified = self.buildings >= LEAST_BUILDING_POINTS

    def _unit(self, path: Path, crs: Any, units: str) -> float:
        if units != "auto":
            return METRES[units]
        if crs is None:
            self.warnings.append("no coordinate system in the file: metres are assumed (or give --units)")
            return 1.0
        if crs.is_geographic:
            raise InputError(f"{path.name} is in degrees", "points have no distances there", "reproject the tile")
        return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0

    def _gather(self, file: laspy.LasReader, unit: float) -> None:
        header = file.header
        if not header.point_count:
            raise InputError("the tile has no points", "its header counts none")
        self.west, self.north = float(header.mins[0]), float(header.maxs[1])
        columns = math.floor((header.maxs[0] - self.west) * unit / CELL_M) + 1
        rows = math.floor((self.north - header.mins[1]) * unit / CELL_M) + 1
        if rows * columns > LARGEST_GRID:
            raise InputError(
                f"the tile is {columns * CELL_M / 1000:.0f} x {rows * CELL_M / 1000:.0f} km", "5 km square is the most",
                "split it into tiles",
            )  # fmt: skip
        cells = rows * columns
        of_building, of_all = np.zeros(cells, np.float32), np.zeros(cells, np.float32)
        top = np.full(cells, -np.inf, np.float32)
        self.buildings = 0
        for chunk in file.chunk_iterator(POINTS_AT_ONCE):
            kind = np.asarray(chunk.classification)
            good = ~np.isin(kind, NOISE)
            column = np.clip((np.asarray(chunk.x)[good] - self.west) * unit / CELL_M, 0, columns - 1).astype(np.int64)
            row = np.clip((self.north - np.asarray(chunk.y)[good]) * unit / CELL_M, 0, rows - 1).astype(np.int64)
            cell, is_building = row * columns + column, kind[good] == BUILDING
            self.buildings += int(is_building.sum())
            of_all += np.bincount(cell, minlength=cells).astype(np.float32)
            of_building += np.bincount(cell[is_building], minlength=cells).astype(np.float32)
            np.maximum.at(top, cell, (np.asarray(chunk.z)[good] * unit).astype(np.float32))
        top[np.isneginf(top)] = np.nan
        self.top: F32 = top.reshape(rows, columns)
        self._counts = of_building.reshape(rows, columns), of_all.reshape(rows, columns)

    @property
    def share(self) -> NDArray[np.float32]:
        """What the points around a cell say, nearer ones more: as wide as it takes to meet some."""
        of_building, of_all = self._counts
        per_cell = (
            float(of_all[of_all > 0].size) / max(of_all.size, 1) * float(of_all.sum() / max((of_all > 0).sum(), 1))
        )
        width = float(np.clip(0.8 / math.sqrt(max(per_cell, 1e-3)), 0.7, 4.0))  # cells
        near = ndimage.gaussian_filter(of_all, width)
        share = ndimage.gaussian_filter(of_building, width) / np.maximum(near, 1e-6)
        share[near < 1e-3] = 0.0
        return share.astype(np.float32)

    def read(self, row: int, column: int, rows: int, columns: int) -> F32:
        """Heights of a window, as `HeightModel.read` gives them."""
        found = np.full((rows, columns), np.nan, np.float32)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, self.grid.rows), min(column + columns, self.grid.columns)
        if bottom > top and right > left:
            found[top - row : bottom - row, left - column : right - column] = self.top[top:bottom, left:right]
        return found

    def close(self) -> None:
        """Nothing is open."""


def _crs(header: laspy.LasHeader) -> Any:
    try:
        return header.parse_crs(prefer_wkt=True)
    except Exception:  # whatever a broken record makes pyproj say: the coordinates are still there
        return None
