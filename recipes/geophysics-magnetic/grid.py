"""A magnetic grid, and what it must be to be interpreted: nT in square cells of metres; each correction is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rasterio import Affine

NT_PER_UNIT = {
    "nt": 1.0, "nanotesla": 1.0, "nanoteslas": 1.0, "gamma": 1.0, "gammas": 1.0,
    "pt": 1e-3, "µt": 1e3, "ut": 1e3, "mt": 1e6, "t": 1e9, "tesla": 1e9,
}  # fmt: skip
ABSURD_NT = 1e6  # no survey has it: what is beyond marks a gap
SMALLEST_CELLS, MOST_CELLS = 16, 2_000_000
SQUARE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Grid:
    """A magnetic grid. Row 0 is the southernmost."""

    values: NDArray[np.float32]  # (rows, columns) nT, NaN in gaps
    west: float  # outer edge of the first column, in the unit of the coordinates
    south: float
    cell: float  # in that unit
    unit_m: float = 1.0  # metres of it
    crs: Any = None  # rasterio's, or None
    name: str = ""
    direction_deg: tuple[float, float] | None = None  # inclination and declination, where the file tells them
    warnings: tuple[str, ...] = field(default=())

    @property
    def spacing_m(self) -> float:
        return self.cell * self.unit_m

    @property
    def transform(self) -> Affine:
        """Of the grid with its rows turned to the south, as files have them."""
        from rasterio.transform import from_origin

        return from_origin(self.west, self.south + len(self.values) * self.cell, self.cell, self.cell)


def metres_of(crs: Any, name: str, west: float, south: float, cell: float) -> float:
    """Metres of the unit of the coordinates. Raises InputError for degrees."""
    looks_geographic = abs(west) <= 360 and abs(south) <= 90 and cell < 0.5
    if (crs is not None and crs.is_geographic) or (crs is None and looks_geographic):
        raise in_degrees(name)
    if crs is None:
        return 1.0
    try:
        return float(crs.linear_units_factor[1])
    except Exception:  # a local system without a unit, whose errors differ between versions of GDAL
        return 1.0


def in_degrees(name: str) -> InputError:
    return InputError(
        f"{name} is in degrees", "its cells cannot be compared with depths",
        "project it first: gdalwarp -t_srs EPSG:326ZZ in out.tif (UTM zone ZZ)",
    )  # fmt: skip


def in_nanotesla(grid: NDArray[np.float64], units: str, name: str) -> tuple[NDArray[np.float64], list[str]]:
    """The grid in nT, gaps as NaN. Raises InputError for a unit that is none of a magnetic field."""
    told = []
    factor = NT_PER_UNIT.get(units.lower(), None if units else 1.0)
    if factor is None:
        raise InputError(
            f"{name} is in {units!r}", "a total magnetic intensity is in nT",
            "if it is in nT all the same: gdal_edit.py -units nT FILE",
        )  # fmt: skip
    if factor != 1.0:
        told.append(f"values were converted from {units} to nT")
    grid = grid * factor
    absurd = np.abs(grid) > ABSURD_NT
    if absurd.any():
        told.append(f"{int(absurd.sum())} values beyond {ABSURD_NT:g} nT were taken as gaps")
    return np.where(absurd, np.nan, grid), told


def square(grid: NDArray[np.float64], across: float, along: float) -> tuple[NDArray[np.float64], float, list[str]]:
    """The grid in square cells, their size, and a word if that took resampling: to the smaller size, bilinearly.

    Cells whose neighbours are gaps become gaps.
    """
    if abs(across - along) <= SQUARE_TOLERANCE * across:
        return grid, float(np.sqrt(across * along)), []
    from scipy import ndimage

    cell = min(across, along)
    rows, columns = (max(int(n * size / cell), 1) for n, size in zip(grid.shape, (along, across), strict=True))
    north = (np.arange(rows) + 0.5) * cell / along - 0.5
    east = (np.arange(columns) + 0.5) * cell / across - 0.5
    places = np.meshgrid(north, east, indexing="ij")
    resampled = ndimage.map_coordinates(grid, places, order=1, mode="nearest")
    return resampled, cell, [f"cells of {across:g} x {along:g} were resampled to {cell:g} x {cell:g}"]


def checked(grid: Grid) -> Grid:
    """Raises InputError for what no result could come of."""
    rows, columns = grid.values.shape
    if min(rows, columns) < SMALLEST_CELLS:
        raise InputError(
            f"{grid.name} has {rows} x {columns} cells",
            f"at least {SMALLEST_CELLS} each way are needed to see a body's shape",
            "grid it with smaller cells, or take a larger part",
        )  # fmt: skip
    if rows * columns > MOST_CELLS:
        raise InputError(
            f"{grid.name} has {rows * columns:,} cells", f"at most {MOST_CELLS:,} fit into the memory",
            "cut it into overlapping parts: gdal_translate -srcwin",
        )  # fmt: skip
    known = np.isfinite(grid.values)
    if known.sum() < SMALLEST_CELLS**2:
        raise InputError(f"{grid.name} has no more than {int(known.sum())} values", "the rest are gaps")
    values = grid.values[known].astype(np.float64)
    spread, level = float(values.std()), float(np.median(values))
    if spread < 1e-9 * max(abs(level), 1e-30):
        raise InputError(f"{grid.name} has the same value everywhere", f"{level:g}")
    if spread < 1e-3 and abs(level) < 1e-3:
        raise InputError(
            f"{grid.name} does not look like nT", f"its values spread by {spread:.2g}, as fields in tesla do",
            "multiply by 1e9 first, or set the file's unit to T",
        )  # fmt: skip
    if values.min() > 20 and values.max() < 70:
        raise InputError(
            f"{grid.name} does not look like nT", f"its values are {values.min():.3g} to {values.max():.3g}, as the "
            "Earth's field in microtesla is",
            "multiply by 1000 first, or set the file's unit to uT; anomalies in nT: subtract their mean",
        )  # fmt: skip
    told = list(grid.warnings)
    gaps = 1 - known.mean()
    if gaps > 0:
        told.append(f"{gaps:.1%} of the grid are gaps: filled for the filters, left empty in the results")
    return replace(grid, warnings=tuple(told))


def direction_in(tags: dict[str, str]) -> tuple[float, float] | None:
    """Inclination and declination among a file's tags; NetCDF's global attributes have a prefix."""
    plain = {key.rpartition("#")[2].lower(): text for key, text in tags.items()}
    try:
        return float(plain["inclination"]), float(plain["declination"])
    except (KeyError, ValueError):
        return None
