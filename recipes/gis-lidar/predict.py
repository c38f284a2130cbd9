"""Classify a point cloud: LAS, LAZ or COPC in, the same points in the same order with classes and confidences out.

Three passes over the file, none of which holds it in memory (see tiles.py): sort by place, classify tile by tile, copy
with the new classes. The target appears at the end, complete, or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import ArrayLike, NDArray

from . import las as lasio
from .crs import Units, units_of
from .las import LasFile, LasWriter
from .tiles import BLOCK_POINTS, SCRATCH_BYTES_PER_POINT, UNSET, Classifier, Tiling

if TYPE_CHECKING:
    from hive_runner.run import Run

    from .scan import Cloud

CLASS_NAMES = {
    0: "never classified", 1: "unclassified", 2: "ground", 3: "low vegetation", 4: "medium vegetation",
    5: "high vegetation", 6: "building", 7: "noise", 9: "water", 14: "wire", 15: "tower", 17: "bridge deck",
}  # fmt: skip
LARGEST_COORDINATE_M = 1e8  # nothing on Earth has larger projected coordinates
BASE_MEMORY = 500_000_000  # bytes, measured: torch, the network, compiled kernels, the file's buffers
MEMORY_PER_BLOCK_POINT = 500  # bytes, measured: what a tile takes at its peak, by `tiles.load`

Progress = Callable[[str, int, int], None]  # phase, points done, points in all


def _quiet(phase: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


class Model:
    """A trained classifier for arrays and files."""

    def __init__(self, classifier: Classifier, threads: int = 1, experimental: tuple[int, ...] = ()) -> None:
        self._classifier, self._workers, self._experimental = classifier, max(1, threads), experimental

    def classify(
        self,
        xyz: ArrayLike,
        return_number: ArrayLike | None = None,
        number_of_returns: ArrayLike | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Classes of a cloud in memory. xyz: (N, 3) metres; returns: (N,), 1 of 1 if left out.

        Returns (N,) ASPRS classes and (N,) confidences, 0 to 1 in steps of 0.01. Raises InputError.
        """
        points = np.asarray(xyz, np.float64)
        _check_cloud(points)
        ones = np.ones(len(points), np.uint8)
        number = ones if return_number is None else _nibble(return_number)
        count = ones if number_of_returns is None else _nibble(number_of_returns)
        if not len(number) == len(count) == len(points):
            raise InputError("coordinates and returns differ in length", f"{len(points)}, {len(number)}, {len(count)}")
        origin = np.floor(points.min(0))
        step = max(1e-4, float(np.ptp(points, axis=0).max()) / 2**30)  # metres: a tenth of a millimetre
        with tempfile.TemporaryDirectory(prefix="hive-lidar-") as folder:
            tiling = Tiling(Path(folder), np.full(3, step), origin)
            for begin in range(0, len(points), lasio.POINTS_PER_READ):
                part = slice(begin, begin + lasio.POINTS_PER_READ)
                raw = np.rint((points[part] - origin) / step).astype(np.int32)
                tiling.add(raw, (number[part] & 15) | (count[part] << 4))
            tiling.classify(self._classifier, self._workers)
            results = list(tiling.results())
        classes = np.concatenate([found for found, _ in results])
        hundredths = np.concatenate([confidence for _, confidence in results])
        return classes, (hundredths / np.float32(100)).astype(np.float32)

    def warm_up(self) -> None:
        """Classify a few points, so that kernels are compiled and the first tile takes no longer than the others."""
        grid = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0), [0.0]), axis=-1).reshape(-1, 3)
        self.classify(grid)

    def classify_file(
        self,
        source: str | Path,
        target: str | Path,
        units: str = "auto",
        scratch: Path | None = None,
        progress: Progress = _quiet,
        memory_bytes: int = 0,
    ) -> dict[str, Any]:
        """Write `source` with classes and confidences to `target` (.las or .laz); returns a summary.

        `units`: "auto" (of the file's coordinate system), "m", "ft" or "us-ft". Everything but the classes and the
        dimension `confidence` is kept. Raises InputError.
        """
        begin = time.monotonic()
        source, target = Path(source), Path(target)
        _check_target(source, target)
        lasio.use_cores(self._workers)
        las = lasio.read_header(source)
        unit = units_of(las, units)
        with (
            tempfile.TemporaryDirectory(prefix="hive-lidar-", dir=scratch) as folder,
            LasWriter(las, target, self._workers) as writer,
        ):
            _check_disk(las, Path(folder), target)
            tiling, warnings = _sort(las, unit, Path(folder), self._workers, progress)
            density = tiling.density()
            tiles = tiling.classify(
                self._classifier,
                _workers_that_fit(self._workers, memory_bytes),
                lambda done, total: progress("classify", done, total),
            )
            counts, left_out = _copy(las, writer, tiling, self._workers, progress)
        wall_s = time.monotonic() - begin
        if left_out:
            warnings.append(f"{left_out:,} points are marked as withheld: they keep their classes")
        if las.is_copc:
            warnings.append("the input is COPC; the output is plain LAS/LAZ, its points in the same order")
        found = [CLASS_NAMES[code] for code in self._experimental if counts.get(CLASS_NAMES[code])]
        if found:
            warnings.append(f"experimental, check before use: {', '.join(found)}")
        return {
            "points": las.count,
            "points_per_s": round(las.count / wall_s),
            "seconds": round(wall_s, 2),
            "class_counts": counts,
            "tiles": tiles,
            "density_per_m2": round(density, 2),
            "crs": unit.name or "none",
            "warnings": [*unit.warnings, *warnings],
        }


