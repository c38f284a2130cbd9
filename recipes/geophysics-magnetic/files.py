"""Magnetic grids as files have them -> rows to the north, square cells, nT, gaps as NaN; each correction is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from hive_runner.errors import InputError

from .grid import Grid, checked, direction_in, in_nanotesla, metres_of, square
from .netcdf import is_netcdf, read_netcdf

RASTERS = (".tif", ".tiff", ".gxf", ".nc", ".grd", ".ers")
TABLES = (".csv", ".xyz", ".txt", ".dat")


def read(path: Path, columns: str = "", spacing: float = 0.0) -> Grid:
    """The grid in a file, or in a folder that holds one raster and its companions. Raises InputError.

    columns: names of x, y and value in a table, comma-separated, or of a variable of NetCDF; spacing: cell size of a
    table's grid, in its unit.
    """
    if path.is_dir():
        path = _only_raster(path)
    suffix = path.suffix.lower()
    if suffix in TABLES:
        from .tables import read_table  # which loads what interpolates: half a second

        return checked(read_table(path, columns, spacing))
    if suffix in RASTERS:
        return checked(read_netcdf(path, columns) if is_netcdf(path) else _read_raster(path))
    raise InputError(
        f"{path.name} is not a grid that can be read", f"its suffix is {suffix!r}",
        f"one of {', '.join(RASTERS + TABLES)}",
    )  # fmt: skip


def _only_raster(folder: Path) -> Path:
    found = sorted(each for each in folder.iterdir() if each.suffix.lower() in RASTERS)
    if len(found) != 1:
        raise InputError(
            f"{folder.name} holds {len(found)} grids", ", ".join(each.name for each in found) or "none of them",
            "give a folder with one .ers and its data file, or a grid's own file",
        )  # fmt: skip
    return found[0]


def _read_raster(path: Path) -> Grid:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(path)
        with source:
            values = source.read(1, masked=True)
            units = (source.units[0] or "").strip()
            transform, crs, bands = source.transform, source.crs, source.count
            direction = direction_in(source.tags())
    except RasterioError as error:
        raise _unreadable(path, str(error)) from error
    told = [f"the file has {bands} bands: the first one is taken"] if bands > 1 else []
    if np.iscomplexobj(values):
        raise InputError(f"{path.name} holds complex numbers", "a magnetic grid has one value in nT a cell")
    grid = np.ma.filled(values.astype(np.float64), np.nan)
    if transform.is_identity:
        raise InputError(
            f"{path.name} says neither where it lies nor how large its cells are", "it has no georeference",
            "gdal_translate -a_srs EPSG:32633 -a_ullr WEST NORTH EAST SOUTH in out.tif",
        )  # fmt: skip
    if abs(transform.b) > 1e-9 * abs(transform.a) or abs(transform.d) > 1e-9 * abs(transform.e):
        raise InputError(
            f"{path.name} is a rotated grid", "its rows do not run along the coordinate axes",
            "gdalwarp it to one whose rows do",
        )  # fmt: skip
    if transform.e < 0:
        grid = grid[::-1]
    if transform.a < 0:
        grid = grid[:, ::-1]
    rows, columns = grid.shape
    across, along = abs(transform.a), abs(transform.e)
    west = min(transform.c, transform.c + columns * transform.a)
    south = min(transform.f, transform.f + rows * transform.e)
    grid, note = in_nanotesla(grid, units, path.name)
    told += note
    unit_m = metres_of(crs, path.name, west, south, across)
    grid, cell, resampled = square(grid, across, along)
    told += resampled
    return Grid(grid.astype(np.float32), west, south, cell, unit_m, crs, path.name, direction, tuple(told))


def _unreadable(path: Path, why: str) -> InputError:
    if path.suffix.lower() == ".ers":
        return InputError(
            f"{path.name} cannot be read", f"an ERS grid has its values in a second file, which is not here: {why}",
            "put both into a folder and give the folder",
        )  # fmt: skip
    if path.suffix.lower() == ".grd":
        return InputError(
            f"{path.name} cannot be read", f"it is neither a Surfer nor a NetCDF grid: {why}",
            "Geosoft's own .grd is closed: export it as GXF or GeoTIFF",
        )  # fmt: skip
    return InputError(f"{path.name} cannot be read", why, "gdalinfo shows what GDAL makes of it")
