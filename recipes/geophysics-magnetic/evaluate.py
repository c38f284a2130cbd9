"""Held-out figures: prisms in closed form, beside Euler deconvolution and the tilt depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .baselines import euler, tilt_depth
from .estimate import Estimator
from .forward import unit_vector
from .interpretation import Interpretation, Model
from .scenes import KINDS, Scene, draw_scene

if TYPE_CHECKING:
    from hive_runner.run import Run

HELD_OUT_SEED = 0x1DA2  # second word of the seeds of held-out scenes
NEAR = 1.5  # cells from a body's outline, where a solution still counts for it
FOUND_SHARE = 0.25  # of a body's cells, that a map must mark


@dataclass
class Tally:
    """A method's answers: for each body whether it was found, and its depth over the true one."""

    found: list[bool] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # NaN where not found
    covered: list[bool] = field(default_factory=list)
    both: int = 0
    either: int = 0
    false: list[int] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)  # of the spread, by grid
    raw_residual: list[float] = field(default_factory=list)  # before susceptibilities are fitted

    def add(self, found: bool, ratio: float) -> None:
        self.found.append(found)
        self.ratio.append(ratio if found else np.nan)

    @property
    def found_share(self) -> float:
        return float(np.mean(self.found))

    @property
    def depth_error(self) -> float:
        """Median |dz| / z of the bodies found; 1 if none was."""
        errors = np.abs(np.array(self.ratio) - 1)
        return float(np.nanmedian(errors)) if np.isfinite(errors).any() else 1.0

    @property
    def within_25(self) -> float:
        """Share of all bodies that were found and whose depth is within 25 %."""
        return float(np.mean(np.abs(np.nan_to_num(self.ratio, nan=99.0) - 1) <= 0.25))

    @property
    def coverage(self) -> float:
        """Share of the bodies found whose true depth lies in the 10 to 90 % interval."""
        return float(np.mean(self.covered or [False]))

    @property
    def false_bodies(self) -> float:
        """A grid, that touch no true body."""
        return float(np.mean(self.false))

    @property
    def mean_residual(self) -> float:
        return float(np.mean(self.residual))

    @property
    def mean_raw_residual(self) -> float:
        return float(np.mean(self.raw_residual))

    @property
    def iou(self) -> float:
        return self.both / max(self.either, 1)


def judge_points(tally: Tally, scene: Scene, points: NDArray[np.float64]) -> None:
    """Points (N, 3) of a method that gives places and depths."""
    for number, prism in enumerate(scene.prisms, start=1):
        away = ndimage.distance_transform_edt(scene.label != number)
        column, row = (np.clip(np.rint(points[:, i]).astype(int), 0, away.shape[0] - 1) for i in (0, 1))
        near = away[row, column] <= NEAR
        tally.add(bool(near.any()), float(np.median(points[near, 2])) / prism.top if near.any() else np.nan)


def judge_maps(tally: Tally, scene: Scene, answer: Interpretation) -> None:
    """The maps of an interpretation of the scene, whose cells are 1 m."""
    mask, quantiles = answer.label > 0, (answer.maps.top_low, answer.maps.top, answer.maps.top_high)
    for number, prism in enumerate(scene.prisms, start=1):
        cells = scene.label == number
        inside = cells & mask
        found = bool(inside.sum() >= FOUND_SHARE * cells.sum())
        low, middle, high = (np.median(grid[inside]) if found else np.nan for grid in quantiles)
        tally.add(found, middle / prism.top)
        if found:
            tally.covered.append(bool(low <= prism.top <= high))
    body = scene.label > 0
    tally.both += int((mask & body).sum())
    tally.either += int((mask | body).sum())
    tally.false.append(int(answer.label.max()) - len(np.unique(answer.label[body & mask])))
    tally.residual.append(answer.fit.share)
    tally.raw_residual.append(answer.fit.raw_share)


def evaluate(run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    count = run.params.held_out_scenes
    run.phase("evaluate", total=count * len(KINDS))
    model = Model(Estimator(tensors, config, run.threads))
    for kind_number, kind in enumerate(KINDS):
        tallies = {name: Tally() for name in ("net", "solutions", "Euler", "tilt depth")}
        for index in range(count):
            scene = draw_scene(run.rng(HELD_OUT_SEED, kind_number, index), kind)
            main = unit_vector(scene.inclination_deg, scene.declination_deg)
            answer = model.interpret(scene.field, 1.0, scene.inclination_deg, scene.declination_deg)
            judge_maps(tallies["net"], scene, answer)
            points = [(body.east, body.north, body.top) for body in answer.solutions]
            judge_points(tallies["solutions"], scene, np.array(points).reshape(-1, 3))
            judge_points(tallies["Euler"], scene, euler(scene.field))
            judge_points(tallies["tilt depth"], scene, tilt_depth(scene.field, main))
            run.progress(kind_number * count + index + 1)
        _report(run, kind, tallies, f"{count} grids of prisms, {kind}")


def _report(run: Run, kind: str, tallies: dict[str, Tally], dataset: str) -> None:
    prefix = "" if kind == "induced" else kind.replace(" ", "_") + "_"
    net, solutions = tallies["net"], tallies["solutions"]
    others = {name: tallies[name] for name in ("Euler", "tilt depth")}

    def report(name: str, figure: str, better: str = "higher", of: Tally = net, beside: bool = False) -> None:
        baselines = {other: getattr(tally, figure) for other, tally in others.items()} if beside else None
        run.report(prefix + name, getattr(of, figure), better=better, dataset=dataset, baselines=baselines)

    report("found", "found_share", beside=True)
    report("depth_error", "depth_error", "lower", beside=True)
    report("within_25", "within_25", beside=True)
    report("body_iou", "iou")
    report("solutions_found", "found_share", of=solutions)
    report("solutions_within_25", "within_25", of=solutions)
    report("interval_coverage", "coverage")
    report("false_bodies", "false_bodies", "lower")
    report("residual", "mean_residual", "lower")
    report("residual_before_fit", "mean_raw_residual", "lower")
