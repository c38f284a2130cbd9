"""Held-out figures: scenes of other generator parameters, beside the filter a user would otherwise run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .classify import Classifier
from .data import CLASSES, CODE_TO_CLASS, IGNORE, NAMES
from .features import smrf_ground
from .scan import Cloud, simulate
from .scene import SHIFTED
from .scores import confusion, intersection_over_union
from .user_tiles import read_square

if TYPE_CHECKING:
    from hive_runner.run import Run

HELD_OUT_SEED = 0x1DA2  # apart from every training seed by the size of its second word
SCORED = tuple(name for name in NAMES if name != "bridge")  # the eight classes of the bar; bridges are reported apart


@dataclass
class Tally:
    """Counts over scenes or squares; points whose class is not known do not count."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CLASSES), len(CLASSES)), np.int64))
    ground_error: list[float] = field(default_factory=list)
    smrf_error: list[float] = field(default_factory=list)

    def add(self, classifier: Classifier, cloud: Cloud) -> None:
        truth = CODE_TO_CLASS[cloud.classification]
        known = truth != IGNORE
        if not known.any():
            return
        guess, _, _ = classifier.decide(
            cloud.xyz, cloud.return_number, cloud.number_of_returns, np.arange(len(cloud.xyz))
        )
        self.counts += confusion(truth[known], guess[known])
        is_ground = truth[known] == 0
        self.ground_error.append(float(np.mean(is_ground != (guess[known] == 0))))
        self.smrf_error.append(float(np.mean(is_ground != smrf_ground(cloud.xyz)[known])))

    def report(self, run: Run, prefix: str, dataset: str) -> None:
        run.report(
            f"{prefix}ground_total_error", float(np.mean(self.ground_error)), better="lower", dataset=dataset,
            spread=float(np.std(self.ground_error)), baselines={"SMRF": float(np.mean(self.smrf_error))},
        )  # fmt: skip
        run.report(
            f"{prefix}ground_over_smrf", float(np.mean(self.ground_error) - np.mean(self.smrf_error)), better="lower",
            dataset=dataset,
        )  # fmt: skip
        iou = dict(zip(NAMES, intersection_over_union(self.counts), strict=True))
        present = dict(zip(NAMES, self.counts.sum(1) > 0, strict=True))
        scored = [iou[name] for name in SCORED if present[name]]
        run.report(f"{prefix}mean_iou", float(np.mean(scored)), dataset=dataset)
        for name in NAMES:
            if present[name]:
                run.report(f"{prefix}iou_{name}", float(iou[name]), dataset=dataset)


def evaluate(run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Figures on simulated scenes of other generator parameters."""
    scenes = run.params.held_out_scenes
    run.phase("evaluate", total=scenes)
    classifier = Classifier(tensors, config, run.threads)
    tally = Tally()
    for index in range(scenes):
        tally.add(classifier, simulate(HELD_OUT_SEED + (run.seed << 32), index, domain=SHIFTED))
        run.progress(index + 1)
    tally.report(run, "", f"{scenes} simulated scenes of other generator parameters")


def evaluate_squares(
    run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any], squares: tuple[Path, ...]
) -> None:
    """Figures on the user's held-out squares, if there are any."""
    if not squares:
        return
    run.phase("evaluate on labelled tiles", total=len(squares))
    classifier = Classifier(tensors, config, run.threads)
    tally = Tally()
    for index, path in enumerate(squares):
        tally.add(classifier, read_square(path))
        run.progress(index + 1)
    tally.report(run, "user_", f"{len(squares)} held-out squares of the labelled tiles")
