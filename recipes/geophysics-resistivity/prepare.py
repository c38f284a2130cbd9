"""From a field line to a survey on a grid: what cannot be used is left out, and said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from .data import LN10, Survey
from .formats import FieldLine, unused
from .grid import Floats, Grid
from .solver import Abmn, Solver

FEWEST_ELECTRODES, FEWEST_READINGS = 12, 30
MOST_STATIONS, MOST_READINGS = 260, 3000
ASSUMED_ERROR, LEAST_ERROR = 0.03, 0.01  # shares of a reading
CANCELLED = 2e-4  # of the potential left over when its parts cancel: what is left is noise
GENTLE_SLOPE, STEEP_SLOPE = 10.0, 25.0  # degrees
MOST_LOST = 0.3  # share of unusable readings that is worth a warning


@dataclass(frozen=True)
class Prepared:
    """A survey and its data, log10 ohm m; and the way back to the file and into the field."""

    survey: Survey
    data: Floats  # (N,)
    unit_m: float  # metres a spacing
    kept: NDArray[np.int64]  # (N,) rows of the file's readings
    abmn: Abmn  # (N, 4) stations
    stations: Floats  # (S, 3) metres: distance along the surface, along the line, height
    errors_given: bool
    notes: list[str]
    warnings: list[str]


def prepare(line: FieldLine, error_percent: float = 0.0) -> Prepared:
    """error_percent: standard deviation of the readings; 0: as the file has it, or 3. Raises InputError."""
    notes, warnings = list(line.notes), []
    kept = np.flatnonzero(_usable(line, notes))
    if len(kept) < MOST_LOST * len(line.abmn):
        warnings.append(f"{len(line.abmn) - len(kept)} of {len(line.abmn)} readings cannot be used")
    if len(kept) > MOST_READINGS:
        notes.append(f"{len(kept)} readings: {MOST_READINGS} of them, evenly chosen, are used")
        kept = kept[np.linspace(0, len(kept) - 1, MOST_READINGS).round().astype(int)]
    idle = unused(len(line.positions), line.abmn[kept])
    electrodes = line.positions[~idle]
    number = np.cumsum(~idle) - 1
    abmn = np.where(line.abmn[kept] >= 0, number[line.abmn[kept]], -1)
    if len(electrodes) < FEWEST_ELECTRODES or len(kept) < FEWEST_READINGS:
        raise InputError(
            f"too little for a section: {len(electrodes)} electrodes and {len(kept)} usable readings",
            f"at least {FEWEST_ELECTRODES} and {FEWEST_READINGS} are needed; the model learned from lines of 24 to 96",
            "give the whole line in one file",
        )
    order = np.argsort(electrodes[:, 0], kind="stable")
    rank = np.argsort(order)
    electrodes, abmn = electrodes[order], np.where(abmn >= 0, rank[abmn], -1)
    distance = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(electrodes, axis=0).T))])
    _judge_slope(electrodes, notes, warnings)
    grid, unit, index = _lay_out(distance, notes, warnings)
    stations = np.stack([np.interp(np.array(grid.stations) * unit, distance, part) for part in
                         (distance, electrodes[:, 0], electrodes[:, 1])], 1)  # fmt: skip
    on_grid = np.where(abmn >= 0, index[abmn], -1)
    data = np.log10(line.apparent[kept])
    error = _errors(line, kept, error_percent, notes)
    if len(electrodes) > 96 or len(electrodes) < 24:
        warnings.append(f"{len(electrodes)} electrodes: the model was trained with 24 to 96")
    survey = Survey.plan(Solver(grid), on_grid, error / LN10)
    return Prepared(
        survey, data, unit, kept, on_grid, stations, line.error is not None or error_percent > 0, notes, warnings
    )


def _usable(line: FieldLine, notes: list[str]) -> NDArray[np.bool_]:
    """(N,) whether a reading can be used."""
    twice = np.zeros(len(line.abmn), bool)
    for i in range(4):
        for j in range(i):
            twice |= (line.abmn[:, i] == line.abmn[:, j]) & (line.abmn[:, i] >= 0)
    finite = np.isfinite(line.apparent)
    negative = finite & ~twice & (line.apparent <= 0)
    cancelled = ~twice & finite & ~negative & (_remainder(line.positions[:, 0], line.abmn) < CANCELLED)
    for rows, why in (
        (twice, "use an electrode twice"),
        (~finite & ~twice, "hold no number"),
        (negative, "have a negative apparent resistivity"),
        (cancelled, "measure where the potentials of A and B cancel"),
    ):
        if rows.any():
            notes.append(f"{int(rows.sum())} readings {why}: left out")
    return ~twice & finite & ~negative & ~cancelled


def _remainder(x: Floats, abmn: Abmn) -> Floats:
    """(N,) size of the potential difference over the sum of its parts' sizes."""
    parts = []
    for current, potential, sign in ((0, 2, 1), (1, 2, -1), (0, 3, -1), (1, 3, 1)):
        i, j = abmn[:, current], abmn[:, potential]
        apart = np.abs(x[i] - x[j])
        parts.append(np.where((i >= 0) & (j >= 0) & (apart > 0), sign / np.maximum(apart, 1e-12), 0.0))
    total = np.array(parts)
    return np.asarray(np.abs(total.sum(0)) / np.maximum(np.abs(total).sum(0), 1e-30))


