"""NetCDF grids, whose coordinates GDAL finds only where their attributes follow the conventions; many do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from .grid import Grid, direction_in, in_degrees, in_nanotesla, metres_of, square

MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF")
EAST = ("x", "e", "east", "easting", "lon", "longitude", "projection_x_coordinate")
NORTH = ("y", "n", "north", "northing", "lat", "latitude", "projection_y_coordinate")
EVEN = 0.01  # of a cell: how far coordinates may lie off


def is_netcdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def read_netcdf(path: Path, name: str) -> Grid:
    """The one grid in the file, or the one called `name`. Raises InputError."""
    import netCDF4

    try:
        with netCDF4.Dataset(path) as source:
            return _read(source, path, name)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name} cannot be read", str(error), "ncdump -h shows what is in it") from error


def _read(source: Any, path: Path, name: str) -> Grid:
    found = {key: each for key, each in source.variables.items() if _is_grid(each)}
    if name and name not in found:
        raise InputError(f"{path.name} has no grid {name!r}", f"it has {', '.join(found) or 'none'}")
    if not name and len(found) != 1:
        raise InputError(
            f"{path.name} holds {len(found)} grids", ", ".join(found) or "no variable of two dimensions",
            "--columns NAME takes one of them",
        )  # fmt: skip
    variable = found[name] if name else next(iter(found.values()))
    places = [i for i, size in enumerate(variable.shape) if size > 1]
    values = np.ma.filled(np.ma.asarray(variable[:], np.float64), np.nan).reshape([variable.shape[i] for i in places])
    axes = [_axis(source, variable.dimensions[i], path.name) for i in places]
    if axes[0][0] == "east" or axes[1][0] == "north":
        values, axes = values.T, axes[::-1]
    (_, north), (_, east) = axes
    if north[0] > north[-1]:
        values, north = values[::-1], north[::-1]
    if east[0] > east[-1]:
        values, east = values[:, ::-1], east[::-1]
    values, told = in_nanotesla(values, str(getattr(variable, "units", "")).strip(), path.name)
    along, across = (float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (north, east))
    west, south = float(east[0] - across / 2), float(north[0] - along / 2)
    unit_m = metres_of(_crs(source, variable), path.name, west, south, across)
    values, cell, note = square(values, across, along)
    attributes = {key.lower(): getattr(holder, key) for holder in (source, variable) for key in holder.ncattrs()}
    return Grid(
        values.astype(np.float32), west, south, cell, unit_m, _crs(source, variable), path.name,
        direction_in({key: str(value) for key, value in attributes.items()}), (*told, *note),
    )  # fmt: skip


def _is_grid(variable: Any) -> bool:
    return variable.dtype != str and variable.dtype.kind in "fiu" and sum(size > 1 for size in variable.shape) == 2


def _axis(source: Any, dimension: str, name: str) -> tuple[str, NDArray[np.float64]]:
    """("east" | "north" | "", centres of cells) of a dimension. Raises InputError where they are not even."""
    if dimension not in source.variables:
        raise InputError(
            f"{name} says neither where it lies nor how large its cells are",
            f"its dimension {dimension!r} has no coordinates", "write them as a variable of the same name",
        )  # fmt: skip
    variable = source.variables[dimension]
    centres = np.asarray(variable[:], np.float64)
    words = {dimension.lower(), *(str(getattr(variable, key, "")).lower() for key in ("standard_name", "axis"))}
    if str(getattr(variable, "units", "")).lower().startswith("degree"):
        raise in_degrees(name)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    if not step or np.abs(centres - even).max() > EVEN * abs(step):
        raise InputError(f"the cells of {name} are not equally spaced", f"along {dimension}", "resample it first")
    kind = "east" if words & set(EAST) else "north" if words & set(NORTH) else ""
    return kind, centres


def _crs(source: Any, variable: Any) -> Any:
    """rasterio's coordinate system of the variable's grid mapping, or None."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    mapping = source.variables.get(getattr(variable, "grid_mapping", ""))
    for key in ("crs_wkt", "spatial_ref"):
        if mapping is not None and hasattr(mapping, key):
            try:
                return CRS.from_wkt(getattr(mapping, key))
            except CRSError:
                return None
    return None
