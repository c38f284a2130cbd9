"""Training samples: drawn surveys as the network sees them, with what it should answer.

A sample depends on (seed, index) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from hive_runner.ahead import made_ahead
from hive_runner.data_parallel import part
from numpy.typing import NDArray
from scipy import ndimage

from .channels import FEWEST_VALUES, look
from .survey import TRAINING, Ranges, Survey, simulate

CORE_SHARE = 0.5  # of the largest distance to a body's rim
MOMENT_UNIT = 4.0  # spreads of the field; susceptibility x thickness beyond it is told as its logarithm
SHARES = 2  # of a batch, each seen by its own process where there are cores for it
AHEAD = 4  # batches in hand for each worker


@dataclass(frozen=True)
class Batch:
    """B windows of 64 x 64. Truth is of the cells; what is not `known` does not count."""

    channels: NDArray[np.float16]  # (B, CHANNELS, 64, 64)
    direction: NDArray[np.float32]  # (B, 3)
    body: NDArray[np.bool_]  # (B, 64, 64)
    core: NDArray[np.bool_]
    known: NDArray[np.bool_]
    weight: NDArray[np.float32]  # (B, 64, 64) of depths: a body counts as the root of its area
    top: NDArray[np.float32]  # log cells
    moment: NDArray[np.float32]
    thickness: NDArray[np.float32]  # log cells


def truth(survey: Survey, scale: float) -> tuple[NDArray[np.generic], ...]:
    """(body, core, known, weight, top, moment, thickness) of a survey's cells."""
    shape = survey.label.shape
    core, known = np.zeros(shape, bool), np.ones(shape, bool)
    weight, top, moment, thickness = (np.zeros(shape, np.float32) for _ in range(4))
    for number, (body, visible) in enumerate(zip(survey.bodies, survey.visible, strict=True), start=1):
        cells = survey.label == number
        if not cells.any():
            continue
        if not visible:
            known[cells] = False
            continue
        rim = ndimage.distance_transform_edt(np.pad(cells, 1))[1:-1, 1:-1]
        core |= cells & (rim >= max(CORE_SHARE * rim.max(), 1.0))
        weight[cells] = 1 / np.sqrt(cells.sum())
        top[cells] = np.log(body.top)
        along = float(np.sign(body.magnetisation @ survey.direction) or 1.0)
        moment[cells] = np.arcsinh(along * body.susceptibility * body.thickness / (scale * MOMENT_UNIT))
        thickness[cells] = np.log(body.thickness)
    return survey.label > 0, core, known, weight, top, moment, thickness


def make_sample(seed: int, index: int, ranges: Ranges = TRAINING) -> Batch:
    """A batch of one."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    while True:
        survey = simulate(rng, ranges)
        if np.isfinite(survey.field).sum() >= FEWEST_VALUES:
            break
    seen = look(survey.field, survey.direction)
    body, core, known, *values = truth(survey, seen.scale)
    known &= ndimage.binary_dilation(seen.valid, iterations=2)
    arrays = (seen.channels.astype(np.float16), survey.direction.astype(np.float32), body, core, known, *values)
    return Batch(*(array[None] for array in arrays))


def stack(samples: list[Batch]) -> Batch:
    return Batch(*(np.concatenate([getattr(each, name) for each in samples]) for name in Batch.__dataclass_fields__))


def make_batch(seed: int, indices: range) -> Batch:
    """The samples of these numbers."""
    return stack([make_sample(seed, index) for index in indices])


def batches(seed: int, first_step: int, steps: int, size: int, share: int, workers: int) -> Iterator[Batch]:
    """One share of the batches of steps first_step..steps-1, each of `size` in all, made ahead by worker processes."""
    own = part(size, share, SHARES)
    indices = (range(step * size + own.start, step * size + own.stop) for step in range(first_step, steps))
    yield from made_ahead(partial(make_batch, seed), indices, workers, AHEAD * workers)
