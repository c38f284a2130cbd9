"""Training samples: simulated scans (and, with --data, the user's labelled tiles) described and cut to crops.

A sample depends on (seed, index) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from hive_runner.ahead import made_ahead
from numpy.typing import NDArray

from .features import Description, describe, thin
from .scan import Cloud, simulate
from .user_tiles import read_square

# The network's classes by their ASPRS code; 5 stands for all vegetation, which is split by height afterwards.
CLASSES = (2, 5, 6, 9, 14, 15, 17, 7, 1)
NAMES = ("ground", "vegetation", "building", "water", "wire", "tower", "bridge", "noise", "other")
IGNORE = -1
CODE_TO_CLASS = np.full(256, IGNORE, np.int64)
CODE_TO_CLASS[list(CLASSES)] = range(len(CLASSES))
CODE_TO_CLASS[[3, 4]] = CLASSES.index(5)
CODE_TO_CLASS[18] = CLASSES.index(7)  # high noise

CROP_CELLS = 144
CROP_POINTS = 4096
# What does not turn up by itself: SOUGHT_SHARE of the crops are placed for the sake of one of these classes
SOUGHT = tuple(NAMES.index(name) for name in ("building", "water", "wire", "tower", "bridge", "other"))
SOUGHT_SHARE = 0.6
REPEATS = 3  # of a point in one sample, at most: the few points of a wire or tower weigh more
VIEWS = 8  # crops cut from one scene: half of the scan as it is, half of it thinned to a lower density
TERRAIN_LIMIT_M = 30.0


@dataclass(frozen=True)
class Batch:
    """Crops of one step. B crops of 144 x 144 cells with N points each."""

    grid: NDArray[np.float16]  # (B, GRID_CHANNELS, 144, 144); half precision: many crops wait in memory
    points: NDArray[np.float16]  # (B, N, POINT_CHANNELS)
    row: NDArray[np.float32]  # (B, N) fractional cells
    column: NDArray[np.float32]  # (B, N)
    height: NDArray[np.float32]  # (B, N) above the ground estimate, metres
    label: NDArray[np.int64]  # (B, N); IGNORE: does not count
    log_share: NDArray[np.float32]  # (B, classes) log of how often a point of each class was sampled
    offset: NDArray[np.float32]  # (B, N) the true terrain above the ground estimate, metres; NaN where unknown

    def shares(self, count: int) -> list[Batch]:
        """The crops in so many equal parts."""
        parts = [np.split(getattr(self, name), count) for name in Batch.__dataclass_fields__]
        return [Batch(*own) for own in zip(*parts, strict=True)]


def disturb(cloud: Cloud, rng: np.random.Generator) -> Cloud:
    """What a scan of elsewhere may differ in: scale of plan and height, noise, returns that were not recorded."""
    scale = np.exp(rng.uniform(-0.15, 0.15, 2))
    xyz = cloud.xyz * np.array([scale[0], scale[0], scale[1]])
    if rng.random() < 0.3:
        xyz[:, 2] += rng.normal(0, rng.uniform(0.0, 0.06), len(xyz))
    cloud = replace(cloud, xyz=xyz, terrain_z=cloud.terrain_z * np.float32(scale[1]))
    if rng.random() < 0.08:
        single = np.ones_like(cloud.return_number)
        cloud = replace(cloud, return_number=single, number_of_returns=single)
    return cloud


def thinned_at_random(cloud: Cloud, rng: np.random.Generator, lowest: float = 0.25) -> Cloud:
    """The scan at a density drawn log-uniformly between `lowest` points/m2 and its own."""
    area = float(np.prod(np.ptp(cloud.xyz[:, :2], axis=0)))
    share = float(np.exp(rng.uniform(np.log(min(1.0, lowest * area / len(cloud.xyz))), 0.0)))
    return take(cloud, np.flatnonzero(rng.random(len(cloud.xyz)) < share))


def take(cloud: Cloud, index: NDArray[np.int64]) -> Cloud:
    return Cloud(
        cloud.xyz[index], cloud.intensity[index], cloud.return_number[index], cloud.number_of_returns[index],
        cloud.classification[index], cloud.terrain_z[index],
    )  # fmt: skip


def crops_of(cloud: Cloud, count: int, rng: np.random.Generator) -> list[Batch]:
    """`count` crops (each a batch of one) of a cloud, described whole: a crop's rim knows what is beyond."""
    kept = thin(cloud.xyz)
    block = describe(cloud.xyz, cloud.return_number, cloud.number_of_returns, thinned=kept)
    label = CODE_TO_CLASS[cloud.classification[kept]]
    offset = (block.height - (cloud.xyz[kept, 2] - cloud.terrain_z[kept])).astype(np.float32)
    return [_crop(block, label, offset, rng) for _ in range(count)]


