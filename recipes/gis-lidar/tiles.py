"""Point clouds of any size, cut into tiles on disk.

Pass 1 reads the file once, in its own order, a million points at a time; each such *run* is sorted by 16 m cells and
put on disk, 13 bytes a point. A tile is a rectangle of cells, so each row of a tile is one contiguous piece of each
run: pass 2 reads a tile and its halo with a few small reads, and writes the core's results to the same places of a
result file. Pass 3 undoes the sort of one run after the other, which gives the results in the file's own order.
Nothing grows with the file but the disk: 19 bytes a point, and the sorted points go as soon as no tile needs them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

CELL_M = 16.0
HALO_CELLS = 2  # 32 m: what a tile sees beyond its core
MAX_CORE_CELLS = 16  # 256 m
BLOCK_POINTS = 1_200_000  # load of a tile, see `load`. Fixed: if it followed the machine, so would the results
HALO_LOAD = 0.25  # a point of the halo costs that much of one of the core: only the core's points are described
SCRATCH_BYTES_PER_POINT = 19  # 13 sorted points, 4 order, 2 results
UNSET = 255  # class of a point that was left out

SORTED_POINT = np.dtype([("raw", "<i4", 3), ("returns", "u1")])  # returns: number in the low, count in the high 4 bits


class Classifier(Protocol):
    """What turns one block of points into classes."""

    def classify(
        self,
        xyz: NDArray[np.float64],
        return_number: NDArray[np.uint8],
        number_of_returns: NDArray[np.uint8],
        core: NDArray[np.bool_],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """xyz: (N, 3) metres -> (N,) ASPRS classes, (N,) confidences; those outside of `core` are not used."""
        ...


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells, half-open: the core. Its block is the core and the halo around it."""

    row: int
    col: int
    rows: int
    cols: int


@dataclass
class SortedRun:
    """Where one run lies on disk, and which cell begins where in it."""

    name: Path  # without suffix
    count: int  # points sorted; fewer than `length` if some were left out
    length: int  # points of the file that it covers
    keys: NDArray[np.int64]  # (C,) cells in it, ascending
    starts: NDArray[np.int64]  # (C + 1,) first point of each cell
    box: tuple[int, int, int, int]  # first row, first col, last row, last col
    readers: int = 0  # tiles that still need its points

    def path(self, suffix: str) -> Path:
        return self.name.with_suffix(suffix)


@dataclass(frozen=True)
class Block:
    """The points of a tile and its halo, and where the core's results go."""

    raw: NDArray[np.int32]  # (N, 3)
    returns: NDArray[np.uint8]  # (N,)
    core: NDArray[np.bool_]  # (N,)
    places: tuple[tuple[int, int, int], ...]  # (run, first point in it, points) of each piece of the core, in order