def _nibble(returns: ArrayLike) -> NDArray[np.uint8]:
    """(N,) return numbers or counts as LAS keeps them, 0 to 15."""
    return np.clip(np.asarray(returns), 0, 15).astype(np.uint8)


def _check_cloud(points: NDArray[np.float64]) -> None:
    """Raise InputError for arrays that are no cloud."""
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise InputError("coordinates must be an array of (N, 3)", f"it is {points.shape}")
    if not np.isfinite(points).all():
        raise InputError("some coordinates are not finite", f"{int((~np.isfinite(points)).any(1).sum())} points")
    if np.abs(points).max() > LARGEST_COORDINATE_M:
        raise InputError("coordinates are absurdly large", f"up to {np.abs(points).max():.3g} m")
    if np.ptp(points[:, 0]) == 0 or np.ptp(points[:, 1]) == 0:
        raise InputError("the points cover no area", "all lie at one x or one y")


def _check_target(source: Path, target: Path) -> None:
    if target.suffix.lower() not in (".las", ".laz"):
        raise InputError(
            f"{target.name} cannot be written",
            f"'{target.suffix}' is no suffix of a point cloud",
            "end in .laz or .las",
        )
    if target.name.lower().endswith(".copc.laz"):
        raise InputError(
            f"{target.name} cannot be written",
            "COPC is read, not written",
            "write plain .laz, then e.g. pdal translate out.laz out.copc.laz",
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError("output and input are the same file", str(source), "give the output another name")
    if target.is_dir():
        raise InputError(f"{target} is a folder", "one file is written", f"give {target / source.name}")


def _check_disk(las: LasFile, scratch: Path, target: Path) -> None:
    """Raise InputError before hours of work would end on a full disk."""
    sorted_bytes = las.count * SCRATCH_BYTES_PER_POINT
    raw_bytes = las.count * (las.record_length + 1)
    if target.suffix.lower() == ".laz":  # compressed as well as the input was, or to a third
        output_bytes = int(las.path.stat().st_size * 1.15) if las.compressed else raw_bytes // 3
    else:
        output_bytes = raw_bytes
    needs = {scratch: sorted_bytes, target.parent: output_bytes}
    if not target.parent.is_dir():
        raise InputError(f"{target} cannot be written", f"there is no folder {target.parent}", "make it first")
    if scratch.stat().st_dev == target.parent.stat().st_dev:
        needs = {scratch: sorted_bytes + output_bytes}
    for folder, bytes_needed in needs.items():
        free = shutil.disk_usage(folder).free
        if free < bytes_needed:
            raise InputError(
                f"not enough room on the disk for {las.count:,} points",
                f"{folder} has {free / 1e9:.1f} GB free, {bytes_needed / 1e9:.1f} GB are needed",
                "free some, or cut the file into parts",
            )


def _workers_that_fit(workers: int, memory_bytes: int) -> int:
    """Tiles at once, at most `workers`, that fit into the memory (0: no limit)."""
    fit = (int(memory_bytes * 0.9) - BASE_MEMORY) // (BLOCK_POINTS * MEMORY_PER_BLOCK_POINT)
    return max(1, min(workers, fit)) if memory_bytes else workers


def _sort(las: LasFile, unit: Units, folder: Path, cpus: int, progress: Progress) -> tuple[Tiling, list[str]]:
    """Pass 1: the file's points, sorted by place, on disk; and what was odd about them."""
    metres = np.array([unit.horizontal_m, unit.horizontal_m, unit.vertical_m])
    tiling = Tiling(folder, np.array(las.scales) * metres, np.array(las.offsets) * metres)
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for records in lasio.read_points(las, cpus, coordinates_only=True):
        raw = lasio.raw_coordinates(records)
        number, count = lasio.returns(records, las.point_format)
        gone = lasio.withheld(records, las.point_format)
        ends = np.array([[axis.min(), axis.max()] for axis in raw.T], np.float64)
        first, last = (ends * np.array(las.scales)[:, None] + np.array(las.offsets)[:, None]).T
        low, high = np.minimum(low, np.minimum(first, last)), np.maximum(high, np.maximum(first, last))
        if np.abs(np.stack([low, high]) * metres).max() > LARGEST_COORDINATE_M:
            raise InputError(
                f"{las.path.name} has absurd coordinates",
                f"x, y, z reach from {low} to {high}",
                "copy or download it again: its points, scale or offset are damaged",
            )
        tiling.add(raw, number | (count << 4), ~gone if gone.any() else None)
        progress("read", sum(run.length for run in tiling.runs), las.count)
    return tiling, _judge_coordinates(las, tiling, low, high)


def _judge_coordinates(las: LasFile, tiling: Tiling, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[str]:
    """Warnings about a cloud's extent. Raises InputError where no result could mean anything."""
    name = las.path.name
    if not sum(run.count for run in tiling.runs):
        raise InputError(f"{name} has no points to classify", "all of them are marked as withheld (deleted)")
    if (high - low)[:2].min() == 0:
        raise InputError(f"{name} covers no area", f"all points lie at x, y = {low[0]}, {low[1]} or on one line")
    claimed_low, claimed_high = np.array(las.box[:3]), np.array(las.box[3:])
    over = np.maximum(claimed_low - low, high - claimed_high).max()
    if over <= 2 * max(np.abs(las.scales)):
        return []
    size = float((claimed_high - claimed_low).max())
    if las.compressed and size > 0 and over > 10 * size + 1000:
        raise InputError(
            f"{name} is damaged",
            f"its header says x, y, z from {claimed_low} to {claimed_high}, points lie as far as {low} to {high}",
            "copy or download it again; if the header is wrong, rewrite it, e.g. with pdal translate",
        )
    return [f"points lie up to {over:.2f} beyond the box in the header, which is kept as it is"]


def _copy(las: LasFile, writer: LasWriter, tiling: Tiling, cpus: int, progress: Progress) -> tuple[dict[str, int], int]:
    """Pass 3: the file again, with the results. Points by class name, and how many points kept their class."""
    totals = np.zeros(256, np.int64)
    left_out = done = 0
    for records, (classes, hundredths) in zip(lasio.read_points(las, cpus), tiling.results(), strict=True):
        unset = classes == UNSET
        if unset.any():
            classes = np.where(unset, lasio.classes(records, las.point_format), classes)
            left_out += int(unset.sum())
        copied = writer.prepare(records)
        lasio.set_classes(copied, las.point_format, classes)
        writer.set_confidence(copied, hundredths)
        writer.write(copied)
        totals += np.bincount(classes, minlength=256)
        done += len(records)
        progress("write", done, las.count)
    writer.finish()
    return {CLASS_NAMES.get(code, f"class {code}"): int(totals[code]) for code in np.flatnonzero(totals)}, left_out


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    """The trained model of an installed artifact. `threads`: tiles at once; the result does not depend on it."""
    from hive_runner.export import load_weights

    from .classify import Classifier as Network

    tensors, config = load_weights(artifact)
    return Model(Network(tensors, config), threads, tuple(config.get("experimental_classes", ())))


def predict(run: Run) -> None:
    """Classify run.inputs[0] into run.output."""
    if len(run.inputs) != 1:
        raise InputError(f"{len(run.inputs)} inputs", "one point cloud is classified at a time", "run hive once a file")
    run.phase("prepare")
    lasio.read_header(run.inputs[0])  # what cannot be read is told before anything takes time
    model = load(run.artifact, max(1, run.cpus))
    model.warm_up()
    phases: list[str] = []

    def progress(phase: str, done: int, total: int) -> None:
        if phases[-1:] != [phase]:
            phases.append(phase)
            run.phase(phase, total)
        run.progress(done, total)

    run.summary.update(
        model.classify_file(run.inputs[0], run.output, run.options.units, run.scratch, progress, run.memory_bytes)
    )


def _worth_a_look(seed: int) -> Cloud:
    """The first simulated suburb that has buildings, trees and wires and more than 5 points a square metre."""
    from .scan import simulate

    for index in range(40):
        cloud = simulate(seed, index, size_m=180.0, biome="suburb")
        share = np.bincount(cloud.classification, minlength=256) / len(cloud.xyz)
        if len(cloud.xyz) > 5 * 180**2 and share[6] > 0.05 and share[5] > 0.1 and share[14] > 0.0005:
            break
    return cloud


def sample(run: Run) -> None:
    """A simulated flight over 180 m of a suburb, with its true classes, for people who have no cloud at hand."""
    from pyproj import CRS

    cloud = _worth_a_look(run.seed)
    place = np.array([500_000.0, 5_400_000.0, 0.0])  # somewhere in UTM zone 32
    lasio.write_new(
        run.output,
        cloud.xyz + place,
        cloud.return_number,
        cloud.number_of_returns,
        cloud.intensity,
        cloud.classification,
        CRS.from_epsg(25832).to_wkt("WKT1_GDAL"),
    )
    run.summary.update(points=len(cloud.xyz), crs="ETRS89 / UTM zone 32N")
