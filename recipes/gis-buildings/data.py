"""Training samples: crops of simulated height models, and of the user's own places.

A place depends on (seed, index) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hive_runner.ahead import made_ahead
from hive_runner.data_parallel import part
from numpy.typing import NDArray

from . import images
from .features import describe
from .place import TRAIN, draw_place
from .sensor import observe

PLACE_M = 256.0
CROP = 192  # cells
SENSORS = 2  # height models made of one place
VIEWS = 16  # crops cut from one place
SHARES = 2  # of a batch, each seen by its own process where there are cores for it


@dataclass(frozen=True)
class Crops:
    """B crops: channels (B, C, CROP, CROP), half precision because many wait in memory, and what is known of each cell
    (B, CROP, CROP): 1 building, 0 none, -1 does not count."""

    channels: NDArray[np.float16]
    truth: NDArray[np.int8]


def make_views(seed: int, index: int, squares: tuple[Path, ...] = (), share: float = 0.0) -> list[Crops]:
    """VIEWS crops of simulated place `index`, or with probability `share` of one of the user's squares in its stead."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    if squares and rng.random() < share:
        with np.load(squares[int(rng.integers(len(squares)))]) as square:
            looks = [(square["seen"], square["truth"])]
    else:
        place = draw_place(rng, PLACE_M, TRAIN)
        looks = [observe(rng, place, TRAIN) for _ in range(SENSORS)]
    views = []
    for heights, truth in looks:
        channels = describe(heights)
        views += [_crop(channels, truth, rng) for _ in range(VIEWS // len(looks))]
    return views


def make_image_views(seed: int, index: int, squares: tuple[Path, ...]) -> list[Crops]:
    """VIEWS crops of one of the user's images, each in colours of its own."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 1])))
    with np.load(squares[index % len(squares)]) as square:
        bands, truth = square["seen"], square["truth"]
    return [_crop(images.describe(images.disturb(bands, rng)), truth, rng) for _ in range(VIEWS)]


def _crop(channels: NDArray[np.float32], truth: NDArray[np.int8], rng: np.random.Generator) -> Crops:
    row, column = (int(rng.integers(0, length - CROP + 1)) for length in truth.shape)
    window = (slice(row, row + CROP), slice(column, column + CROP))
    return _turned(channels[:, *window], truth[window], rng)


def _turned(channels: NDArray[np.float32], truth: NDArray[np.int8], rng: np.random.Generator) -> Crops:
    """One of the eight ways to lay a square. No channel knows a direction, so all of them are true."""
    quarter, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
    channels, truth = np.rot90(channels, quarter, (1, 2)), np.rot90(truth, quarter)
    if mirrored:
        channels, truth = channels[:, :, ::-1], truth[:, ::-1]
    return Crops(np.ascontiguousarray(channels[None], np.float16), np.ascontiguousarray(truth[None]))


def batches(
    make: Callable[[int], list[Crops]], places: int, first_step: int, steps: int, share: int, workers: int
) -> Iterator[Crops]:
    """One share of the batches of steps first_step..steps-1: a crop of each of `places` places, which serve for VIEWS
    steps.

    make: the views of a place, by its number.
    """
    groups = range(first_step // VIEWS, -(-steps // VIEWS))
    own = part(places, share, SHARES)
    views_of = made_ahead(make, (group * places + k for group in groups for k in own), workers, 2 * len(own))
    for group in groups:
        views = [next(views_of) for _ in own]
        for turn in range(VIEWS):
            if first_step <= group * VIEWS + turn < steps:
                chosen = [each[(turn + k) % VIEWS] for k, each in zip(own, views, strict=True)]
                yield Crops(
                    np.concatenate([each.channels for each in chosen]),
                    np.concatenate([each.truth for each in chosen]),
                )