def _crop(block: Description, label: NDArray[np.int64], offset: NDArray[np.float32], rng: np.random.Generator) -> Batch:
    rows, columns = block.grid.shape[1:]
    used_rows, used_columns = int(block.row.max()) + 1, int(block.column.max()) + 1
    top_limit, left_limit = max(used_rows - CROP_CELLS, 0), max(used_columns - CROP_CELLS, 0)
    top, left = int(rng.integers(0, top_limit + 1)), int(rng.integers(0, left_limit + 1))
    present = np.intersect1d(label, SOUGHT)
    if rng.random() < SOUGHT_SHARE and len(present):
        here = rng.choice(np.flatnonzero(label == rng.choice(present)))
        top = int(np.clip(block.row[here] - rng.integers(8, CROP_CELLS - 8), 0, top_limit))
        left = int(np.clip(block.column[here] - rng.integers(8, CROP_CELLS - 8), 0, left_limit))
    grid = np.zeros((len(block.grid), CROP_CELLS, CROP_CELLS), np.float16)
    part = block.grid[:, top : min(top + CROP_CELLS, rows), left : min(left + CROP_CELLS, columns)]
    grid[:, : part.shape[1], : part.shape[2]] = part
    row, column = block.row - top, block.column - left
    inside = (row >= 0) & (row < CROP_CELLS) & (column >= 0) & (column < CROP_CELLS) & (label != IGNORE)
    chosen, log_share = balanced_sample(np.flatnonzero(inside), label, rng)
    known = np.where(np.abs(offset) < TERRAIN_LIMIT_M, offset, np.nan)
    padded = np.pad(chosen, (0, CROP_POINTS - len(chosen)))
    real = np.arange(CROP_POINTS) < len(chosen)
    return Batch(
        grid[None],
        block.points[padded][None].astype(np.float16),
        row[padded][None],
        column[padded][None],
        block.height[padded][None],
        np.where(real, label[padded], IGNORE)[None],
        log_share[None],
        np.where(real, known[padded], np.nan)[None],
    )


def balanced_sample(
    index: NDArray[np.int64], label: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Up to CROP_POINTS of `index`, class c in proportion to sqrt(count), but each point REPEATS times at most; and the
    log of how often a point of each class was taken on average.

    That is added to the logits in the loss (Menon et al. 2021), so that the network itself still learns the
    frequencies of the scene. Points of a class that is absent would have been taken REPEATS times.
    """
    members = [index[label[index] == c] for c in range(len(CLASSES))]
    counts = np.array([len(m) for m in members], float)
    quota = np.zeros(len(CLASSES))
    for _ in range(4):  # what small classes cannot fill goes to the others
        open_ = REPEATS * counts > quota
        weight = np.sqrt(counts) * open_
        if not weight.any():
            break
        quota = np.minimum(REPEATS * counts, quota + (CROP_POINTS - quota.sum()) * weight / weight.sum())
    taken = np.maximum(np.floor(quota + 1e-6), np.minimum(counts, 1)).astype(int)
    repeated = [np.tile(m, -(-n // max(len(m), 1))) for m, n in zip(members, taken, strict=True)]
    chosen = np.concatenate([rng.choice(m, n, replace=False) for m, n in zip(repeated, taken, strict=True)])
    chosen = chosen[:CROP_POINTS]
    share = np.where(counts > 0, np.maximum(taken, 1) / np.maximum(counts, 1), REPEATS)
    return chosen.astype(np.int64), np.log(share).astype(np.float32)


def make_views(seed: int, index: int, squares: tuple[Path, ...] = (), share: float = 0.0) -> list[Batch]:
    """VIEWS crops of simulated scene `index`, or with probability `share` of one of the user's squares in its stead."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 1])))
    if squares and rng.random() < share:
        cloud = read_square(squares[int(rng.integers(len(squares)))])
    else:
        cloud = simulate(seed, index)
    cloud = disturb(cloud, rng)
    dense = crops_of(cloud, VIEWS // 2, rng)
    return dense + crops_of(thinned_at_random(cloud, rng), VIEWS - VIEWS // 2, rng)


def stack(crops: list[Batch]) -> Batch:
    return Batch(*(np.concatenate([getattr(crop, name) for crop in crops]) for name in Batch.__dataclass_fields__))


def batches(
    seed: int, first_step: int, steps: int, scenes: int, workers: int, squares: tuple[Path, ...], share: float
) -> Iterator[Batch]:
    """The batches of steps first_step..steps-1, each a crop of each of `scenes` scenes."""
    first_group = max(first_step // VIEWS - VIEWS + 1, 0)
    indices = range(first_group * scenes, -(-steps // VIEWS) * scenes)
    make = partial(make_views, seed, squares=squares, share=share)
    ahead = (workers + 2) * scenes  # scenes in hand: enough to keep the workers busy, few enough for the memory
    yield from _interleave(made_ahead(make, indices, workers, ahead), first_group, first_step, steps, scenes)


def _interleave(
    views_of: Iterator[list[Batch]], first_group: int, first_step: int, steps: int, scenes: int
) -> Iterator[Batch]:
    """Every VIEWS steps a new group of `scenes` scenes joins and the oldest of VIEWS groups leaves; the steps go from
    group to group. So steps that follow each other have no scene in common, and each view is used once, but for those
    of the first group, which stand in until there are others.
    """
    groups: deque[list[list[Batch]]] = deque(maxlen=VIEWS)
    newest = first_group - 1
    for step in range(first_step, steps):
        block, turn = divmod(step, VIEWS)
        while newest < block:
            groups.append([next(views_of) for _ in range(scenes)])
            newest += 1
        group = groups[max(len(groups) - 1 - turn, 0)]
        # neighbouring scenes show different views, so that a step sees several densities
        yield stack([views[(turn + k) % VIEWS] for k, views in enumerate(group)])
