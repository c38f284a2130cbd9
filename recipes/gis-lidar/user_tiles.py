"""The user's labelled tiles (--data): cut into squares, some of which are kept for the held-out figures.

Squares are 160 m wide, the size of a simulated scene. Every fifth is held out as a whole, so that no held-out point has
a trained neighbour but along the rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from . import las as lasio
from .crs import units_of
from .scan import Cloud

SQUARE_M = 160.0
HELD_OUT_EVERY = 5
FEWEST_POINTS = 1000  # of a square that is worth a look
MOST_POINTS = 1_200_000  # a denser square is thinned at random


@dataclass(frozen=True)
class Squares:
    """Files of squares on disk (NumPy .npz), each one `Cloud`."""

    training: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()


def parse_class_map(text: str) -> NDArray[np.uint8]:
    """`26=17,64=15,1=1` -> (256,) ASPRS code of each of the user's; 0 and 1 do not count unless named."""
    table = np.arange(256, dtype=np.uint8)
    table[:2] = 0
    for pair in filter(None, text.replace(" ", "").split(",")):
        theirs, _, ours = pair.partition("=")
        if not (theirs.isdigit() and ours.isdigit() and int(theirs) < 256 and int(ours) < 256):
            raise InputError(
                f"class_map cannot be read at {pair!r}", "it is a list of THEIRS=ASPRS", "write 26=17,1=1; 0 leaves out"
            )
        table[int(theirs)] = int(ours)
    return table


def cut_squares(source: Path, scratch: Path, class_map: str) -> Squares:
    """Cut every LAS/LAZ file of a folder (or one file) into squares below `scratch`. Raises InputError."""
    found = [source] if source.is_file() else source.rglob("*")
    files = sorted(p for p in found if p.suffix.lower() in (".las", ".laz"))
    if not files:
        raise InputError(f"{source} holds no point cloud", "no .las or .laz file", "give a folder of labelled tiles")
    table = parse_class_map(class_map)
    folder = scratch / "squares"
    folder.mkdir(parents=True, exist_ok=True)
    squares: list[Path] = []
    for file in files:
        squares += _cut(file, folder, table)
    if len(squares) < 2:
        raise InputError(
            f"{source} has too few labelled points",
            f"{len(squares)} squares of {SQUARE_M:.0f} m hold {FEWEST_POINTS} points or more",
            "give more tiles; class codes other than ASPRS need --param class_map=THEIRS=ASPRS",
        )
    held_out = squares[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY] or squares[-1:]
    return Squares(tuple(s for s in squares if s not in held_out), tuple(held_out))


def _cut(file: Path, folder: Path, table: NDArray[np.uint8]) -> list[Path]:
    las = lasio.read_header(file)
    unit = units_of(las)
    metres = np.array([unit.horizontal_m, unit.horizontal_m, unit.vertical_m])
    parts: dict[tuple[int, int], list[tuple[NDArray[np.float64], NDArray[np.uint8]]]] = {}
    for records in lasio.read_points(las):
        raw = np.stack(list(lasio.raw_coordinates(records).T), axis=1)
        xyz = (raw * np.array(las.scales) + np.array(las.offsets)) * metres
        number, count = lasio.returns(records, las.point_format)
        code = table[lasio.classes(records, las.point_format)]
        extra = np.stack([number, count, code], axis=1).astype(np.uint8)
        place = np.floor(xyz[:, :2] / SQUARE_M).astype(np.int64)
        for key in np.unique(place, axis=0):
            here = (place == key).all(axis=1)
            parts.setdefault((int(key[0]), int(key[1])), []).append((xyz[here], extra[here]))
    made = []
    for key in sorted(parts):
        xyz = np.concatenate([part[0] for part in parts[key]])
        extra = np.concatenate([part[1] for part in parts[key]])
        if (extra[:, 2] > 0).sum() < FEWEST_POINTS or (np.ptp(xyz[:, :2], axis=0) < 10.0).any():
            continue
        if len(xyz) > MOST_POINTS:
            kept = np.sort(np.random.default_rng(len(xyz)).choice(len(xyz), MOST_POINTS, replace=False))
            xyz, extra = xyz[kept], extra[kept]
        path = folder / f"{file.stem}_{key[0]}_{key[1]}.npz"
        np.savez(path, xyz=xyz - np.array([*(np.array(key) * SQUARE_M), 0.0]), extra=extra)
        made.append(path)
    return made


def read_square(path: Path) -> Cloud:
    """A square as a Cloud. The terrain is known where the user says ground, NaN elsewhere; class 0 does not count."""
    with np.load(path) as stored:
        xyz, extra = stored["xyz"], stored["extra"]
    terrain = np.where(extra[:, 2] == 2, xyz[:, 2], np.nan).astype(np.float32)
    unused = np.zeros(len(xyz), np.uint16)
    return Cloud(xyz, unused, extra[:, 0], extra[:, 1], extra[:, 2], terrain)
