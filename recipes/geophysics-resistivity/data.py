"""What the network is taught with: made-up surveys over made-up ground, and what a linear look makes of them.

A group is one survey (stations, array, errors) over two batches of sections; it depends on (seed, index) only, so
neither the number of workers nor a resumed build changes it. Each batch is used twice, the second time mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from hive_runner.ahead import made_ahead
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

from .arrays import draw_layout
from .earth import TRAINED, Domain, draw_section, on_cells
from .grid import Floats, Grid, layer_depths
from .inversion import Linear
from .solver import Abmn, Solver, resistances, solver_of

BATCH = 16
GROUP = 2 * BATCH  # sections that share a survey: to plan one costs as much as some ten of them
CHANNELS = 9
COUNTS = (24, 28, 32, 36, 42, 48, 56, 64, 72, 96)  # stations of a line
SHARES = (0.13, 0.07, 0.12, 0.12, 0.11, 0.23, 0.06, 0.06, 0.06, 0.04)
MOST_READINGS = 700
LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class Batch:
    """B surveys of one shape. inputs: (B, CHANNELS, LAYERS, W); target: (B, LAYERS, W) log10 ohm m about the
    readings' median; inside: (LAYERS, W) whether a cell counts."""

    inputs: NDArray[np.float16]
    target: NDArray[np.float32]
    inside: NDArray[np.bool_]

    def half(self, which: int) -> Batch:
        """The first or second BATCH sections."""
        part = slice(which * BATCH, (which + 1) * BATCH)
        return Batch(self.inputs[part], self.target[part], self.inside)

    def mirrored(self) -> Batch:
        return Batch(*(np.ascontiguousarray(np.flip(part, -1)) for part in (self.inputs, self.target, self.inside)))


@dataclass(frozen=True)
class Survey:
    """One array on one grid with its errors, ready for any number of data sets."""

    solver: Solver
    abmn: Abmn
    error: Floats  # (N,) log10
    linear: Linear
    inside: NDArray[np.bool_]  # (LAYERS, columns) the trapezoid that the array is sensitive to
    depths: Floats  # (N,) median depth of investigation, spacings
    middles: Floats  # (N,) where a reading belongs along the line, spacings

    @staticmethod
    def plan(solver: Solver, abmn: Abmn, error: Floats) -> Survey:
        linear = Linear(solver, abmn, error)
        middles, depths = places(linear, solver.grid)
        return Survey(solver, abmn, error, linear, trapezoid(solver.grid, middles, depths), depths, middles)


def places(linear: Linear, grid: Grid) -> tuple[Floats, Floats]:
    """((N,), (N,)) spacings: where along the line, and how deep, a reading over a half-space has half its sensitivity
    on either side (Edwards 1977)."""
    x, _ = grid.centres()
    size = np.abs(linear.jacobian).astype(float)
    middle = (size.sum(1) @ x) / size.sum((1, 2))
    share = np.cumsum(linear.jacobian.sum(2), axis=1)
    share /= share[:, -1:]
    edges = layer_depths()
    half = np.argmax(share >= 0.5, axis=1)
    row = np.arange(len(half))
    before = np.where(half > 0, share[row, half - 1], 0.0)
    part = (0.5 - before) / np.maximum(share[row, half] - before, 1e-9)
    return middle, edges[half] + np.clip(part, 0, 1) * np.diff(edges)[half]


def trapezoid(grid: Grid, middles: Floats, depths: Floats) -> NDArray[np.bool_]:
    """(LAYERS, columns): cells inside of the hull of all readings' places and the ground between the electrodes."""
    x, z = grid.centres()
    ends = np.array([[grid.stations[0], 0.0], [grid.stations[-1], 0.0]])
    points = np.concatenate([ends, np.stack([middles, depths], 1)])
    places_of_cells = np.stack(np.broadcast_arrays(x[None, :], z[:, None]), -1)
    try:
        return np.asarray(Delaunay(points).find_simplex(places_of_cells) >= 0)
    except QhullError:  # all readings at one depth and place
        return np.broadcast_to(z[:, None] <= depths.max(), grid.shape).copy()


