"""Every format gives the same grid, and what is wrong with a file is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="grids are read with rasterio")
pytest.importorskip("netCDF4", reason="and NetCDF with netCDF4")

from hive_runner.errors import InputError  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402

HERE = Path(__file__).parent
files = load("geophysics-magnetic", HERE, "files")

ROWS, COLUMNS, CELL = 40, 60, 50.0
NORTH, EAST = np.mgrid[:ROWS, :COLUMNS].astype(float)
VALUES = 48_000 + 300 * np.exp(-((NORTH - 12) ** 2 + (EAST - 40) ** 2) / 40) + 0.5 * EAST  # row 0 is the southernmost
WEST, SOUTH = 500_000.0, 6_000_000.0


def write(path: Path, driver: str, values: np.ndarray = VALUES, **profile: object) -> Path:
    profile = {"crs": "EPSG:32633", "transform": from_origin(WEST, SOUTH + ROWS * CELL, CELL, CELL)} | profile
    dtype = str(profile.pop("dtype", "float64"))
    rows, columns = values.shape
    with rasterio.open(
        path, "w", driver=driver, height=rows, width=columns, count=1, dtype=dtype, **profile
    ) as target:  # fmt: skip
        target.write(values[::-1].astype(dtype), 1)
    return path


def write_gxf(path: Path) -> Path:
    """Grid eXchange File, revision 3: rows from the south-west corner (sense 1), points at the centres of cells."""
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in VALUES)
    path.write_text(
        f"a grid\n#POINTS\n{COLUMNS}\n#ROWS\n{ROWS}\n#PTSEPARATION\n{CELL}\n#RWSEPARATION\n{CELL}\n"
        f"#XORIGIN\n{WEST + CELL / 2}\n#YORIGIN\n{SOUTH + CELL / 2}\n#SENSE\n1\n#DUMMY\n-9999\n#GRID\n{rows}\n"
    )
    return path


def write_netcdf(path: Path, north: str = "y", east: str = "x", order: str = "yx") -> Path:
    """Coordinates of the centres, without a word on what they are; xarray writes such files."""
    from scipy.io import netcdf_file

    with netcdf_file(path, "w") as target:
        for name, count, start in ((north, ROWS, SOUTH), (east, COLUMNS, WEST)):
            target.createDimension(name, count)
            target.createVariable(name, "d", (name,))[:] = start + (np.arange(count) + 0.5) * CELL
        names = (north, east) if order == "yx" else (east, north)
        target.createVariable("z", "d", names)[:] = VALUES if order == "yx" else VALUES.T
    return path


def write_ers(folder: Path) -> Path:
    folder.mkdir()
    write(folder / "grid.ers", "ERS", dtype="float32")
    return folder


def write_list(path: Path) -> Path:
    lines = [
        f"{WEST + (j + 0.5) * CELL};{SOUTH + (i + 0.5) * CELL};{VALUES[i, j]:.4f}".replace(".", ",")
        for i in range(ROWS) for j in range(COLUMNS)
    ]  # fmt: skip
    path.write_text("Easting (m);Northing (m);TMI [nT]\n" + "\n".join(lines))
    return path


WRITERS = {
    "GeoTIFF": lambda folder: write(folder / "g.tif", "GTiff"),
    "Surfer 6 text": lambda folder: write(folder / "g.grd", "GSAG"),
    "Surfer 6 binary": lambda folder: write(folder / "g.grd", "GSBG", dtype="float32"),
    "Surfer 7": lambda folder: write(folder / "g.grd", "GS7BG"),
    "ERS": lambda folder: write_ers(folder / "ers"),
    "GXF": lambda folder: write_gxf(folder / "g.gxf"),
    "NetCDF": lambda folder: write_netcdf(folder / "g.nc"),
    "NetCDF with field names": lambda folder: write_netcdf(folder / "g.nc", "northing", "easting"),
    "NetCDF the other way round": lambda folder: write_netcdf(folder / "g.nc", "northing", "easting", "xy"),
    "GMT": lambda folder: write_netcdf(folder / "g.grd"),
    "a list": lambda folder: write_list(folder / "g.csv"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_grid(kind: str, tmp_path: Path) -> None:
    grid = files.read(WRITERS[kind](tmp_path))
    assert grid.values.shape == VALUES.shape
    np.testing.assert_allclose(grid.values, VALUES, atol=0.05)
    assert (grid.west, grid.south, grid.cell) == pytest.approx((WEST, SOUTH, CELL), abs=0.01)
    assert grid.spacing_m == pytest.approx(CELL)


def test_gaps_of_every_kind_are_gaps(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[3, 4], values[5, 6] = -9999.0, 1.70141e38
    values[7, 8] = np.nan
    grid = files.read(write(tmp_path / "g.tif", "GTiff", values, nodata=-9999.0))
    assert {tuple(place) for place in np.argwhere(np.isnan(grid.values))} == {(3, 4), (5, 6), (7, 8)}
    told = " ".join(grid.warnings)
    assert "taken as gaps" in told and "% of the grid" in told


def test_units_are_converted_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "g.tif", "GTiff", VALUES * 1e-9)
    with pytest.raises(InputError, match="does not look like nT"):
        files.read(path)
    with rasterio.open(path, "r+") as target:
        target.set_band_unit(1, "T")
    grid = files.read(path)
    np.testing.assert_allclose(grid.values, VALUES, rtol=1e-5)
    assert any("from T to nT" in told for told in grid.warnings)
    with pytest.raises(InputError, match="does not look like nT"):
        files.read(write(tmp_path / "micro.tif", "GTiff", VALUES * 1e-3))
    with rasterio.open(path, "r+") as target:
        target.set_band_unit(1, "mGal")
    with pytest.raises(InputError, match="mGal"):
        files.read(path)


def test_feet_become_metres(tmp_path: Path) -> None:
    grid = files.read(write(tmp_path / "g.tif", "GTiff", crs="EPSG:2263"))
    assert grid.spacing_m == pytest.approx(CELL * 1200 / 3937)


def test_cells_that_are_not_square_are_resampled_and_it_is_said(tmp_path: Path) -> None:
    grid = files.read(write(tmp_path / "g.tif", "GTiff", transform=from_origin(WEST, SOUTH + ROWS * 100, CELL, 100.0)))
    assert grid.values.shape == (80, COLUMNS) and grid.cell == CELL
    assert any("resampled" in told for told in grid.warnings)
    assert grid.values[25, 40] == pytest.approx(VALUES[12, 40], abs=8)


def test_a_grid_whose_rows_go_north_is_not_turned_upside_down(tmp_path: Path) -> None:
    upward = rasterio.Affine(CELL, 0, WEST, 0, CELL, SOUTH)
    grid = files.read(write(tmp_path / "g.tif", "GTiff", VALUES[::-1], transform=upward))
    np.testing.assert_allclose(grid.values, VALUES, atol=0.01)
    assert grid.south == SOUTH


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"crs": "EPSG:4326", "transform": from_origin(15, 54, 0.001, 0.001)}, "in degrees"),
        ({"crs": None, "transform": from_origin(15, 54, 0.001, 0.001)}, "in degrees"),
        ({"crs": None, "transform": rasterio.Affine.identity()}, "where it lies"),
        ({"transform": rasterio.Affine(40, 30, WEST, 30, -40, SOUTH)}, "rotated"),
    ],
)
def test_what_cannot_be_compared_with_depths_is_refused(
    profile: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        files.read(write(tmp_path / "g.tif", "GTiff", **profile))


def test_small_empty_and_flat_grids_are_refused(tmp_path: Path) -> None:
    for values, message in [
        (VALUES[:10], "10 x 60 cells"),
        (np.full_like(VALUES, 48_000.0), "same value"),
        (np.where(NORTH < 3, VALUES, np.nan), "180 values"),
    ]:
        with pytest.raises(InputError, match=message):
            files.read(write(tmp_path / "g.tif", "GTiff", values))


def test_files_that_are_no_grids_say_so(tmp_path: Path) -> None:
    for name, text, message in [
        ("g.tif", "not a picture", "cannot be read"),
        ("g.csv", "", "is empty"),
        ("g.csv", "x,y,gravity\n1,2,3\n", "total magnetic intensity"),
        ("g.csv", "lon,lat,tmi\n15.1,53.2,48000\n", "in degrees"),
        ("g.csv", "1,2,3,4\n1,2,3,4\n", "which of its 4 columns"),
        ("g.csv", "x,y,tmi\n" + "1000,2000,5\n" * 300, "no area"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            files.read(tmp_path / name)
    for name, words in [("lonely.ers", "folder"), ("closed.grd", "Geosoft")]:
        (tmp_path / name).write_text("DatasetHeader Begin\n")
        with pytest.raises(InputError, match="cannot be read") as caught:
            files.read(tmp_path / name)
        assert words in caught.value.hint


def test_swapped_columns_are_noticed_and_named_columns_are_trusted(tmp_path: Path) -> None:
    text = write_list(tmp_path / "g.csv").read_text().replace("Easting (m);Northing (m)", "y;x")
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match="swapped"):
        files.read(tmp_path / "g.csv")
    grid = files.read(tmp_path / "g.csv", columns="y,x,TMI [nT]")
    np.testing.assert_allclose(grid.values, VALUES, atol=0.01)


@pytest.mark.slow
def test_survey_lines_are_gridded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["/ X Y MAG"]
    for number, east in enumerate(np.arange(0.0, 3000.0, 100.0)):  # 100 m apart, a value each 10 m
        lines.append(f"Line {number}")
        for north in np.arange(0.0, 2000.0, 10.0):
            x, y = east + rng.normal(0, 3), north + rng.normal(0, 1)
            value = 48_000 + 300 * np.exp(-((x - 1500) ** 2 + (y - 900) ** 2) / (2 * 300**2))
            lines.append(f"{WEST + x:.1f} {SOUTH + y:.1f} {value:.2f}")
    (tmp_path / "lines.xyz").write_text("\n".join(lines))
    grid = files.read(tmp_path / "lines.xyz")
    assert 20 < grid.cell < 32 and any("gridded" in told for told in grid.warnings)
    rows, columns = grid.values.shape
    east = grid.west + (np.arange(columns) + 0.5) * grid.cell - WEST
    north = (grid.south + (np.arange(rows) + 0.5) * grid.cell - SOUTH)[:, None]
    truth = 48_000 + 300 * np.exp(-((east - 1500) ** 2 + (north - 900) ** 2) / (2 * 300**2))
    assert np.nanmax(np.abs(grid.values - truth)) < 12 and np.isfinite(grid.values).mean() > 0.9
    assert files.read(tmp_path / "lines.xyz", spacing=50.0).cell == 50.0