@dataclass
class Tiling:
    """The sorted runs of one cloud. `to_metres`: (3,) metres a raw unit; `origin_m`: (3,) of raw zero."""

    folder: Path
    to_metres: NDArray[np.float64]
    origin_m: NDArray[np.float64]
    runs: list[SortedRun] = field(default_factory=list)
    _boxes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, raw: NDArray[np.int32], returns: NDArray[np.uint8], keep: NDArray[np.bool_] | None = None) -> None:
        """Sort the next run by cells and put it on disk. raw: (N, 3), returns: (N,) packed, keep: (N,) or all."""
        length = len(raw)
        order = np.arange(length, dtype=np.uint32) if keep is None else np.flatnonzero(keep).astype(np.uint32)
        if keep is not None:
            raw, returns = raw[keep], returns[keep]
        col = np.floor(raw[:, 0] * (self.to_metres[0] / CELL_M)).astype(np.int64)
        row = np.floor(raw[:, 1] * (self.to_metres[1] / CELL_M)).astype(np.int64)
        name = self.folder / f"run-{len(self.runs):06d}"
        if len(raw) == 0:
            empty = np.zeros(0, np.int64)
            self.runs.append(SortedRun(name, 0, length, empty, empty, (0, 0, -1, -1)))
            return
        box = (int(row.min()), int(col.min()), int(row.max()), int(col.max()))
        by_cell = _sort_cells(row - box[0], col - box[1], box[3] - box[1] + 1)
        keys = (row << 32) + (col + (1 << 31))
        keys = keys[by_cell]
        firsts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        points = np.empty(len(raw), SORTED_POINT)
        points["raw"], points["returns"] = raw[by_cell], returns[by_cell]
        points.tofile(name.with_suffix(".points"))
        order[by_cell].tofile(name.with_suffix(".order"))
        np.full((len(raw), 2), UNSET, np.uint8).tofile(name.with_suffix(".result"))
        self.runs.append(SortedRun(name, len(raw), length, keys[firsts], np.r_[firsts, len(raw)], box))

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows, cols and points of all occupied cells."""
        keys, inverse = np.unique(np.concatenate([run.keys for run in self.runs]), return_inverse=True)
        counts = np.concatenate([np.diff(run.starts) for run in self.runs])
        return keys >> 32, (keys & 0xFFFFFFFF) - (1 << 31), np.bincount(inverse, counts, len(keys)).astype(np.int64)

    def density(self) -> float:
        """Points a square metre: the median over cells with neighbours on all sides, where there are such cells."""
        rows, cols, counts = self.cells()
        keys = (rows << 32) + (cols + (1 << 31))
        inner = np.ones(len(keys), bool)
        for step in (1, -1, 1 << 32, -(1 << 32)):
            inner &= np.isin(keys + step, keys, assume_unique=True)
        if inner.any():
            return float(np.median(counts[inner])) / CELL_M**2
        extent = [np.ptp(np.concatenate([[run.box[i], run.box[i + 2] + 1] for run in self.runs])) for i in (0, 1)]
        return float(counts.sum() / (extent[0] * extent[1] * CELL_M**2))

    def plan(self, block_points: int = BLOCK_POINTS) -> list[Tile]:
        """Tiles that cover all points: of one size for the file, by its density, split where it is denser."""
        rows, cols, counts = self.cells()
        size = MAX_CORE_CELLS
        while size > 1:
            points = _points_by_tile(rows // size, cols // size, counts)
            around = ((size + 2 * HALO_CELLS) / size) ** 2 - 1
            if load(np.quantile(points, 0.95), np.quantile(points, 0.95) * around) <= block_points:
                break
            size -= 1
        height, width = (_even_size(int(np.ptp(index)) + 1, size) for index in (rows, cols))
        first_row, first_col = int(rows.min()), int(cols.min())
        keys = np.unique(((rows - first_row) // height << 32) + (cols - first_col) // width)
        tiles: list[Tile] = []
        for key in keys.tolist():
            row, col = first_row + (key >> 32) * height, first_col + (key & 0xFFFFFFFF) * width
            band = slice(*np.searchsorted(rows, (row - HALO_CELLS, row + height + HALO_CELLS)))  # rows ascend
            tiles += _split(Tile(row, col, height, width), rows[band], cols[band], counts[band], block_points)
        for run in self.runs:
            run.readers = 0
        for tile in tiles:
            for index in self._runs_of(tile):
                self.runs[index].readers += 1
        return tiles

    def _runs_of(self, tile: Tile) -> list[int]:
        """Runs that may have points in a tile or its halo."""
        if len(self._boxes) != len(self.runs):
            self._boxes = np.array([run.box for run in self.runs], np.int64)
        first_row, first_col, last_row, last_col = self._boxes.T
        near = (first_row < tile.row + tile.rows + HALO_CELLS) & (last_row >= tile.row - HALO_CELLS)
        near &= (first_col < tile.col + tile.cols + HALO_CELLS) & (last_col >= tile.col - HALO_CELLS)
        return np.flatnonzero(near & (last_row >= first_row)).tolist()

    def read(self, tile: Tile) -> Block:
        """The points of a tile and its halo, in an order that depends on the file and the tile only."""
        pieces: list[NDArray[np.void]] = []
        core: list[tuple[int, bool]] = []
        places: list[tuple[int, int, int]] = []
        rows = np.arange(tile.row - HALO_CELLS, tile.row + tile.rows + HALO_CELLS)
        edges = np.array([-HALO_CELLS, 0, tile.cols, tile.cols + HALO_CELLS]) + tile.col
        for index in self._runs_of(tile):
            run = self.runs[index]
            cuts = run.starts[np.searchsorted(run.keys, (rows[:, None] << 32) + (edges + (1 << 31)))]  # (rows, 4)
            with open(run.path(".points"), "rb") as file:
                for row, (begin, core_begin, core_end, end) in zip(rows.tolist(), cuts.tolist(), strict=True):
                    if begin == end:
                        continue
                    data = os.pread(file.fileno(), (end - begin) * SORTED_POINT.itemsize, begin * SORTED_POINT.itemsize)
                    pieces.append(np.frombuffer(data, SORTED_POINT))
                    inside = tile.row <= row < tile.row + tile.rows
                    if not inside:
                        core.append((end - begin, False))
                        continue
                    core += [(core_begin - begin, False), (core_end - core_begin, True), (end - core_end, False)]
                    if core_end > core_begin:
                        places.append((index, core_begin, core_end - core_begin))
        points = np.concatenate(pieces)
        in_core = np.repeat([flag for _, flag in core], [count for count, _ in core])
        return Block(np.ascontiguousarray(points["raw"]), points["returns"].copy(), in_core, tuple(places))

    def write(self, tile: Tile, block: Block, classes: NDArray[np.uint8], hundredths: NDArray[np.uint8]) -> None:
        """Store the results of a tile's core, (N,) for the whole block, and drop the points that no tile needs now."""
        results = np.stack([classes[block.core], hundredths[block.core]], 1).astype(np.uint8)
        at = 0
        for index, begin, count in block.places:
            with open(self.runs[index].path(".result"), "r+b") as file:
                os.pwrite(file.fileno(), results[at : at + count].tobytes(), begin * 2)
            at += count
        with self._lock:
            for index in self._runs_of(tile):
                self.runs[index].readers -= 1
                if self.runs[index].readers == 0:
                    self.runs[index].path(".points").unlink(missing_ok=True)

    def results(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Classes and confidences in hundredths of run after run, in the file's order; class UNSET where left out."""
        for run in self.runs:
            classes, hundredths = np.full(run.length, UNSET, np.uint8), np.zeros(run.length, np.uint8)
            if run.count:
                order = np.fromfile(run.path(".order"), np.uint32)
                result = np.fromfile(run.path(".result"), np.uint8).reshape(-1, 2)
                classes[order], hundredths[order] = result[:, 0], result[:, 1]
                run.path(".order").unlink()
                run.path(".result").unlink()
            yield classes, hundredths

    def classify(
        self,
        classifier: Classifier,
        workers: int = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
        block_points: int = BLOCK_POINTS,
    ) -> int:
        """Classify every tile; returns their number. The result does not depend on the number of workers."""
        tiles = self.plan(block_points)
        total, done = sum(run.count for run in self.runs), 0

        def work(tile: Tile) -> int:
            block = self.read(tile)
            self.write(tile, block, *self._classify_block(classifier, block, block_points))
            return int(block.core.sum())

        # threads, not processes: the time goes into torch, numba and numpy, which let other threads run,
        # and the network and its compiled kernels are in memory once
        with ThreadPoolExecutor(workers, "tile") as pool:
            waiting = {pool.submit(work, tile) for tile in tiles}
            while waiting:
                finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                try:
                    done += sum(future.result() for future in finished)
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
                progress(done, total)
        return len(tiles)

    def _classify_block(
        self, classifier: Classifier, block: Block, block_points: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Classes and confidences in hundredths of a block, (N,) each.

        A block that stays too large at the smallest tile (thousands of points a square metre) is thinned into several
        clouds of every n-th point, each of which is dense enough by itself.
        """
        classes, hundredths = np.zeros(len(block.raw), np.uint8), np.zeros(len(block.raw), np.uint8)
        in_core = int(block.core.sum())
        parts = -int(-load(in_core, len(block.raw) - in_core) // (2 * block_points))
        for part in (slice(first, None, parts) for first in range(parts)):
            if not block.core[part].any():
                continue
            xyz = block.raw[part] * self.to_metres + self.origin_m
            returns = block.returns[part]
            found, confidence = classifier.classify(xyz, returns & 15, returns >> 4, block.core[part])
            classes[part] = found
            hundredths[part] = np.rint(np.clip(confidence, 0.0, 1.0) * 100.0)
        return classes, hundredths


def load(core: float, halo: float) -> float:
    """What a tile costs in memory, in points of its core."""
    return core + HALO_LOAD * halo


def _sort_cells(row: NDArray[np.int64], col: NDArray[np.int64], cols: int) -> NDArray[np.intp]:
    """Stable order by row, then col. Few cells fit 16 bits, which numpy sorts by radix: ten times faster."""
    cell = row * cols + col
    if cell.max() < 1 << 16:
        cell = cell.astype(np.uint16)
    return np.argsort(cell, kind="stable")


def _points_by_tile(row: NDArray[np.int64], col: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    _, inverse = np.unique((row << 32) + (col + (1 << 31)), return_inverse=True)
    return np.bincount(inverse, counts)


def _even_size(cells: int, largest: int) -> int:
    """Size of tiles so that all are about equal: a sliver at the edge sees too little around it."""
    return -(-cells // -(-cells // largest))


def _split(
    tile: Tile,
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    counts: NDArray[np.int64],
    block_points: int,
) -> list[Tile]:
    """The tile, or its quarters (and theirs) where its block would hold too many points; none where it is empty."""
    bottom, left = rows >= tile.row - HALO_CELLS, cols >= tile.col - HALO_CELLS
    top, right = rows < tile.row + tile.rows + HALO_CELLS, cols < tile.col + tile.cols + HALO_CELLS
    near = bottom & left & top & right
    rows, cols, counts = rows[near], cols[near], counts[near]
    core = (rows >= tile.row) & (rows < tile.row + tile.rows) & (cols >= tile.col) & (cols < tile.col + tile.cols)
    if not core.any():
        return []
    if load(counts[core].sum(), counts[~core].sum()) <= block_points or tile.rows * tile.cols == 1:
        return [tile]
    half_rows, half_cols = -(-tile.rows // 2), -(-tile.cols // 2)
    quarters = [
        Tile(tile.row + row, tile.col + col, min(half_rows, tile.rows - row), min(half_cols, tile.cols - col))
        for row in range(0, tile.rows, half_rows)
        for col in range(0, tile.cols, half_cols)
    ]
    return [part for quarter in quarters for part in _split(quarter, rows, cols, counts, block_points)]