def describe(survey: Survey, data: Floats) -> tuple[Floats, Floats, Floats]:
    """data: (B, N) log10 ohm m -> level (B,), start (B, LAYERS, W) log10 ohm m, inputs (B, CHANNELS, LAYERS, W).

    The start is a linear answer, corrected once by the readings that it does not explain.
    """
    grid, linear = survey.solver.grid, survey.linear
    level = np.median(data, axis=1)
    deviation = data - level[:, None]
    first = np.clip(linear(deviation), -2.0, 2.0)
    left = np.stack([d - log_forward(survey, m + base) for d, m, base in zip(data, first, level, strict=True)])
    left = np.clip(left, -0.5, 0.5)
    second = np.clip(first + linear(left), -2.2, 2.2)
    x, z = grid.centres()
    beyond = np.minimum(x - grid.stations[0], grid.stations[-1] - x)
    constant = np.stack(
        [
            linear.spread,
            (linear.coverage + 1.0) / 2,
            survey.inside.astype(float),
            np.broadcast_to((np.log(z)[:, None] - 1.0) / 2, grid.shape),
            np.broadcast_to(np.clip(beyond / 10.0, -1, 2)[None, :], grid.shape),
        ]
    )
    varying = np.stack([first, second, linear.average(deviation), 3 * linear.average(np.abs(left))], 1)
    inputs = np.concatenate([varying, np.broadcast_to(constant, (len(data), *constant.shape))], 1)
    return level, second + level[:, None, None], inputs


def log_forward(survey: Survey, log_rho: Floats) -> Floats:
    """(N,) log10 of the apparent resistivities' size."""
    return np.log10(np.maximum(np.abs(survey.solver.forward(log_rho, survey.abmn)), 1e-3))


def draw_error(rng: np.random.Generator, solver: Solver, abmn: Abmn) -> Floats:
    """(N,) standard deviations of log10: a share of each reading, for some surveys more where signals are weak."""
    share = float(np.exp(rng.uniform(np.log(0.01), np.log(0.06))))
    signal = np.abs(resistances(solver.half_space, abmn))
    weak = float(rng.random() < 0.4) * rng.uniform(0.0, 0.1) * np.sqrt(signal.min() / signal)
    return np.asarray(np.hypot(share, weak) / LN10)


def draw_survey(rng: np.random.Generator) -> Survey:
    count = int(rng.choice(COUNTS, p=SHARES))
    solver = solver_of(Grid.even(count))
    abmn = draw_layout(rng, count, MOST_READINGS)
    return Survey.plan(solver, abmn, draw_error(rng, solver, abmn))


def draw_data(rng: np.random.Generator, survey: Survey, domain: Domain) -> tuple[Floats, Floats]:
    """(N,) noisy log10 apparent resistivities and the section (LAYERS, columns) that they come from."""
    while True:
        model = on_cells(draw_section(rng, survey.solver.grid.length, domain), survey.solver.grid)
        apparent = survey.solver.forward(model, survey.abmn)
        if (apparent > 0).all():  # strong contrasts can turn the sign of a reading; in the field such are thrown away
            noise = survey.error * rng.standard_normal(len(apparent))
            return np.log10(apparent) + noise, model


def make_group(seed: int, index: int, domain: Domain = TRAINED) -> Batch:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    survey = draw_survey(rng)
    drawn = [draw_data(rng, survey, domain) for _ in range(GROUP)]
    data, models = np.stack([d for d, _ in drawn]), np.stack([m for _, m in drawn])
    level, _, inputs = describe(survey, data)
    target = (models - level[:, None, None]).astype(np.float32)
    return Batch(inputs.astype(np.float16), target, survey.inside)


def batches(seed: int, first_step: int, steps: int, workers: int) -> Iterator[Batch]:
    """The batches of steps first_step..steps-1: group g at steps 4 g and 4 g + 1, mirrored at 4 g + 6, 4 g + 7."""
    first_group = max(first_step // 4 - 1, 0)
    numbers = range(first_group, -(-steps // 4))
    groups = made_ahead(partial(make_group, seed), numbers, workers, workers + 4)
    newest = next(groups)
    before, number = newest, first_group
    for step in range(first_step, steps):
        block, turn = divmod(step, 4)
        while number < block:
            before, newest, number = newest, next(groups), number + 1
        yield newest.half(turn) if turn < 2 else before.half(turn - 2).mirrored()
