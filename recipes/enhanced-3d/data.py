"""Training samples: crops of coarse solids with the true depths beside them.

Sample i depends on (seed, i) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from hive_recipe_shape_corpus.corpus import Corpus, Item
from hive_runner.ahead import made_ahead
from numpy.typing import NDArray

from .degrade import degrade
from .model import LIFTED
from .volume import F32, REACH, SIDE, box_after_turn, depths_of_field, distance, padded, turned

I8 = NDArray[np.int8]

CROP = 48  # cells
GROUP = 3  # steps in which an object is seen once
VIEWS = 16  # crops cut from one object
TURNED = 0.7  # share of the objects that are turned about z, by any angle
GRAMMAR = 0.4  # share of the objects that come from the grammar
UNIT = 127 / REACH  # of depths kept as bytes, per cell


@dataclass(frozen=True)
class View:
    """An object on the grid: coarse and true depths, (SIDE,)*3, bytes; the picture, (LIFTED, SIDE/2, ...), or None."""

    coarse: I8
    truth: I8
    lifted: I8 | None


@dataclass(frozen=True)
class Crops:
    coarse: I8  # (B, 1, CROP, CROP, CROP) depths in 1/UNIT cells
    truth: I8
    lifted: I8  # (B, LIFTED, CROP/2, CROP/2, CROP/2) in 1/127


def in_bytes(depth: F32) -> I8:
    return np.asarray(np.round(depth * UNIT), np.int8)


@cache
def open_corpus(folder: Path) -> Corpus:
    return Corpus(folder)


def items_of(corpus: Corpus, split: str, kind: str) -> list[Item]:
    return [item for item in corpus.items if item.split == split and item.kind == kind]


def pick(corpus: Corpus, split: str, rng: np.random.Generator, grammar: float = GRAMMAR) -> Item:
    """One item of a split: of the grammar with probability `grammar`, else furniture, as far as there are both."""
    kinds = [items for kind in ("grammar", "furniture") if (items := items_of(corpus, split, kind))]
    items = kinds[0] if rng.random() < grammar else kinds[-1]
    return items[int(rng.integers(len(items)))]


def true_depths(corpus: Corpus, item: Item, azimuth_deg: float = 0.0) -> F32:
    """Depths of an item turned about z and normalised again."""
    solid = padded(corpus.solid(item))
    depths = distance(solid)
    if azimuth_deg == 0:
        return depths
    return turned(depths, azimuth_deg, *box_after_turn(solid, azimuth_deg))


def degraded_view(corpus: Corpus, rng: np.random.Generator) -> View:
    """A training object and a coarse version of it."""
    item = pick(corpus, "train", rng)
    truth = true_depths(corpus, item, rng.uniform(0, 360) if rng.random() < TURNED else 0.0)
    for _ in range(4):
        coarse = degrade(truth > 0, rng)
        if coarse.survives(truth > 0):
            break
    return View(in_bytes(depths_of_field(coarse.fine())), in_bytes(truth), None)


def make_crops(
    seed: int, index: int, corpus: Path, base_views: tuple[Path, ...] = (), share: float = 0.0
) -> list[Crops]:
    """VIEWS crops of object `index`: with probability `share` one that the base package has reconstructed."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    if base_views and rng.random() < share:
        view = load_view(base_views[int(rng.integers(len(base_views)))])
    else:
        view = degraded_view(open_corpus(corpus), rng)
    near = np.argwhere((np.abs(view.coarse) < 64) | (np.abs(view.truth) < 64))
    return [_crop(view, near, rng) for _ in range(VIEWS)]


def save_view(path: Path, view: View) -> None:
    arrays = {"coarse": view.coarse, "truth": view.truth}
    np.savez_compressed(path, **arrays, **({} if view.lifted is None else {"lifted": view.lifted}))


def load_view(path: Path) -> View:
    with np.load(path) as file:
        return View(file["coarse"], file["truth"], file.get("lifted"))


def _crop(view: View, near: NDArray[np.int64], rng: np.random.Generator) -> Crops:
    """Around a cell near a surface, laid in one of the 48 ways a cube can be laid."""
    middle = near[rng.integers(len(near))] if len(near) else np.full(3, SIDE // 2)
    low = np.clip(middle - CROP // 2 + rng.integers(-CROP // 4, CROP // 4 + 1, 3), 0, SIDE - CROP) // 2 * 2
    fine = tuple(slice(start, start + CROP) for start in low)
    half = tuple(slice(start // 2, (start + CROP) // 2) for start in low)
    order, flips = rng.permutation(3), np.flatnonzero(rng.random(3) < 0.5)

    def laid(channels: I8) -> I8:
        moved = np.transpose(channels, (0, *(order + 1)))
        return np.ascontiguousarray(np.flip(moved, tuple(flips + 1))[None])

    side = CROP // 2
    lifted = np.zeros((LIFTED, side, side, side), np.int8) if view.lifted is None else view.lifted[:, *half]
    return Crops(laid(view.coarse[fine][None]), laid(view.truth[fine][None]), laid(lifted))


def batches(
    steps: range, objects: int, share: range, workers: int, make: Callable[[int], list[Crops]]
) -> Iterator[Crops]:
    """A share of the batches of these steps: a crop of each of its objects. GROUP times as many take turns, so that the
    network does not follow the few it has just seen.

    objects: of a whole batch; share: which of them are wanted. make: the crops of an object, by its number.
    """
    turns = GROUP * VIEWS
    groups = range(steps.start // turns, -(-steps.stop // turns))
    rows = range(groups.start * GROUP, groups.stop * GROUP)
    numbers = (row * objects + each for row in rows for each in share)
    crops_of = made_ahead(make, numbers, workers, ahead=(1 + GROUP) * len(share))
    for group in groups:
        together = [[next(crops_of) for _ in share] for _ in range(GROUP)]
        for turn in range(turns):
            if group * turns + turn in steps:
                chosen = [each[turn // GROUP] for each in together[turn % GROUP]]
                yield Crops(
                    np.concatenate([each.coarse for each in chosen]),
                    np.concatenate([each.truth for each in chosen]),
                    np.concatenate([each.lifted for each in chosen]),
                )