def _judge_slope(electrodes: Floats, notes: list[str], warnings: list[str]) -> None:
    run = np.maximum(np.diff(electrodes[:, 0]), 1e-9)
    slope = np.degrees(np.arctan2(np.abs(np.diff(electrodes[:, 1])), run))
    if np.ptp(electrodes[:, 1]) == 0:
        return
    notes.append("topography: distances are taken along the surface, the ground below is draped from it")
    steep = float(np.quantile(slope, 0.95))
    if steep > STEEP_SLOPE:
        warnings.append(f"slopes of {steep:.0f} degrees: draping is made for gentle ground, expect artefacts")
    elif steep > GENTLE_SLOPE:
        notes.append(f"slopes of up to {steep:.0f} degrees: draped ground is a little off below ridges and valleys")


def _lay_out(distance: Floats, notes: list[str], warnings: list[str]) -> tuple[Grid, float, NDArray[np.int64]]:
    """A grid with a station at each electrode and in each gap, metres a spacing, and each electrode's station."""
    step = np.diff(distance)
    if step.min() <= 0:
        raise InputError(
            "two electrodes stand in one place", "distances along the line must grow", "check the coordinates"
        )
    unit = float(np.quantile(step, 0.2))
    whole = step / unit
    between = np.maximum(np.rint(whole), 1).astype(int)
    uneven = np.abs(whole / between - 1)
    if uneven.max() > 0.05:
        notes.append("electrodes stand unevenly: the grid follows them")
    if uneven.max() > 0.4:
        warnings.append("electrode distances differ and are no multiples of one: detail is lost near the close ones")
    if between.sum() + 1 > MOST_STATIONS:
        raise InputError(
            f"the line is too long: {between.sum() + 1} places at {unit:.3g} m",
            f"at most {MOST_STATIONS} are inverted at a time",
            "cut it into overlapping parts",
        )
    stations = [0.0]
    for length, count in zip(step, between, strict=True):
        stations += [stations[-1] + length * (k + 1) / count / unit for k in range(count)]
    index = np.concatenate([[0], np.cumsum(between)])
    return Grid(tuple(stations)), unit, index


def _errors(line: FieldLine, kept: NDArray[np.int64], error_percent: float, notes: list[str]) -> Floats:
    """(N,) standard deviations as shares of the readings."""
    if error_percent > 0:
        return np.full(len(kept), error_percent / 100)
    if line.error is None:
        notes.append(f"the file gives no errors: {ASSUMED_ERROR:.0%} are assumed, and raised if the fit asks for it")
        return np.full(len(kept), ASSUMED_ERROR)
    error = np.nan_to_num(line.error[kept], nan=ASSUMED_ERROR)
    low = error < LEAST_ERROR
    if low.any():
        least = f"{LEAST_ERROR:.0%}, the least that contact and place allow"
        notes.append(f"{int(low.sum())} errors are below {least}: raised")
    return np.clip(error, LEAST_ERROR, 1.0)
