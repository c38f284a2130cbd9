"""Columns x, y, value: a grid as a list, or points and lines that are gridded first."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy import interpolate, spatial

from .grid import ABSURD_NT, MOST_CELLS, SMALLEST_CELLS, SQUARE_TOLERANCE, Grid, square

Array = NDArray[np.float64]

NAMES = {
    "x": (
        "x", "e", "east", "easting", "eastings", "utm_x", "utm_e", "utm_easting", "x_m", "coord_x", "xcoord",
        "easting_m",
    ),
    "y": (
        "y", "n", "north", "northing", "northings", "utm_y", "utm_n", "utm_northing", "y_m", "coord_y", "ycoord",
        "northing_m",
    ),
    "value": (
        "tmi", "mag", "tmi_nt", "mag_nt", "magnetic", "magnetics", "total_field", "totalfield", "field", "nt", "tfa",
        "tma", "total_field_anomaly", "total_field_anomaly_nt", "magnetic_anomaly", "anomaly", "maglev", "mag_lev",
        "maglevelled", "residual", "rmi", "z", "value", "b", "f",
    ),
}  # fmt: skip
ASIDE = re.compile(r"(?i)[#/!]|(line|tie|random)\b\s*\S*$")  # comments, and Geosoft XYZ's heads of lines
DEGREES = re.compile(r"lon|lat")
CELLS_A_LINE = 4  # cells from one survey line to the next
LATTICE_TOLERANCE = 0.02  # of a cell


def read_table(path: Path, columns: str, spacing: float) -> Grid:
    """A grid from a table. Raises InputError."""
    x, y, value, told = _three_columns(path, columns)
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(value)
    absurd = np.abs(value) > ABSURD_NT
    if (~known).any() or (known & absurd).any():
        told.append(f"{int((~known | absurd).sum())} lines without a number, or with an absurd one, were left out")
    x, y, value = (each[known & ~absurd] for each in (x, y, value))
    if len(x) < SMALLEST_CELLS**2:
        raise InputError(f"{path.name} has {len(x)} points", f"a grid takes at least {SMALLEST_CELLS**2}")
    _check_coordinates(path.name, x, y, given=bool(columns))
    lattice = None if spacing else _lattice(x, y)
    if lattice is not None:
        values, west, south = _place(x, y, value, lattice)
        values, cell, resampled = square(values, *lattice)
        told += resampled
    else:
        cell = spacing or _line_spacing(x, y) / CELLS_A_LINE
        values, west, south = _gridded(x, y, value, cell, path.name)
        told.append(
            f"{len(x):,} points were gridded to cells of {cell:g}"
            + ("" if spacing else " (--spacing sets another size)")
        )
    told.append("a table has no coordinate system: metres are assumed")
    return Grid(values.astype(np.float32), west, south, cell, 1.0, None, path.name, None, tuple(told))


def _three_columns(path: Path, columns: str) -> tuple[Array, Array, Array, list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read", str(error)) from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not ASIDE.match(line)]
    if not lines:
        raise InputError(f"{path.name} is empty", "a table of x, y and total magnetic intensity is wanted")
    separator = _separator(lines[-1])
    decimal_comma = separator == ";" and "," in lines[-1] and "." not in lines[-1]
    first = [word.strip().strip('"').lower() for word in lines[0].split(_separator(lines[0]))]
    has_header = not all(_is_number(word.replace(",", ".") if decimal_comma else word) for word in first)
    wanted = [name.strip().lower() for name in columns.split(",")] if columns else []
    if wanted and len(wanted) != 3:
        raise InputError(f"--columns names {len(wanted)} columns", columns, "three are needed, such as x,y,tmi")
    if has_header:
        picks = _picked(path.name, first, wanted)
    elif wanted and all(name.isdigit() and 1 <= int(name) <= len(first) for name in wanted):
        picks = [int(name) - 1 for name in wanted]
    elif len(first) == 3 and not wanted:
        picks = [0, 1, 2]
    else:
        raise InputError(
            f"{path.name} does not say which of its {len(first)} columns are x, y and field",
            "its first line is no header", "--columns 1,2,3 (their numbers), or add a header x,y,tmi",
        )  # fmt: skip
    numbers = np.full((len(lines) - has_header, 3), np.nan)
    for i, line in enumerate(lines[has_header:]):
        words = line.split(separator)
        for j, pick in enumerate(picks):
            word = words[pick].strip().strip('"') if pick < len(words) else ""
            word = word.replace(",", ".") if decimal_comma else word
            numbers[i, j] = float(word) if _is_number(word) else np.nan
    if not np.isfinite(numbers).all(1).any():
        raise InputError(f"{path.name} has no line with three numbers", f"its first line is {lines[0][:60]!r}")
    return numbers[:, 0], numbers[:, 1], numbers[:, 2], []


def _separator(line: str) -> str | None:
    """What parts the words of a line; None: spaces."""
    return next((each for each in (";", "\t", ",") if each in line), None)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _picked(name: str, header: list[str], wanted: list[str]) -> list[int]:
    """Where x, y and value stand in the header."""
    if wanted:
        if missing := [each for each in wanted if each not in header]:
            raise InputError(f"{name} has no column {missing[0]!r}", f"it has {', '.join(header)}")
        return [header.index(each) for each in wanted]
    plain = [re.sub(r"[^a-z0-9]+", "_", re.sub(r"[\[(].*?[\])]", "", each)).strip("_") for each in header]
    picks = []
    for role, names in NAMES.items():
        found = [plain.index(each) for each in names if each in plain]
        if not found:
            if role != "value" and any(DEGREES.search(each) for each in plain):
                raise InputError(
                    f"{name} is in degrees", f"its columns are {', '.join(header)}", "add projected x and y (UTM)",
                )  # fmt: skip
            what = "total magnetic intensity" if role == "value" else role
            raise InputError(
                f"{name} has no column for {what}", f"its columns are {', '.join(header)}",
                "name three: --columns x,y,tmi",
            )  # fmt: skip
        picks.append(found[0])
    return picks


def _check_coordinates(name: str, x: Array, y: Array, given: bool) -> None:
    if max(np.ptp(x), np.ptp(y)) < 20 and np.abs(x).max() <= 360 and np.abs(y).max() <= 90:
        raise InputError(
            f"{name} seems to be in degrees", f"x from {x.min():g} to {x.max():g}, y from {y.min():g} to {y.max():g}",
            "project the coordinates to metres (UTM) first",
        )  # fmt: skip
    if min(np.ptp(x), np.ptp(y)) == 0:
        raise InputError(f"{name} covers no area", "all points lie at one x or one y")
    if not given and np.median(x) > 1e6 and 1e5 < np.median(y) < 1e6:
        raise InputError(
            f"{name} seems to have x and y swapped",
            f"x is about {np.median(x):,.0f}, as northings are; y {np.median(y):,.0f}",
            "--columns y,x,tmi (easting first), or --columns x,y,tmi if it is right as it is",
        )  # fmt: skip


def _lattice(x: Array, y: Array) -> tuple[float, float] | None:
    """Cell sizes of points that fill a lattice, at least half of it; None for others."""
    sizes = []
    for axis in (x, y):
        steps = np.diff(np.unique(np.round(axis, 3)))
        if not len(steps):
            return None
        step = float(np.median(steps))
        off = np.abs((axis - axis.min()) / step - np.rint((axis - axis.min()) / step))
        if off.max() > LATTICE_TOLERANCE * max(1.0, np.ptp(axis) / step / 50):
            return None
        sizes.append(float(np.ptp(axis) / np.rint(np.ptp(axis) / step)))
    if abs(sizes[0] - sizes[1]) <= SQUARE_TOLERANCE * sizes[0]:
        sizes = [float(np.mean(sizes))] * 2
    cells = (np.ptp(x) / sizes[0] + 1) * (np.ptp(y) / sizes[1] + 1)
    compact = max(sizes) / min(sizes) < 4  # else lines that happen to run along an axis
    return (sizes[0], sizes[1]) if compact and len(x) > 0.5 * cells and cells < 4 * MOST_CELLS else None


def _place(x: Array, y: Array, value: Array, sizes: tuple[float, float]) -> tuple[Array, float, float]:
    column, row = np.rint((x - x.min()) / sizes[0]).astype(int), np.rint((y - y.min()) / sizes[1]).astype(int)
    values = np.full((row.max() + 1, column.max() + 1), np.nan)
    values[row, column] = value
    return values, float(x.min() - sizes[0] / 2), float(y.min() - sizes[1] / 2)


def _line_spacing(x: Array, y: Array) -> float:
    """Distance from one survey line to the next: 90 % of all places are nearer to a line than 0.45 of it."""
    points = np.stack([x, y], axis=1)
    hull = spatial.Delaunay(points[spatial.ConvexHull(points).vertices])
    rng = np.random.default_rng(0)
    places = rng.uniform(points.min(0), points.max(0), (4000, 2))
    places = places[hull.find_simplex(places) >= 0]
    away, _ = spatial.cKDTree(points).query(places)
    return float(np.quantile(away, 0.9) / 0.45)


def _gridded(x: Array, y: Array, value: Array, cell: float, name: str) -> tuple[Array, float, float]:
    """Means of what lies in one cell, a C1 surface through them; cells far from any point are gaps."""
    west, south = float(x.min() - cell / 2), float(y.min() - cell / 2)
    columns, rows = (int(np.ptp(axis) / cell + 0.5) + 1 for axis in (x, y))
    if rows * columns > MOST_CELLS:
        raise InputError(
            f"{name} would become a grid of {rows} x {columns}", "too many cells", "--spacing sets larger ones"
        )
    flat = np.floor((y - south) / cell).astype(int) * columns + np.floor((x - west) / cell).astype(int)
    flat = np.clip(flat, 0, rows * columns - 1)
    count = np.bincount(flat, minlength=rows * columns)
    used = count > 0
    mean_x, mean_y, mean = (
        np.bincount(flat, weights, minlength=rows * columns)[used] / count[used] for weights in (x, y, value)
    )
    points = np.stack([mean_x - west, mean_y - south], axis=1) / cell  # small numbers: its gradients lose digits
    surface = interpolate.CloughTocher2DInterpolator(points, mean)
    east, north = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    values = surface(east, north)
    away, _ = spatial.cKDTree(points).query(np.stack([east.ravel(), north.ravel()], axis=1))
    far = away.reshape(values.shape) > max(0.75 * _line_spacing(x, y) / cell, 1.5)
    return np.where(far, np.nan, values), west, south
