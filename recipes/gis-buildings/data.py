"""Training samples: crops of simulated height models.

A place depends on (seed, index) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from .features import describe
from .place import CELL_M, TRAIN, draw_place
from .sensor import observe

PLACE_M = 256.0
CROP = 192  # cells
SENSORS = 2  # height models made of one place
VIEWS = 16  # crops cut from one place


@dataclass(frozen=True)
class Crops:
    """B crops: channels (B, 9, CROP, CROP), half precision because many wait in memory, and what is known of each cell
    (B, CROP, CROP): 1 building, 0 none, -1 does not count."""

    channels: NDArray[np.float16]
    truth: NDArray[np.int8]


def make_views(seed: int, index: int) -> list[Crops]:
    """VIEWS crops of place `index`, each turned or mirrored at random."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    place = draw_place(rng, PLACE_M, TRAIN)
    views = []
    for _ in range(SENSORS):
        heights, truth = observe(rng, place)
        channels = describe(heights)
        for _ in range(VIEWS // SENSORS):
            row, column = rng.integers(0, place.cells - CROP + 1, 2)
            window = (slice(row, row + CROP), slice(column, column + CROP))
            views.append(_turned(channels[:, *window], truth[window], rng))
    return views


def _turned(channels: NDArray[np.float32], truth: NDArray[np.int8], rng: np.random.Generator) -> Crops:
    """One of the eight ways to lay a square. No channel knows a direction, so all of them are true."""
    quarter, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)
    channels, truth = np.rot90(channels, quarter, (1, 2)), np.rot90(truth, quarter)
    if mirrored:
        channels, truth = channels[:, :, ::-1], truth[:, ::-1]
    return Crops(np.ascontiguousarray(channels[None], np.float16), np.ascontiguousarray(truth[None]))


def batches(seed: int, first_step: int, steps: int, places: int, workers: int) -> Iterator[Crops]:
    """The batches of steps first_step..steps-1: a crop of each of `places` places, which serve for VIEWS steps."""
    first_group = first_step // VIEWS
    indices = range(first_group * places, -(-steps // VIEWS) * places)
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        views_of = _in_order(pool, ahead=(workers + 1) * places, seed=seed, indices=indices)
        for group in range(first_group, -(-steps // VIEWS)):
            views = [next(views_of) for _ in range(places)]
            for turn in range(VIEWS):
                step = group * VIEWS + turn
                if first_step <= step < steps:
                    chosen = [each[(turn + k) % VIEWS] for k, each in enumerate(views)]
                    yield Crops(
                        np.concatenate([each.channels for each in chosen]),
                        np.concatenate([each.truth for each in chosen]),
                    )


def _in_order(pool: ProcessPoolExecutor, ahead: int, seed: int, indices: range) -> Iterator[list[Crops]]:
    waiting: deque[Future[list[Crops]]] = deque()
    for index in indices:
        waiting.append(pool.submit(make_views, seed, index))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


__all__ = ["CELL_M", "CROP", "VIEWS", "Crops", "batches", "make_views"]
